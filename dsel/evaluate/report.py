"""Evaluate trained networks: the functions behind `dsel evaluate`.

The parts are files of their own: `judge` (measures), `metrics` (what a number is, tables),
`embeddings` (windows through the networks), `matching`, `verification` (trials, EER, minDCF, DET),
`sync`, `probes` (which factors can be read off an embedding), `leaks` (what a head keeps of the
other's factor).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsel.corpus.tracks import Corpus
from dsel.corpus.tracks import open as open_corpus
from dsel.evaluate.judge import judge
from dsel.evaluate.leaks import leak_metrics
from dsel.evaluate.matching import _cosine
from dsel.evaluate.metrics import Metric, table, to_rows
from dsel.losses import Similarity, inverse_distance
from dsel.model import TwoStream
from dsel.train.released import load_model, load_similarity, run_folder
from dsel.utils.files import sweep, write_json

__all__ = ["evaluate", "evaluate_model", "probe", "run_similarity", "table"]


def evaluate(
    run: str | Path, data: str | Path, *, split: str = "test", progress: bool = True
) -> list[Metric]:
    """Measure trained networks on a split of a corpus; the command is `dsel evaluate`.

    The metrics are kept as RUN/evaluation.json.

    Args:
        run: a run folder, a file of weights or a released name, see `dsel.train.released`.
        data: a corpus, as `dsel.corpus.open` takes it.
        split: which speakers.
        progress: show bars.
    Returns:
        The metrics of `dsel.evaluate.judge.judge`.
    Raises:
        BadInput: a missing run, or an empty split.
    """
    model, corpus = load_model(run), open_corpus(data)
    metrics = evaluate_model(
        model, corpus, split=split, similarity=run_similarity(run), progress=progress
    )
    _keep(run, "evaluation.json", {"corpus": corpus.meta, "split": split, "rows": to_rows(metrics)})
    return metrics


def evaluate_model(
    model: TwoStream,
    corpus: Corpus,
    *,
    split: str = "test",
    similarity: Similarity | None = None,
    progress: bool = True,
) -> list[Metric]:
    """Measure networks in memory, as `evaluate` measures those of a run.

    Args:
        model: the networks.
        corpus, split: what they are judged on.
        similarity: that of the training, see `dsel.losses`; None: the cosine.
        progress: show bars.
    """
    return judge(model, corpus, split, similarity=similarity, progress=progress)


def probe(
    run: str | Path, data: str | Path, *, split: str = "test", progress: bool = True
) -> dict[str, Any]:
    """Read every known factor off the heads of trained networks; keep it as RUN/leakage.json.

    Args:
        run, data, split, progress: as in `evaluate`.
    Returns:
        What `dsel.evaluate.probes.leakage` returns, and under "leaks" the rows of
        `dsel.evaluate.leaks.leak_metrics`.
    Raises:
        BadInput: a missing run, an empty split, or one with fewer than 4 speakers.
    """
    from dsel.evaluate.probes import leakage

    model, corpus = load_model(run), open_corpus(data)
    found = leakage(model, corpus, split=split, progress=progress)
    found["leaks"] = to_rows(leak_metrics(model, corpus, split, found, progress=progress))
    _keep(run, "leakage.json", {"corpus": corpus.meta, "split": split, **found})
    return found


def run_similarity(run: str | Path) -> Similarity:
    """Return the similarity that a run was trained with, up to scale: it ranks the candidates."""
    return _cosine if load_similarity(run) == "cosine" else inverse_distance


def _keep(run: str | Path, name: str, values: dict[str, Any]) -> None:
    """Write RUN/name as JSON; do nothing for a file or released networks, which have no folder."""
    folder = run_folder(run)
    if folder:
        sweep(folder)
        write_json(folder / name, values)
