"""Measure how far the answers of the released networks may be trusted; write it beside them.

    python -m tools.calibrate voices  --work runs/calibration    # data/models/same_person.csv
    python -m tools.calibrate offsets --work runs/calibration    # data/models/offsets.csv
    python -m tools.calibrate films   --work runs/calibration    # benchmarks/films.md

Everything is set on one group of speakers and checked on another one.

    kind    set on                                             checked on
    drawn   40 speakers of a toy corpus of its own (seed 7)    60 other speakers of it
    real    voices: 36 speakers that `real` was not trained    LibriSpeech test-other
            on (tools/train_real.py)
            offsets: 17 clips of GRID's s1 that no network     the other 15 people of GRID
            was trained on

Recordings are not part of the repository: --real names their folder.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from dsel import corpus as corpora
from dsel.apply import comparison
from dsel.apply.offset import joined
from dsel.apply.sound import mean_embedding
from dsel.corpus import Corpus, Track, write_csv
from dsel.evaluate import embed_tracks, sync
from dsel.evaluate.intervals import speaker_bootstrap
from dsel.evaluate.verification import det_curve
from dsel.model import TwoStream
from dsel.prepare import prepare
from dsel.timing import FPS, SAMPLE_RATE, WINDOW_FRAMES
from dsel.toy.make import toy
from dsel.toy.plan import Recipe, plan
from dsel.toy.seeds import stream
from dsel.toy.speech import recordings, room
from dsel.train.released import load_released, released_names, sha256
from dsel.utils import package_data
from dsel.utils.files import write_text
from dsel.utils.markdown import table
from tools.train_real import REAL, TRACKS, TRAIN, VALIDATION, split_of, voices

ROOT = Path(__file__).resolve().parents[1]
MODELS = package_data.folder() / "models"
SECONDS = {"drawn": 2.0, "real": 4.0}  # longest recording
SEED = 7  # of the toy corpus; no network was trained or judged on it
Sounds = tuple[list[np.ndarray], np.ndarray]  # recordings, and the speaker of each


def drawn_people(work: Path) -> Corpus:
    """Make the toy corpus of this script: 40 speakers to set by, 60 to check by."""
    return toy(
        work / "drawn", 1, 1, validation=40, test=60, test_tracks=12, size=48, seed=SEED, workers=1
    )


def drawn_sounds(work: Path, split: str) -> Sounds:
    """Return the sounds of all tracks of a split that say free speech."""
    corpus = drawn_people(work)
    tracks = [t for t in corpus.split(split) if t.factors["vocabulary"] == "free"]
    sounds = [corpus.clip(track)[1] for track in tracks]
    return sounds, np.array([track.speaker for track in tracks])


def real_sounds(real: Path, work: Path, part: str) -> Sounds:
    """Return recordings of real people, each through a microphone, a room and noise of its own."""
    if part == "validation":
        folder = voices(real, work / "voices")
        recipe = Recipe(TRAIN, TRACKS, VALIDATION, test=0, test_tracks=TRACKS, voices=str(folder))
        cast = plan(recipe)
        names = [name for name, tracks in cast.items() if tracks[0].split == part]
    else:
        folder = real / "librispeech" / "test-other"
        names = list(recordings.find(folder))
    most = int(SECONDS["real"] * SAMPLE_RATE)
    sounds, speakers = [], []
    for name, files in recordings.find(folder).items():
        for path in files if name in names else ():
            whole = recordings.read(path)
            count = max(1, len(whole) // most) if len(files) == 1 else 1
            for x in (whole[k * most : (k + 1) * most] for k in range(count)):
                drawn = room.draw_room(stream(SEED, f"{path.stem} {len(sounds)}", "sound"))
                sounds.append(np.asarray(room.record(x, drawn), np.float32))
                speakers.append(name)
    return sounds, np.array(speakers)


def pair_scores(
    model: TwoStream, sounds: Sequence[np.ndarray], speaker: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Score all pairs: cosines (K,), whether both are of one speaker (K,), and the speakers."""
    vectors = np.stack([mean_embedding(model, x, "identity") for x in sounds])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    i, j = np.triu_indices(len(sounds), 1)
    a, b = speaker[i], speaker[j]
    return (vectors[i] * vectors[j]).sum(axis=1), a == b, a, b


def equal_error_threshold(scores: np.ndarray, target: np.ndarray) -> float:
    """Return the threshold at which both errors are equally frequent."""
    curve = det_curve(scores, target)
    return float(curve.threshold[np.argmax(curve.miss >= curve.false_alarm)])


def share(event: np.ndarray, among: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    """Share of trials with `event` among some trials, with its 95 % interval over speakers."""

    def statistic(weight: np.ndarray) -> float:
        if not weight[among].sum():
            raise ValueError("nobody drawn has such a trial")
        return float(np.average(event[among], weights=weight[among]))

    found = speaker_bootstrap(statistic, a, b)
    return found.mean, found.low, found.high


def voices_row(name: str, kind: str, fit: Sounds, check: Sounds) -> dict:
    """Set the threshold of a network on some speakers, count its errors on others."""
    model = load_released(name)
    scores, target, *_ = pair_scores(model, *fit)
    threshold = round(equal_error_threshold(scores, target), 4)
    scores, target, a, b = pair_scores(model, *check)
    errors = (*share(scores <= threshold, target, a, b), *share(scores > threshold, ~target, a, b))
    return {
        **{"network": name, "sha256": sha256(MODELS / f"{name}.pt"), "kind": kind},
        "threshold": threshold,
        **{key: round(value, 4) for key, value in zip(comparison.ERRORS, errors, strict=True)},
        **{"seconds": SECONDS[kind], "fitted_on": len(set(fit[1]))},
        **{"speakers": len(set(check[1])), "trials": len(target)},
    }


def calibrate_voices(real: Path, work: Path, names: Sequence[str]) -> list[dict]:
    """Return the rows of same_person.csv for some networks."""
    groups = {
        "drawn": (drawn_sounds(work, "validation"), drawn_sounds(work, "test")),
        "real": (real_sounds(real, work, "validation"), real_sounds(real, work, "test")),
    }
    return [voices_row(name, kind, *groups[kind]) for name in names for kind in groups]


def update(path: Path, rows: list[dict], columns: tuple[str, ...], names: Sequence[str]) -> None:
    """Replace the rows of some networks in a table; the others stay."""
    old: list[dict] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            old = [row for row in csv.DictReader(file) if row["network"] not in names]
    kept = sorted([*old, *rows], key=lambda row: (row["network"], row["kind"]))
    write_csv(path, kept, columns)


LENGTHS = (1.0, 1.5, 2.0, 2.5, 4.0, sync.LONGEST)  # seconds that are compared
PART = 2.0  # seconds of each of several pieces, where no clip is as long
MISFITS = 0.2  # share of pairs whose sound belongs to another clip: as many are no match in life
LOOKS = 500  # pairs of a length
STEPS = ((0, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.01))  # of the probability, for the table
PAGE = ROOT / "benchmarks" / "offsets.md"
Look = tuple[float, float, bool, bool, float]  # length, margin, match, right, seconds


def looks(model: TwoStream, corpus: Corpus, tracks: Sequence[Track], seed: int) -> list[Look]:
    """Compare faces and sounds cut from the tracks at places whose distance is known.

    Returns:
        (length, margin, whether they belong together, whether the offset is right within one
        frame, seconds) of each pair.
    """
    cache = corpus.cache(model.config.face_size, tracks=tracks, progress=False)
    e = embed_tracks(model, cache, list(tracks), progress=False)
    clips = [(e.of(k, "face", "content"), e.of(k, "audio", "content")) for k in range(len(tracks))]
    rng, found = np.random.default_rng(seed), []
    for length in LENGTHS:
        many = 1 if length <= longest(clips) else round(length / PART)
        windows = round((length if many == 1 else PART) * FPS) - WINDOW_FRAMES + 1
        reach = min(sync.WIDE, (windows - 8) // 2) if windows > 100 else min(15, (windows - 1) // 2)
        for _ in range(LOOKS):
            match = rng.random() >= MISFITS
            shift = drawn_shift(clips, windows, reach, rng)
            pairs = [piece(clips, windows, shift, match, rng) for _ in range(many)]
            curve = sync.mean_curve(pairs, reach)
            right = match and abs(int(curve.argmax()) - reach - shift) <= 1
            found.append((length, sync.margin(curve), match, right, length))
    return found


def longest(clips: Sequence[sync.Pair]) -> float:
    """Return the longest piece that all clips have, in seconds, with room for a shift."""
    return (min(len(face) for face, _ in clips) - 8 + WINDOW_FRAMES - 1) / FPS


def drawn_shift(
    clips: Sequence[sync.Pair], windows: int, reach: int, rng: np.random.Generator
) -> int:
    """Draw by how many frames a sound is to be late: as far as it is tried and clips have room."""
    most = min(reach, min(len(face) for face, _ in clips) - windows)
    return int(rng.integers(-most, most + 1))


def piece(
    clips: Sequence[sync.Pair], windows: int, shift: int, match: bool, rng: np.random.Generator
) -> sync.Pair:
    """Cut a face, and a sound that is `shift` frames late, from one clip; or from two clips."""
    k, j = rng.choice(len(clips), size=2, replace=False)
    face, audio = clips[k][0], clips[k if match else j][1]
    room = min(len(face), len(audio)) - windows
    # What the face shows at t is heard at t + shift, if its piece begins `shift` later.
    heard = int(rng.integers(max(0, -shift), room - max(0, shift) + 1))
    seen = heard + shift
    return face[seen : seen + windows], audio[heard : heard + windows]


def fitted(found: Sequence[Look]) -> tuple[float, float, float]:
    """Fit the logistic curve: constant, margin, length."""
    from sklearn.linear_model import LogisticRegression

    x = np.array([(m, np.log2(seconds)) for _, m, _, _, seconds in found])
    y = np.array([right for *_, right, _ in found])
    fit = LogisticRegression(C=1e6).fit(x, y)
    return float(fit.intercept_[0]), *map(float, fit.coef_[0])


def offset_groups(real: Path, work: Path) -> dict[str, tuple]:
    """Return, for each kind: a corpus, the tracks to set by and the tracks to check by."""
    films = toy(
        work / "films", 1, 1, validation=40, test=60, test_tracks=1, seconds=12.0, size=48,
        seed=SEED, workers=1,
    )  # fmt: skip
    grid = prepare(real / "grid", work / "grid", layout="grid", workers=1)
    parts = [[t for t in grid.tracks if split_of(t) == split] for split in ("validation", "test")]
    return {
        "drawn": (films, films.split("validation"), films.split("test")),
        "real": (grid, *parts),
    }


def calibrate_offsets(real: Path, work: Path, names: Sequence[str]) -> list[dict]:
    """Return the rows of offsets.csv, and write the page that shows how well they hold."""
    groups, rows, tables = offset_groups(real, work), [], []
    for kind, (corpus, fit, check) in groups.items():
        pooled: list[Look] = []
        checked: list[Look] = []
        for name in (*names, "other"):
            if name == "other":
                found, judged = pooled, checked
            else:
                model = load_released(name)
                found = looks(model, corpus, fit, seed=1)
                judged = looks(model, corpus, check, seed=2)
            pooled, checked = [*pooled, *found], [*checked, *judged]
            values = [round(x, 4) for x in fitted(found)]
            digest = "" if name == "other" else sha256(MODELS / f"{name}.pt")
            keys = ("constant", "margin", "length")
            rows.append({"network": name, "sha256": digest, "kind": kind})
            rows[-1] |= {**dict(zip(keys, values, strict=True)), "fitted_on": len(found)}
            tables.append((name, kind, sync.Curve(*values), judged))
    write_text(PAGE, offsets_page(tables))
    return rows


def percent(values: np.ndarray, digits: int = 0, count: bool = False) -> str:
    """Write a share in percent; '-' of nothing. count: and of how many, in brackets."""
    if not len(values):
        return "-"
    return f"{100 * values.mean():.{digits}f}" + (f" ({len(values)})" if count else "")


def offsets_page(tables: list[tuple]) -> str:
    """Write the page: how often offsets are right, and whether the probability is true."""
    curves, shares, verdicts = [], [], []
    for name, kind, curve, found in tables:
        said = np.array([curve.right(m, seconds) for _, m, _, _, seconds in found])
        match, right = (np.array([look[k] for look in found]) for k in (2, 3))
        length = np.array([look[0] for look in found])
        among = [right[match & (length == seconds)] for seconds in LENGTHS]
        steps = [right[(said >= low) & (said < high)] for low, high in STEPS]
        told, long = said >= sync.LIKELY, length >= sync.LONG
        shares.append([name, kind, *(percent(x, 1) for x in among)])
        curves.append([name, kind, *(percent(x, count=True) for x in steps)])
        nobody = [said[part & long] < 0.5 for part in (~match, match)]
        verdicts.append([name, kind, percent(told[match]), percent(~right[told], 1)])
        verdicts[-1] += [percent(x) for x in nobody]
    names = ["network", "kind"]
    lengths = [*names, *(f"{seconds:g} s" for seconds in LENGTHS)]
    ranges = [*names, *(f"{100 * low:.0f} to {min(100, 100 * high):.0f}" for low, high in STEPS)]
    columns = [*names, "told", "of these wrong", "misfits found", "matches refused"]
    align = "ll" + "r" * len(LENGTHS)
    return f"""# Offsets, and how far to trust them

Made by `python -m tools.calibrate offsets`; its head names the data. Every number is measured on
people who were not used to fit the curves: `drawn` on 60 drawn people (12 s each), `real` on the 20
clips (3 s) of 15 people of GRID, all from one studio. Clips from elsewhere are harder. Pieces of
one clip overlap, so the counts are not numbers of independent trials. `other`: the curve for
networks without one of their own.

**Right within one frame**, in %, by how much face and sound is compared. Searched up to 15 frames
early and late; in films of 8 s up to 75. The clips of GRID last 3 s: 4 and 8 s of them are two and
four pieces of 2 s from different clips, with one offset, as in a film with cuts.

{table(lengths, shares, align=align)}

**Is the probability true?** Columns: the probability in % that is told. Cells: how many of 100 such
answers are right, in brackets the number of answers. {100 * MISFITS:.0f} % of the pairs do not
belong together, and count as wrong.

{table(ranges, curves, align=align[: len(ranges)])}

**What is said**, in %. An offset is told, and applied, from {100 * sync.LIKELY:.0f} % on.
*told*: share of matching pairs for which it is. *of these wrong*: share of the told offsets that
are wrong. Among pairs of {sync.LONG:g} s and more: share of misfits that are said to fit nobody,
and of matches that are refused so by mistake.

{table(columns, verdicts, align=align[: len(columns)])}
"""


FILMS = ROOT / "benchmarks" / "films.md"
FILM = 4  # clips of 2 or 3 s that make a film
MOST = 12  # frames by which the sound of a film is moved
COUNT = 264  # films in step, and as many dubbed ones


def in_step_and_dubbed(clips: list[sync.Pair], rng: np.random.Generator) -> tuple[list, list]:
    """Make films of some clips: with their own sound, moved, and with the sound of others.

    A clip that is long enough is a film by itself; otherwise FILM clips are one film with cuts.

    Args:
        clips: content embeddings (N, D) of face and sound of each.
        rng: the random stream.
    Returns:
        [(pairs, frames by which the sound is late), ...], and [pairs, ...].
    """
    many = 1 if min(len(face) for face, _ in clips) > 200 else FILM
    step, dubbed = [], []
    for _ in range(COUNT):
        chosen = rng.choice(len(clips), many, replace=False)
        late = int(rng.integers(-MOST, MOST + 1))
        step.append(([moved(clips[k], late) for k in chosen], late))
        others = [(k + int(rng.integers(1, len(clips)))) % len(clips) for k in chosen]
        pairs = [(clips[k][0], clips[j][1]) for k, j in zip(chosen, others, strict=True)]
        shortest = [min(len(face), len(audio)) for face, audio in pairs]
        cut = zip(pairs, shortest, strict=True)
        dubbed.append([(face[:n], audio[:n]) for (face, audio), n in cut])
    return step, dubbed


def moved(clip: sync.Pair, late: int) -> sync.Pair:
    """Make the sound of a clip late by some frames."""
    face, audio = clip
    first, last = max(0, late), len(face) + min(0, late)
    return face[first:last], audio[first - late : last - late]


def whole(pairs: Sequence[sync.Pair], curve: sync.Curve) -> sync.Offset:
    """Find the offset from the mean curve of all clips, without a vote."""
    return sync.find_offset(pairs, curve)


def windows(pairs: Sequence[sync.Pair], curve: sync.Curve) -> sync.Offset:
    """Find the offset as `dsel sync` does: the windows vote."""
    return joined([(0.0, pair) for pair in pairs], curve)[0]


def films(real: Path, work: Path, names: Sequence[str]) -> list[dict]:
    """Write the page of films: what a vote of windows is worth on films in step and dubbed ones."""
    rows = []
    people = {kind: (corpus, list(check)) for kind, (corpus, _, check) in
              offset_groups(real, work).items()}  # fmt: skip
    mini = corpora.open("mini")
    people = {"drawn, 4 x 2 s": (mini, list(mini.split("test"))), **people}
    titles = {"drawn": "drawn, 12 s", "real": "GRID, 4 x 3 s"}
    for name in names:
        model = load_released(name)
        for kind, (corpus, tracks) in people.items():
            cache = corpus.cache(model.config.face_size, tracks=tracks, progress=False)
            e = embed_tracks(model, cache, tracks, progress=False)
            clips = [(e.of(k, "face", "content"), e.of(k, "audio", "content"))
                     for k in range(len(tracks))]  # fmt: skip
            step, dubbed = in_step_and_dubbed(clips, np.random.default_rng(SEED))
            curve = sync.calibration(name, "real")
            for way in (whole, windows):
                found = [(way(pairs, curve), late) for pairs, late in step]
                right = np.array([abs(answer.late - late) <= 1 for answer, late in found])
                told = np.array([answer.sure for answer, _ in found])
                voices = [way(pairs, curve) for pairs in dubbed]
                rows.append({"network": name, "films": titles.get(kind, kind), "way": way.__name__})
                rows[-1] |= {"right": percent(right, 1), "withheld": percent(~told[right], 1)}
                rows[-1] |= {"wrong": percent(~right[told], 1)}
                rows[-1] |= {"dubbed": percent(np.array([v.sure for v in voices]), 1)}
                rows[-1] |= {"nobody": percent(np.array([v.fits_nobody for v in voices]))}
                print(", ".join(map(str, rows[-1].values())), flush=True)
    write_text(FILMS, films_page(rows))
    return []


def films_page(rows: list[dict]) -> str:
    """Write the page of films."""
    head = [
        "network",
        "films",
        "way",
        "right",
        "not told",
        "told wrongly",
        "dubbed: told",
        "nobody",
    ]
    cells = table(head, [list(row.values()) for row in rows], align="lllrrrrr")
    return f"""# Films: in step, and dubbed

Made by `python -m tools.calibrate films --networks real four_terms`. {COUNT} films in step, their
sound moved by up to {MOST} frames, and {COUNT} with the sound of somebody else: of drawn people
whom the networks never met, and of the 15 people of GRID. A film of short clips has cuts, as an
interview has. The curves are those of `data/models/offsets.csv` for real people. In %.

*whole*: the offset with the best mean curve over all clips. *windows*: every window of up to 4 s
answers by itself, and the answers vote (`dsel.evaluate.sync.voted`); `dsel sync` and, with its
clips, `dsel prepare` do so. *right*: within one frame, whether told or not. *not told*: of the
right answers, those that are called "not sure", the price of caution. *told wrongly*: of the told
ones. *dubbed: told*: dubbed films that are told an offset. *nobody*: dubbed films of which it is
said that the sound fits nobody.

{cells}
"""


PARTS: dict[str, tuple[Callable, Path | None, tuple[str, ...]]] = {
    "voices": (calibrate_voices, comparison.FILE, tuple(comparison.COLUMNS)),
    "offsets": (calibrate_offsets, sync.FILE, tuple(sync.COLUMNS)),
    "films": (films, None, ()),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=PARTS)
    parser.add_argument("--work", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--real", type=Path, default=REAL, help="folder of the recordings")
    parser.add_argument("--networks", nargs="*", default=released_names(), help="default: all")
    options = parser.parse_args()
    measure, path, columns = PARTS[options.what]
    rows = measure(options.real, options.work, options.networks)
    if path is not None:
        update(path, rows, columns, [row["network"] for row in rows])
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items() if key != "sha256"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
