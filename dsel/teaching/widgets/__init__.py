"""ipywidgets around the figures of the course."""

from dsel.teaching.widgets.base import WIDE
from dsel.teaching.widgets.embeddings import EmbeddingExplorer, RetrievalExplorer
from dsel.teaching.widgets.losses import TERMS, LossExplorer
from dsel.teaching.widgets.sync import SyncExplorer
from dsel.teaching.widgets.training import PAUSE, TrainingMonitor
from dsel.teaching.widgets.verification import VerificationExplorer

__all__ = [
    "PAUSE",
    "TERMS",
    "WIDE",
    "EmbeddingExplorer",
    "LossExplorer",
    "RetrievalExplorer",
    "SyncExplorer",
    "TrainingMonitor",
    "VerificationExplorer",
]
