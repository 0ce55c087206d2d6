"""Self-checks of the exercises: call one with what the reader wrote, and it returns a verdict.

    notebook 00   chance_levels                       chance.py
    notebook 01   sound_of, offset_of                 alignment.py
    notebook 02   receptive_field                     receptive_field.py
    notebook 03   content_loss                        losses.py
    notebook 04   identity_loss                       losses.py
    notebook 05   confusion_loss                      losses.py
    notebook 06   schedule                            training.py
    notebook 07   honest_purity                       maps.py
    notebook 08   equal_error_rate, speaker_weights   verification.py
    notebook 09   paired_interval                     intervals.py
    notebook 10   nearest_rows, in_step               own_video.py
    notebook 11   distance_law                        laws.py

How answers are judged stands in checker.py.
"""

from dsel.teaching.exercises.alignment import offset_of, sound_of
from dsel.teaching.exercises.chance import chance_levels
from dsel.teaching.exercises.checker import (
    Case,
    Exercise,
    FunctionExercise,
    LossExercise,
    Mistake,
    Symptom,
    Verdict,
    judge,
)
from dsel.teaching.exercises.intervals import paired_interval
from dsel.teaching.exercises.laws import distance_law
from dsel.teaching.exercises.losses import (
    CONFUSION_MISTAKES,
    CONTENT_MISTAKES,
    IDENTITY_MISTAKES,
    SIZES,
    confusion_loss,
    content_loss,
    identity_loss,
)
from dsel.teaching.exercises.maps import honest_purity
from dsel.teaching.exercises.own_video import in_step, nearest_rows
from dsel.teaching.exercises.receptive_field import receptive_field
from dsel.teaching.exercises.training import schedule
from dsel.teaching.exercises.verification import (
    EER_MISTAKES,
    WEIGHT_MISTAKES,
    equal_error_rate,
    speaker_weights,
)

# All self-checks by name, in the order of the notebooks.
EXERCISES = {
    "chance_levels": chance_levels,
    "sound_of": sound_of,
    "offset_of": offset_of,
    "receptive_field": receptive_field,
    "content_loss": content_loss,
    "identity_loss": identity_loss,
    "confusion_loss": confusion_loss,
    "schedule": schedule,
    "honest_purity": honest_purity,
    "equal_error_rate": equal_error_rate,
    "speaker_weights": speaker_weights,
    "paired_interval": paired_interval,
    "nearest_rows": nearest_rows,
    "in_step": in_step,
    "distance_law": distance_law,
}

__all__ = [
    "CONFUSION_MISTAKES",
    "CONTENT_MISTAKES",
    "EER_MISTAKES",
    "EXERCISES",
    "IDENTITY_MISTAKES",
    "SIZES",
    "WEIGHT_MISTAKES",
    "Case",
    "Exercise",
    "FunctionExercise",
    "LossExercise",
    "Mistake",
    "Symptom",
    "Verdict",
    "chance_levels",
    "confusion_loss",
    "content_loss",
    "distance_law",
    "equal_error_rate",
    "honest_purity",
    "identity_loss",
    "in_step",
    "judge",
    "nearest_rows",
    "offset_of",
    "paired_interval",
    "receptive_field",
    "schedule",
    "sound_of",
    "speaker_weights",
]
