"""The experiment: which terms, which scale, which lambda, on which corpus; several seeds each, paired, resumable.

    ablation("runs/ablation", "laptop")      or      python -m dsel ablation --preset laptop --out runs/ablation

A cell is one row of the experiment trained with one seed. It is judged on validation and test speakers and appended to
results.csv; a finished cell is never done again, a begun one goes on from its checkpoint. Rows with the same seed share
corpus, initial weights and batches (the column `pair` is their hash), so that differences are taken seed by seed.
Choices are made on the columns validation_*; `confirm` freezes them before it draws new test speakers.

    DIR/schedule.json  corpora/  runs/<row>-<seed>/{metrics.csv,model.pt}  results.csv  report-*.md  figures/
    DIR/frozen.json    confirmed.csv  confirmed.md                                             (after `confirm`)
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from dsel.ablationreport import choose, report, write_report
from dsel.ablationrows import COLUMNS, FIGURES, LISTS, SPLITS, Row, Schedule, cells, final, key_of, read_results
from dsel.corpus import TRIALS, Corpus, replace_text, write_csv
from dsel.corpus import open as open_corpus
from dsel.embeddings import STREAMS
from dsel.errors import BadInput
from dsel.evaluate import (
    Embeddings,
    all_pairs,
    content_accuracy,
    embed_split,
    embed_tracks,
    equal_error_rate,
    free_speech,
    identity_accuracy,
    verification_scores,
)
from dsel.losses import inverse_distance
from dsel.model import HEADS, ModelConfig, TwoStream
from dsel.probes import PER_TRACK, evenly, known_factors, read_off
from dsel.timing import WINDOW_FRAMES
from dsel.train import Trainer, choose_device
from dsel.verification import cosine_scores, main_directions, unit

FACES = 200  # training tracks whose faces say along which directions people differ


def ablation(
    out, preset: str = "laptop", *, rows=None, seeds=None, corpora: dict | None = None, progress: bool = True, **changes
) -> list[dict]:
    """Run the experiment, or go on with it; returns the rows of results.csv.

    Args:
        out: its folder.
        preset: 'fast', 'laptop' or 'gpu'; changes: fields of `Schedule`.
        rows, seeds: only these (ids of `ROWS`; numbers).
        corpora: {entanglement: corpus} to use instead of made ones; the first judges all.
    Several processes may share a folder: each takes the next cell that nobody else has.
    Raises:
        BadInput: an unknown row or preset, or a folder that holds another schedule.
    """
    out, schedule = Path(out), Schedule.named(preset, **changes)
    _claim(out, schedule)
    todo = cells(schedule, rows, seeds)
    total = sum(row.steps(schedule) for row, _ in todo)
    with tqdm(total=total, desc="ablation", unit="step", disable=not progress, smoothing=0.02) as bar:
        for row, seed in todo:
            with _alone(out / "runs" / f".{row.id}-{seed}.lock") as mine:
                if not mine:  # another process is at it
                    continue
                if not _finished(out, row, seed, schedule):
                    _cell(out, row, seed, schedule, corpora, bar)
                else:
                    bar.update(row.steps(schedule))
    return read_results(out)


def draw(out, *, pictures: bool = True) -> list[Path]:
    """Draw all figures that results.csv allows into DIR/figures; with `pictures` .png too, where that can be made."""
    from dsel import ablationplots, plots

    plots.use_template()
    made = []
    for name, figure in ablationplots.figures(read_results(out)).items():
        for kind in ("html", "png") if pictures else ("html",):
            path = Path(out) / "figures" / f"{name}.{kind}"
            try:
                plots.write_figure(figure, path)
                made.append(path)
            except BadInput:  # no kaleido or no browser here: the html is there
                pictures = False
    return made


# --- After every choice -----------------------------------------------------------------------------------------------------


def confirm(out, *, progress: bool = True) -> list[dict]:
    """Freeze the choice, then draw new test speakers and judge the trained networks on them; returns confirmed.csv's rows.

    DIR/frozen.json is written first: what was chosen, by which figures, the hashes of results and schedule; and the seed of
    the new speakers, which is taken from those hashes, so that nobody picks it. Called again, it goes on; trainings finished
    after the freeze are judged too, but can no longer change the choice. Voices alone are judged: the trials need no faces.
    Raises BadInput where nothing can be chosen yet.
    """
    out, held = Path(out), Path(out) / "frozen.json"
    schedule = Schedule(**{k: tuple(v) if isinstance(v, list) else v for k, v in _read_json(out / "schedule.json").items()})
    if not held.is_file():
        hashes = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in ("results.csv", "schedule.json")}
        frozen = choose(read_results(out)) | {"sha256": hashes}
        seed = int(hashlib.sha256(json.dumps(frozen, sort_keys=True).encode()).hexdigest()[:7], 16)
        replace_text(held, json.dumps(frozen | {"seed": seed}, indent=1) + "\n")
    frozen = _read_json(held)
    if frozen["seed"] == schedule.corpus_seed:
        raise BadInput(f"{held}: its seed is the one of the old speakers; the choice must be made again")
    corpus = _make(
        out / "corpora" / f"new-{frozen['seed']}", progress,
        speakers=0, tracks=1, validation=0, test=schedule.new_speakers, test_tracks=schedule.test_tracks,
        seconds=schedule.seconds, size=schedule.size, seed=frozen["seed"],
    )  # fmt: skip
    file, trained_on = out / "confirmed.csv", _corpus(out, schedule, 0.0, None, progress)
    finished = [found for found in final(read_results(out)) if (_run_of(out, found) / "model.pt").is_file()]
    for found in tqdm(finished, "judging on new speakers", disable=not progress, unit="network"):
        with _alone(_run_of(out, found) / ".judged.lock") as mine:
            if not mine or key_of(found) in {key_of(known) for known in read_results(file)}:
                continue
            model, similarity = load_networks(_run_of(out, found) / "model.pt")
            directions = face_directions(model, trained_on)
            figures = judge(model, corpus, "test", similarity, faces=False, directions=directions)
            known = {k: v for k, v in found.items() if not k.startswith(SPLITS)}
            _append(file, known | {f"test_{name}": value for name, value in figures.items()})
    results = read_results(file)
    when = (
        f"Frozen before these {schedule.new_speakers} speakers were drawn (seed {frozen['seed']}): the row {frozen['chosen']}."
    )
    replace_text(out / "confirmed.md", when + "\n\n" + report(results, "test"))
    return results


def _run_of(out: Path, found: dict) -> Path:
    return out / "runs" / f"{found['row']}-{found['seed']}"


def _read_json(path: Path) -> dict:
    if not path.is_file():
        raise BadInput(f"{path}: missing; run 'dsel ablation --out {path.parent}' first")
    return json.loads(path.read_text(encoding="utf-8"))


# --- One cell ---------------------------------------------------------------------------------------------------------------


def _cell(out: Path, row: Row, seed: int, schedule: Schedule, corpora: dict | None, bar) -> None:
    """Train one cell to each of its marks, judging it there; what is left are its networks and its curves."""
    judged = _corpus(out, schedule, 0.0, corpora, not bar.disable)
    data = judged if row.entanglement == 0.0 else _corpus(out, schedule, row.entanglement, corpora, not bar.disable)
    run = out / "runs" / f"{row.id}-{seed}"
    config, model = row.train_config(schedule, seed), row.model_config(schedule)
    trainer = Trainer(data, model, config, run, resume=(run / "checkpoint.pt").is_file(), progress=False)
    pair, at = pair_hash(trainer), [trainer.step]
    bar.set_description(f"{row.id}, seed {seed}")
    bar.update(trainer.step)

    def advance(trainer, _row):
        bar.update(trainer.step - at[0])
        at[0] = trainer.step

    for mark in row.marks(schedule):
        begun = time.monotonic()
        trainer.fit(advance, until=mark)
        if trainer.step < mark:  # the trainer takes Ctrl-C, keeps what it has, and returns
            raise KeyboardInterrupt
        if trainer.step > mark or (row.id, seed, mark) in {key_of(known) for known in read_results(out)}:
            continue  # judged before it was interrupted
        known = {"row": row.id, "seed": seed, "step": mark, "steps": config.steps, "entanglement": row.entanglement}
        found = known | {"pair": pair, **trainer.loss.scales()}
        directions = face_directions(trainer.model, judged) if mark == config.steps else None
        for split in SPLITS:
            figures = judge(trainer.model, judged, split, config.similarity, faces=mark == config.steps, directions=directions)
            found |= {f"{split}_{name}": value for name, value in figures.items()}
        if mark == config.steps:
            _keep_networks(trainer, run)
        _append(out / "results.csv", found | {"seconds": time.monotonic() - begun})
        write_report(read_results(out), out)
        told = ", ".join(f"{n} {found[f'validation_eer_{n}']:.1f}" for n in ("free", "hard") if f"validation_eer_{n}" in found)
        if not bar.disable:
            tqdm.write(f"{row.id}, seed {seed}, step {mark}: EER on validation speakers: {told}")
    for file in run.glob("checkpoint*"):  # nothing is left to be resumed
        file.unlink()


def pair_hash(trainer: Trainer) -> str:
    """What paired rows have in common: a hash of the initial weights and of the first and last batch of a training."""
    torch.manual_seed(trainer.config.seed)
    digest = hashlib.sha256()
    for value in TwoStream(trainer.model.config).state_dict().values():
        digest.update(value.numpy().tobytes())
    for step in (0, trainer.config.steps - 1):
        batch = trainer.batches.at(step)
        digest.update(" ".join(track.id for track in batch.tracks).encode())
        for part in (batch.faces, batch.sound, batch.extra_faces, batch.pick):
            digest.update(part.numpy().tobytes())
    return digest.hexdigest()[:12]


def judge(
    model: TwoStream, corpus: Corpus, split: str, similarity: str = "cosine", *, faces: bool = True, directions=None
) -> dict[str, float]:
    """`FIGURES` of networks on a split, in percent (but for cone and directions); what the corpus cannot give is left out.

    faces: also what needs them, the matching tasks; without it takes a fraction of the time. directions: of `face_directions`,
    to hear the voices along them too.
    """
    e = embed_split(model, corpus, split, streams=STREAMS if faces else ("audio",), progress=False)
    found, ids = {}, [track.id for track in e.tracks]
    seen = None if directions is None else e.means("audio", "identity") @ directions.T  # (tracks, d)
    for name, trials in _trial_lists(corpus, split, e.tracks).items():
        if not trials.target.any() or trials.target.all():
            continue
        for head, figure in (("identity", f"eer_{name}"), ("content", f"content_head_eer_{name}")):
            if figure in FIGURES:
                found[figure] = 100 * equal_error_rate(verification_scores(e, trials, head), trials.target)
        if seen is not None and f"seen_eer_{name}" in FIGURES:
            scores = cosine_scores(seen, ids, trials)
            found |= {f"seen_eer_{name}": 100 * equal_error_rate(scores, trials.target), "directions": float(len(directions))}
    mean_direction = unit(e.vectors["audio"]["identity"]).mean(axis=0)
    found |= _probes(corpus, e) | {"cone": float(np.linalg.norm(mean_direction))}
    return found | (_matching(e, similarity) if faces else {})


def face_directions(model: TwoStream, corpus: Corpus) -> np.ndarray:
    """`main_directions` of the faces of some training tracks, by the identity head: (d, D)."""
    tracks = [track for track in corpus.split("train") if track.usable >= WINDOW_FRAMES]
    tracks = tracks[:: max(1, len(tracks) // FACES)][:FACES]
    cache = corpus.cache(model.config.face_size, tracks=tracks, progress=False)
    return main_directions(embed_tracks(model, cache, tracks, streams=("face",), progress=False).means("face", "identity"))


def _matching(e: Embeddings, similarity: str) -> dict[str, float]:
    """Both tasks by both heads, in percent; on free speech, where each question has one right answer."""
    alike = None if similarity == "cosine" else inverse_distance
    e = e.only(free_speech) if any(map(free_speech, e.tracks)) else e
    content = {head: content_accuracy(e, head, similarity=alike) for head in HEADS}
    identity = {head: identity_accuracy(e, head, similarity=alike) for head in HEADS}
    return {
        "content_top1": 100 * content["content"]["top1"],
        "content_within_one": 100 * content["content"]["within_one"],
        "content_top1_identity_head": 100 * content["identity"]["top1"],
        "identity_top1": 100 * identity["identity"]["top1"],
        "identity_top1_content_head": 100 * identity["content"]["top1"],
    }


def _probes(corpus: Corpus, e: Embeddings) -> dict[str, float]:
    """Phoneme and speaker, read off both heads of the audio stream by a linear probe; {} where the corpus does not know them.

    The phoneme off single windows, on speakers the probe was not trained on; the speaker off the mean of a track, on tracks
    with other words than those it was trained on. See `dsel.probes`.
    """
    chosen = np.concatenate([first + evenly(n, PER_TRACK) for first, n in zip(*_spans(e), strict=True)])
    few = Embeddings(e.tracks, e.track[chosen], e.window[chosen], {})
    found = {}
    for factor in known_factors(corpus, few):
        for head in HEADS if factor.name in ("phoneme", "speaker") else ():
            code = e.vectors["audio"][head][chosen] if factor.unit == "window" else e.means("audio", head)
            found[f"{factor.name}_{head}_head"] = 100 * float(np.nanmean(read_off(code, factor, "linear")))
    return found


def _spans(e: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    """First window and number of windows of each track."""
    counts = np.bincount(e.track, minlength=len(e.tracks))
    return np.cumsum(counts) - counts, counts


def _trial_lists(corpus: Corpus, split: str, tracks: list) -> dict:
    """By the names of `LISTS`: each kind whole, its same-sex part, and the hard ones by family of vocabularies."""
    prefix, lists = "" if split == "test" else f"{split}_", {}
    for kind in TRIALS:
        trials = corpus.trials(prefix + kind)
        if trials is None and kind == "free":
            trials = all_pairs(tracks)
        if trials is not None:
            lists |= {kind: trials, f"{kind}_same_sex": trials.only(trials.same_sex)}
            lists |= {f"{kind}_{group}": trials.only(trials.group == group) for group in sorted(set(trials.group)) if group}
    return {name: trials for name, trials in lists.items() if name in LISTS}


# --- What is kept on disk ---------------------------------------------------------------------------------------------------


def _append(path: Path, found: dict) -> None:
    """Add a row; at every moment the old file or the new one is there, and no process loses another's row."""
    with _alone(path.with_name(f".{path.name}.lock"), wait=True):
        rows = read_results(path)
        fresh = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in found.items()}
        kept = [row for row in rows if key_of(row) != key_of(found)]
        kept = [{k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in kept]
        write_csv(path, [{name: row.get(name, "") for name in COLUMNS} for row in [*kept, fresh]], COLUMNS)


def _claim(out: Path, schedule: Schedule) -> None:
    """Take the folder for this schedule, or say in what it differs from the one that is there."""
    held, wanted = out / "schedule.json", json.loads(json.dumps(asdict(schedule)))
    if held.is_file():
        found = json.loads(held.read_text(encoding="utf-8"))
        differ = [f"{k} {found.get(k)} there, {wanted[k]} asked" for k in wanted if found.get(k) != wanted[k]]
        if differ:
            raise BadInput(f"{out}: holds an ablation of another schedule ({', '.join(differ)}); choose another folder")
    else:
        out.mkdir(parents=True, exist_ok=True)
        replace_text(held, json.dumps(wanted, indent=1) + "\n")
    (out / "runs").mkdir(exist_ok=True)
    _tidy(out)


def _tidy(out: Path) -> None:
    """Remove what killed processes left half written; others may be writing just now."""
    for part in out.glob(".*.part"):
        try:
            os.kill(int(part.name.split(".")[-2]), 0)  # signal 0: only asks whether it is there
        except ProcessLookupError:
            part.unlink(missing_ok=True)
        except (ValueError, OSError):  # not ours to judge
            continue


def _finished(out: Path, row: Row, seed: int, schedule: Schedule) -> bool:
    known = {key_of(found) for found in read_results(out)}
    return all((row.id, seed, mark) in known for mark in row.marks(schedule))


def _keep_networks(trainer: Trainer, run: Path) -> None:
    """Write RUN/model.pt: weights and configuration of a finished run, without what resuming needs."""
    config = {"model": trainer.model.config.to_dict(), "train": asdict(trainer.config)}
    state = {"model": trainer.model.state_dict(), "config": config}
    part = run / f".model.{os.getpid()}.part"
    torch.save(state, part)
    os.replace(part, run / "model.pt")


def load_networks(path) -> tuple[TwoStream, str]:
    """The networks in a model.pt of a finished cell, and the similarity they were trained with."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = TwoStream(ModelConfig.from_dict(state["config"]["model"]))
    model.load_state_dict(state["model"])
    return model.to(choose_device("auto")).eval(), state["config"]["train"]["similarity"]


def _corpus(out: Path, schedule: Schedule, entanglement: float, given: dict | None, progress: bool) -> Corpus:
    """The corpus of that entanglement, made if it is not there. Only the one of 0 has speakers to judge by."""
    if given:
        return open_corpus(given[entanglement if entanglement in given else min(given)])
    judges = not entanglement
    return _make(
        out / "corpora" / f"e{entanglement:g}", progress,
        speakers=schedule.speakers, tracks=schedule.tracks, seed=schedule.corpus_seed, entanglement=entanglement,
        validation=schedule.validation * judges, test=schedule.test * judges, test_tracks=schedule.test_tracks,
        seconds=schedule.seconds, size=schedule.size,
    )  # fmt: skip


def _make(path: Path, progress: bool, **recipe) -> Corpus:
    """A toy corpus, or what is there of the same recipe."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.with_name(f".{path.name}.lock"), wait=True):
        if not (path / "corpus.json").is_file():
            from dsel.toy.make import toy

            return toy(path, progress=progress, **recipe)
        corpus = Corpus(path)
        found = {**corpus.meta["recipe"], "seed": corpus.meta["seed"]}
        differ = [f"{k} {found.get(k)} there, {v} asked" for k, v in recipe.items() if found.get(k) != v]
        if differ:
            raise BadInput(f"{path}: holds a corpus made otherwise ({', '.join(differ)}); move it away")
        return corpus


@contextmanager
def _alone(path: Path, wait: bool = False):
    """True inside if no other process is inside (with `wait`: once none is). The lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows: one process at a time there
        yield True
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
