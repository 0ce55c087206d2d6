"""Run the experiment: terms, scales, lambdas, corpora; several seeds each; resumable.

    ablation("runs/ablation", "laptop")
    python -m dsel ablation --preset laptop --out runs/ablation

A cell is a variant trained with one seed. It is judged on validation and test speakers, and
appended to results.csv. A finished cell is never done again; an unfinished one goes on from its
checkpoint. Variants with the same seed share corpus, initial weights and batches (the column `pair`
is their hash), so differences are taken seed by seed. Choices are made on the columns validation_*.
`confirm` freezes them before it draws new test speakers.

    DIR/schedule.json  corpora/  runs/<row>-<seed>/{metrics.csv,model.pt}
    DIR/results.csv    report-*.md  figures/
    DIR/frozen.json    confirmed.csv  confirmed.md           (after `confirm`)
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path

from tqdm.auto import tqdm

from dsel.ablation.halving import chosen_by_the_grid, halving
from dsel.ablation.judge import face_directions, face_tracks, judge, pair_hash
from dsel.ablation.report import choose, report, write_report
from dsel.ablation.rows import (
    COLUMNS,
    FIRST_COLUMNS,
    SPLITS,
    Schedule,
    Variant,
    cells,
    final,
    key_of,
    read_results,
)
from dsel.corpus.tracks import Corpus
from dsel.corpus.tracks import open as open_corpus
from dsel.model import ModelConfig
from dsel.train.released import KEPT, keep_networks, load_networks
from dsel.train.trainer import Trainer
from dsel.utils.errors import BadInput
from dsel.utils.files import lock, replace_text, sweep, write_csv, write_json
from dsel.utils.readers import check_entries, read_json, read_text


def ablation(
    out,
    preset: str = "laptop",
    *,
    rows=None,
    seeds=None,
    halved: bool = False,
    corpora: dict | None = None,
    progress: bool = True,
    **changes,
) -> list[dict]:
    """Run the experiment, or go on with it.

    Several processes may share a folder: each takes the next cell that no other process has.

    Args:
        out: its folder.
        preset: 'fast', 'laptop', 'gpu' or 'grid'.
        rows, seeds: only these (ids of `VARIANTS` or names of `EXPERIMENTS`; numbers).
        halved: first the grid by successive halving (`dsel.ablation.halving`), then `rows`, if any.
        corpora: {entanglement: corpus} to use instead of made ones; the first judges all.
        progress: show a bar.
        changes: fields of `Schedule`.
    Returns:
        The rows of results.csv.
    Raises:
        BadInput: an unknown row or preset, a folder that holds another schedule, or a corpus too
            small for a step of one of the rows.
    """
    out, schedule = Path(out), Schedule.named(preset, **changes)
    if corpora is None:
        _check_sizes(schedule, cells(schedule, rows, seeds))
    _claim(out, schedule)
    with tqdm(desc="ablation", unit="step", disable=not progress, smoothing=0.02) as bar:
        while True:
            todo = _agenda(out, schedule, rows, seeds, halved)
            left = _unfinished(out, todo, schedule)
            bar.total = sum(row.steps(schedule) for row, _ in todo)
            bar.n = bar.total - sum(row.steps(schedule) for row, _ in left)
            if not any(_take(out, row, seed, schedule, corpora, bar) for row, seed in left):
                if not (halved and left):  # nothing is left, or others are at it
                    return read_results(out)
                time.sleep(1)  # what others finish may call for more cells


def _check_sizes(schedule: Schedule, todo: list[tuple[Variant, int]]) -> None:
    """Raise BadInput if a step of a row takes more tracks than its corpus will have."""
    for row, seed in todo:
        config, made = row.train_config(schedule, seed), row.speakers(schedule) * schedule.tracks
        if config.B + config.extra > made:
            raise BadInput(
                f"{row.id}: a step takes B + extra = {config.B + config.extra} tracks, and the "
                f"corpus will have {made}; give more speakers or tracks, or a smaller B or extra"
            )


def _agenda(out: Path, schedule: Schedule, rows, seeds, halved: bool) -> list[tuple[Variant, int]]:
    """List the cells to train as far as the results tell, the finished ones included."""
    if not halved:
        return cells(schedule, rows, seeds)
    further = cells(schedule, rows, seeds) if rows else []
    found = {(row.id, seed): row for row, seed in [*halving(read_results(out), schedule), *further]}
    return [(row, seed) for (_, seed), row in found.items()]


def _take(
    out: Path, row: Variant, seed: int, schedule: Schedule, corpora: dict | None, bar
) -> bool:
    """Train a cell unless another process has it or has finished it; say whether it was trained."""
    with lock(out / "runs" / f".{row.id}-{seed}.lock") as mine:
        if not mine or not _unfinished(out, [(row, seed)], schedule):
            return False
        _cell(out, row, seed, schedule, corpora, bar)
        return True


def draw(out, *, pictures: bool = True) -> list[Path]:
    """Draw all plots that results.csv allows, in DIR/figures.

    Args:
        out: folder of the experiment.
        pictures: also write .png, if that is possible here.
    Returns:
        The files.
    """
    from dsel.ablation import figures as ablationplots
    from dsel.plots import style as plots

    plots.use_template()
    made = []
    for name, plot in ablationplots.figures(read_results(out)).items():
        for kind in ("html", "png") if pictures else ("html",):
            path = Path(out) / "figures" / f"{name}.{kind}"
            try:
                plots.write_figure(plot, path)
                made.append(path)
            except BadInput:  # no kaleido or no browser here: the html is there
                pictures = False
    return made


# --- After every choice ---------------------------------------------------------------------------


def freeze(out) -> dict:
    """Write DIR/frozen.json: what is chosen, by which metrics, and the seed of new test speakers.

    A file that is there stays. The seed is taken from the hashes of results and schedule, so that
    nobody chooses it. If the grid is far enough, `grid` holds the front end and lambda that it
    chooses, see `dsel.ablation.halving`.

    Raises:
        BadInput: nothing can be chosen yet.
    """
    out, held = Path(out), Path(out) / "frozen.json"
    if not held.is_file():
        results = read_results(out)
        hashes = {
            name: hashlib.sha256(_there(out / name).read_bytes()).hexdigest()
            for name in ("results.csv", "schedule.json")
        }
        frozen = choose(results) | chosen_by_the_grid(results) | {"sha256": hashes}
        seed = int(hashlib.sha256(json.dumps(frozen, sort_keys=True).encode()).hexdigest()[:7], 16)
        write_json(held, frozen | {"seed": seed})
    return _read_frozen(out)


def frozen_rows(out) -> list[dict]:
    """Return the rows of results.csv on which a choice was frozen.

    The hash in DIR/frozen.json is that of the whole file at the freeze. Later rows stand behind the
    others, and so do later columns. So these are the rows whose text, with as many columns as there
    were then, has the hash.

    Args:
        out: folder of the experiment, with frozen.json, results.csv and schedule.json.
    Returns:
        The rows, as `read_results` returns them; from these, `choose` chooses what is frozen.
    Raises:
        BadInput: no frozen.json, another schedule, or results.csv no longer begins with these rows.
    """
    out = Path(out)
    hashes = _read_frozen(out)["sha256"]
    schedule = hashlib.sha256(_there(out / "schedule.json").read_bytes()).hexdigest()
    if schedule != hashes["schedule.json"]:
        raise BadInput(f"{out / 'schedule.json'}: not the schedule that frozen.json was made with")
    lines = [
        line.split(",")
        for line in read_text(_there(out / "results.csv"), remedy="restore the file").splitlines()
    ]
    for width in sorted({*map(len, lines[:1]), len(FIRST_COLUMNS)}, reverse=True):
        digest = hashlib.sha256()
        for count, line in enumerate(lines):
            digest.update((",".join(line[:width]) + "\n").encode())
            if digest.hexdigest() == hashes["results.csv"]:
                return read_results(out / "results.csv")[:count]
    raise BadInput(
        f"{out / 'results.csv'}: does not begin with the rows that frozen.json was made of; "
        "restore the file"
    )


def confirm(out, *, progress: bool = True) -> list[dict]:
    """Freeze the choice, then draw new test speakers and judge the trained networks on them.

    DIR/frozen.json is written first, see `freeze`. Called again, it goes on. Trainings that were
    finished after the freeze are judged too, but cannot change the choice. Only voices are judged:
    the trials need no faces.

    Args:
        out: folder of the experiment.
        progress: show a bar.
    Returns:
        The rows of confirmed.csv.
    Raises:
        BadInput: nothing can be chosen yet.
    """
    out, held = Path(out), Path(out) / "frozen.json"
    schedule = Schedule.read(_there(out / "schedule.json"))
    frozen = freeze(out)
    if frozen["seed"] == schedule.corpus_seed:
        raise BadInput(
            f"{held}: its seed is the one of the old speakers; the choice must be made again"
        )
    corpus = _make(
        out / "corpora" / f"new-{frozen['seed']}",
        progress,
        speakers=0,
        tracks=1,
        validation=0,
        test=schedule.new_speakers,
        test_tracks=schedule.test_tracks,
        seconds=schedule.seconds,
        size=schedule.size,
        seed=frozen["seed"],
    )
    file, trained_on = out / "confirmed.csv", _corpus(out, schedule, 0.0, None, progress)
    finished = [
        found for found in final(read_results(out)) if (_run_of(out, found) / KEPT).is_file()
    ]
    for found in tqdm(finished, "judging on new speakers", disable=not progress, unit="network"):
        with lock(_run_of(out, found) / ".judged.lock") as mine:
            if not mine or key_of(found) in {key_of(known) for known in read_results(file)}:
                continue
            model, similarity = load_networks(_run_of(out, found) / KEPT)
            directions = face_directions(model, trained_on)
            metrics = judge(model, corpus, "test", similarity, faces=False, directions=directions)
            known = {k: v for k, v in found.items() if not k.startswith(SPLITS)}
            _append(file, known | {f"test_{name}": value for name, value in metrics.items()})
    results = read_results(file)
    when = (
        f"Frozen before these {schedule.new_speakers} speakers were drawn (seed {frozen['seed']}), "
        "on the first "
        f"{len(frozen_rows(out))} rows of results.csv: the row {frozen['chosen']}."
    )
    replace_text(out / "confirmed.md", when + "\n\n" + report(results, "test"))
    return results


def _run_of(out: Path, found: dict) -> Path:
    return out / "runs" / f"{found['row']}-{found['seed']}"


def _there(path: Path) -> Path:
    """Return the path of a file of an experiment. Raises BadInput if it is missing."""
    if not path.exists():
        raise BadInput(f"{path}: missing; run 'dsel ablation --out {path.parent}' first")
    return path


def _read_frozen(out: Path) -> dict:
    """Read frozen.json: what was chosen, the seed of new speakers, and the hashes of the files."""
    path = _there(out / "frozen.json")
    remedy = "restore it; it says what was chosen before the new speakers were drawn"
    frozen = read_json(path, remedy=remedy, entries={"chosen": str, "seed": int, "sha256": dict})
    names = dict.fromkeys(("results.csv", "schedule.json"), str)
    check_entries(f"{path}, sha256", frozen["sha256"], names, remedy)
    return frozen


# --- One cell -------------------------------------------------------------------------------------


def _cell(
    out: Path, row: Variant, seed: int, schedule: Schedule, corpora: dict | None, bar
) -> None:
    """Train one cell to each of its marks and judge it there; keep its networks and its curves."""
    data = _corpus(
        out, schedule, row.entanglement, corpora, not bar.disable, row.speakers(schedule)
    )
    run = out / "runs" / f"{row.id}-{seed}"
    config, model = row.train_config(schedule, seed), row.model_config(schedule)
    trainer = Trainer(
        data, model, config, run, resume=(run / "checkpoint.pt").is_file(), progress=False
    )
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
        if trainer.step > mark or (row.id, seed, mark) in {
            key_of(known) for known in read_results(out)
        }:
            continue  # judged before it was interrupted
        judged = _corpus(out, schedule, 0.0, corpora, not bar.disable)
        known = {
            "row": row.id,
            "seed": seed,
            "step": mark,
            "steps": config.steps,
            "entanglement": row.entanglement,
        }
        found = known | {"pair": pair, **trainer.loss.scales()}
        directions = face_directions(trainer.model, judged) if mark == config.steps else None
        for split in SPLITS:
            metrics = judge(
                trainer.model,
                judged,
                split,
                config.similarity,
                faces=mark == config.steps,
                directions=directions,
            )
            found |= {f"{split}_{name}": value for name, value in metrics.items()}
        if mark == config.steps:
            keep_networks(trainer.model, trainer.config, run / KEPT)
        _append(out / "results.csv", found | {"seconds": time.monotonic() - begun})
        write_report(read_results(out), out)
        told = ", ".join(
            f"{n} {found[f'validation_eer_{n}']:.1f}"
            for n in ("free", "hard")
            if f"validation_eer_{n}" in found
        )
        if not bar.disable:
            tqdm.write(f"{row.id}, seed {seed}, step {mark}: EER on validation speakers: {told}")
    for file in run.glob("checkpoint*"):  # nothing is left to be resumed
        file.unlink()


# --- What is kept on disk -------------------------------------------------------------------------


def _append(path: Path, found: dict) -> None:
    """Add a row to a file, atomically, without losing a row of another process."""
    with lock(path.with_name(f".{path.name}.lock"), wait=True):
        rows = read_results(path)
        fresh = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in found.items()}
        kept = [row for row in rows if key_of(row) != key_of(found)]
        kept = [
            {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in kept
        ]
        write_csv(
            path, [{name: row.get(name, "") for name in COLUMNS} for row in [*kept, fresh]], COLUMNS
        )


def _claim(out: Path, schedule: Schedule) -> None:
    """Take the folder for this schedule; BadInput says in what another one differs."""
    held, wanted = out / "schedule.json", json.loads(json.dumps(asdict(schedule)))
    if held.exists():
        found = json.loads(json.dumps(asdict(Schedule.read(held))))
        differ = [
            f"{k} {found.get(k)} there, {wanted[k]} asked"
            for k in wanted
            if found.get(k) != wanted[k]
        ]
        if differ:
            raise BadInput(
                f"{out}: holds an ablation of another schedule ({', '.join(differ)}); choose "
                "another folder"
            )
    else:
        write_json(held, wanted)
    (out / "runs").mkdir(exist_ok=True)
    sweep(out)


def _unfinished(
    out: Path, todo: list[tuple[Variant, int]], schedule: Schedule
) -> list[tuple[Variant, int]]:
    """List those of the cells that lack the result of one of their marks."""
    known = {key_of(found) for found in read_results(out)}
    return [
        (row, seed)
        for row, seed in todo
        if any((row.id, seed, m) not in known for m in row.marks(schedule))
    ]


def prepare_corpus(
    out, preset: str, entanglement: float, *, train_speakers=None, workers=None, **changes
) -> Corpus:
    """Make one of the corpora of an experiment, and the caches that its cells read, in advance.

    Other processes that need this corpus wait for it.

    Args:
        out: folder of the experiment.
        preset: as in `ablation`.
        entanglement: of the corpus.
        train_speakers: None: as many as the short variants have.
        workers: processes; None: one per core.
        changes: fields of `Schedule`.
    Raises:
        BadInput: as `ablation`.
    """
    out, schedule = Path(out), Schedule.named(preset, **changes)
    _claim(out, schedule)
    size = ModelConfig.named(schedule.config).face_size
    return _corpus(
        out, schedule, entanglement, None, False, train_speakers, workers=workers, cache_at=size
    )


def _corpus(
    out: Path,
    schedule: Schedule,
    entanglement: float,
    given: dict | None,
    progress: bool,
    speakers: int | None = None,
    **how,
) -> Corpus:
    """Return the corpus of an entanglement; make it if it is not there.

    Only the first corpus of entanglement 0 has speakers to judge by.
    """
    if given:
        return open_corpus(given[entanglement if entanglement in given else min(given)])
    speakers = speakers or schedule.speakers
    usual = speakers == schedule.speakers
    judges = usual and not entanglement
    return _make(
        out / "corpora" / (f"e{entanglement:g}" if usual else f"e{entanglement:g}-{speakers}"),
        progress,
        **how,
        speakers=speakers,
        tracks=schedule.tracks,
        seed=schedule.corpus_seed,
        entanglement=entanglement,
        validation=schedule.validation * judges,
        test=schedule.test * judges,
        test_tracks=schedule.test_tracks,
        seconds=schedule.seconds,
        size=schedule.size,
    )


def _make(
    path: Path, progress: bool, workers: int | None = None, cache_at: int | None = None, **recipe
) -> Corpus:
    """Return a toy corpus; make it unless there is one of the same recipe.

    cache_at: also decode what the cells read, at so many pixels.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path.with_name(f".{path.name}.lock"), wait=True):
        if not (path / "corpus.json").is_file():
            from dsel.toy.make import toy

            toy(path, progress=progress, workers=workers, **recipe)
        shutil.rmtree(path / ".parts", ignore_errors=True)  # a kill may have left it
        corpus = Corpus(path)
        found = {**corpus.meta["recipe"], "seed": corpus.meta["seed"]}
        differ = [
            f"{k} {found.get(k)} there, {v} asked" for k, v in recipe.items() if found.get(k) != v
        ]
        if differ:
            raise BadInput(
                f"{path}: holds a corpus made otherwise ({', '.join(differ)}); move it away"
            )
        read = (
            [corpus.split(split) for split in ("train", *SPLITS)] + [face_tracks(corpus)]
            if cache_at
            else []
        )
        for tracks in filter(len, read):
            corpus.cache(cache_at, tracks=tracks, progress=False)
        return corpus
