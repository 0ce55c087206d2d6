"""ipywidgets around the figures of the course.

SyncExplorer           sync.py            notebook 01
LossExplorer           losses.py          notebooks 03, 04, 05
TrainingMonitor        training.py        notebook 06
EmbeddingExplorer      embeddings.py      notebook 07
RetrievalExplorer      embeddings.py      notebook 07
VerificationExplorer   verification.py    notebook 08
"""

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
