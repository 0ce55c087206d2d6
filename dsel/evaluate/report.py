"""What the embeddings are worth: matching accuracy, speaker verification, synchronisation. Chance stands beside each figure.

The parts are files of their own: `embeddings` (windows through the networks), `verification` (trials, EER, minDCF, DET),
`probes` (which factors can be read off an embedding).
"""

from __future__ import annotations

from dsel.corpus.store import TRIALS, Track
from dsel.corpus.tracks import Corpus, Trials
from dsel.corpus.tracks import open as open_corpus
from dsel.evaluate.embeddings import Embeddings, embed_split, free_speech
from dsel.evaluate.matching import _cosine, content_accuracy, identity_accuracy
from dsel.evaluate.sync import sync_accuracy
from dsel.evaluate.verification import all_pairs, eer_interval, equal_error_rate, min_dcf, trial_speakers, verification_scores
from dsel.losses import inverse_distance
from dsel.model import HEADS, TwoStream
from dsel.train.released import load_model, load_similarity, run_folder
from dsel.utils.files import write_json


def evaluate(run, data, *, split: str = "test", progress: bool = True) -> list[dict]:
    """All figures of a trained run on a split, in percent: rows as of `evaluate_model`; kept as RUN/evaluation.json.

    run: a run folder, a file of weights or a released name, see `dsel.train.released`.
    See `dsel evaluate --help`. Raises BadInput for a missing run or an empty split.
    """
    model, corpus = load_model(run), open_corpus(data)
    rows = evaluate_model(model, corpus, split=split, similarity=run_similarity(run), progress=progress)
    found = {"corpus": corpus.meta, "split": split, "rows": rows}
    _keep(run, "evaluation.json", found)
    return rows


def evaluate_model(
    model: TwoStream, corpus: Corpus, *, split: str = "test", similarity=None, progress: bool = True
) -> list[dict]:
    """The same for networks in memory: rows {"figure", "value", "chance"}, for verification also {"low", "high"}, the 95 %
    interval over speakers."""
    e = embed_split(model, corpus, split, progress=progress)
    free = e.only(free_speech)  # the matching tasks are asked where they have one right answer
    free = free if free.tracks else e
    content = {head: content_accuracy(free, head, similarity=similarity) for head in HEADS}
    identity = {head: identity_accuracy(free, head, similarity=similarity) for head in HEADS}
    N, B = content["content"]["choices"], identity["identity"]["choices"]
    rows = [
        _row(f"content task, content head: top-1 of {N} windows", content["content"]["top1"], 1 / N),
        _row("  the match or its 40 ms neighbour", content["content"]["within_one"], (3 * N - 2) / N**2),
        _row(f"content task, identity head: top-1 of {N} windows", content["identity"]["top1"], 1 / N),
        _row(f"identity task, identity head: top-1 of {B} tracks", identity["identity"]["top1"], 1 / B),
        _row(f"identity task, content head: top-1 of {B} tracks", identity["content"]["top1"], 1 / B),
    ]
    sync = sync_accuracy(free, similarity=similarity)
    if sync:
        rows.append(_row(f"sound placed within 40 ms, of ±{sync['reach']} frames", sync["within_one"], sync["chance"]))
    return rows + _verification_rows(e, _trial_lists(corpus, split, e.tracks))


def probe(run, data, *, split: str = "test", progress: bool = True) -> dict:
    """Which factors can be read off the heads of a trained run: `dsel.evaluate.probes.leakage`, kept as RUN/leakage.json."""
    from dsel.evaluate.probes import leakage

    corpus = open_corpus(data)
    found = leakage(load_model(run), corpus, split=split, progress=progress)
    _keep(run, "leakage.json", {"corpus": corpus.meta, "split": split, **found})
    return found


def table(rows: list[dict]) -> str:
    """The rows as text, chance beside each figure, and the 95 % interval over speakers where there is one."""
    width = max(len(row["figure"]) for row in rows)
    lines = [f"{'':{width}}      %   chance   95 % interval"]
    for row in rows:
        interval = f"   {row['low']:5.1f} to {row['high']:.1f}" if "low" in row else ""
        lines.append(f"{row['figure']:{width}}  {row['value']:5.1f}    {row['chance']:5.1f}{interval}")
    return "\n".join(lines)


def run_similarity(run):
    """The similarity a run was trained with, up to scale: what ranks its candidates."""
    return _cosine if load_similarity(run) == "cosine" else inverse_distance


def _keep(run, name: str, values: dict) -> None:
    """Write RUN/name as JSON; nothing where `run` is a file or released networks, which have no folder of their own."""
    folder = run_folder(run)
    if folder:
        write_json(folder / name, values)


def _verification_rows(e: Embeddings, lists: dict[str, Trials]) -> list[dict]:
    """EER of both heads on each list, then minDCF of the identity head."""
    eer, dcf = [], []
    for name, trials in lists.items():
        if not trials.target.any() or trials.target.all():
            continue
        a, b = trial_speakers(trials, e.tracks)
        for head in ("identity", "content"):
            scores = verification_scores(e, trials, head)
            row = _row(f"EER, {head} head, {name}", equal_error_rate(scores, trials.target), 0.5)
            try:
                _, low, high = eer_interval(scores, trials.target, a, b)
                row |= {"low": 100 * low, "high": 100 * high}
            except ValueError:  # too few speakers for an interval
                pass
            eer.append(row)
            if head == "identity":
                dcf.append(_row(f"minDCF, {head} head, {name}", min_dcf(scores, trials.target), 1.0))
    return eer + dcf


def _row(figure: str, value: float, chance: float) -> dict:
    return {"figure": figure, "value": 100 * value, "chance": 100 * chance}


def _trial_lists(corpus: Corpus, split: str, tracks: list[Track]) -> dict[str, Trials]:
    """The corpus' own lists for this split, each whole and its same-sex part; else all pairs."""
    prefix = "" if split == "test" else f"{split}_"
    lists = {f"{kind} trials": corpus.trials(prefix + kind) for kind in TRIALS}
    lists = {name: trials for name, trials in lists.items() if trials is not None} or {"all pairs": all_pairs(tracks)}
    found = {}
    for name, trials in lists.items():
        found[name] = trials
        if trials.same_sex.any():
            found[f"{name}, same sex"] = trials.only(trials.same_sex)
    return found
