"""Judge embeddings: matching tasks, verification, probes, audio-video offset."""

from dsel.evaluate.embeddings import (
    STREAMS,
    Embeddings,
    embed,
    embed_split,
    embed_tracks,
    free_speech,
    window_labels,
)
from dsel.evaluate.intervals import Interval, speaker_bootstrap
from dsel.evaluate.matching import CHOICES, content_accuracy, identity_accuracy
from dsel.evaluate.metrics import METRICS, Metric, read_metric, table
from dsel.evaluate.report import evaluate, evaluate_model, probe, run_similarity
from dsel.evaluate.sync import REACH, sync_accuracy, sync_offset
from dsel.evaluate.verification import (
    DetCurve,
    all_pairs,
    confusable,
    cosine_scores,
    crop_scores,
    det_curve,
    eer_interval,
    equal_error_rate,
    error_rates,
    min_dcf,
    trial_speakers,
    verification_scores,
)

__all__ = [
    "CHOICES",
    "METRICS",
    "REACH",
    "STREAMS",
    "DetCurve",
    "Embeddings",
    "Interval",
    "Metric",
    "all_pairs",
    "confusable",
    "content_accuracy",
    "cosine_scores",
    "crop_scores",
    "det_curve",
    "eer_interval",
    "embed",
    "embed_split",
    "embed_tracks",
    "equal_error_rate",
    "error_rates",
    "evaluate",
    "evaluate_model",
    "free_speech",
    "identity_accuracy",
    "min_dcf",
    "probe",
    "read_metric",
    "run_similarity",
    "speaker_bootstrap",
    "sync_accuracy",
    "sync_offset",
    "table",
    "trial_speakers",
    "verification_scores",
    "window_labels",
]
