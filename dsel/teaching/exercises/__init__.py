"""Self-checks of the exercises: a function in, a verdict out."""

from dsel.teaching.exercises.checker import Case, Exercise, Mistake, Verdict, judge
from dsel.teaching.exercises.losses import (
    CONFUSION_MISTAKES,
    CONTENT_MISTAKES,
    EXERCISES,
    IDENTITY_MISTAKES,
    SIZES,
    confusion_loss,
    content_loss,
    identity_loss,
)
from dsel.teaching.exercises.verification import EER_MISTAKES, WEIGHT_MISTAKES, equal_error_rate, speaker_weights

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
    "Mistake",
    "Verdict",
    "confusion_loss",
    "content_loss",
    "equal_error_rate",
    "identity_loss",
    "judge",
    "speaker_weights",
]
