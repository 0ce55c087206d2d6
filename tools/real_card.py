"""Write data/models/real.md, the card of the released networks `real`: what they are and how good.

    python -m tools.real_card --work runs/real [--real ../shared/real]
    python -m tools.real_card --work runs/real --seeds 500   # data/models/real_seeds.csv first

Everything is measured on people that neither trained the networks nor chose their step (see
tools/train_real.py): LibriSpeech test-other, and 15 people of GRID. With --seeds, the shorter
trainings of that length with seeds of their own are measured as well; what was measured before is
not measured again.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch

from benchmarks.real_voices import conditions, mean_mfcc, voice
from dsel.corpus import Corpus, write_csv
from dsel.evaluate.intervals import Interval, interval
from dsel.evaluate.verification import eer_interval
from dsel.prepare import prepare
from dsel.train.released import RELEASED, load_model, load_released
from dsel.utils.files import write_text
from dsel.utils.markdown import table
from dsel.utils.readers import read_json
from tools.train_real import REAL, pieces, read_progress, right, run_folder

CARD, SEEDS = RELEASED / "real.md", RELEASED / "real_seeds.csv"
SEED_COLUMNS = {  # of SEEDS: what the table says
    "score": "validation, mean of both errors",
    "as_recorded": "test-other, as recorded",
    "microphone_each": "test-other, a microphone each",
    "offsets": "offsets right within a frame",
}
KEYS = ("steps", "seed", "crop", "worn")
OTHERS = ("four_terms", "five_terms")  # beside `real` in the table of voices


def error_rate(embed, sounds: list, speaker: np.ndarray) -> Interval:
    """Measure the EER over all pairs, with its 95 % interval over speakers.

    Vectors are standardised over all utterances, as in benchmarks/real_voices.py.
    """
    vectors = np.stack([embed(x) for x in sounds])
    vectors = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + 1e-9)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    i, j = np.triu_indices(len(sounds), 1)
    a, b = speaker[i], speaker[j]
    return eer_interval((vectors[i] * vectors[j]).sum(axis=1), a == b, a, b)


def percents(found: Interval) -> str:
    """Write an interval in percent."""
    return f"{100 * found.mean:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def test_other(real: Path) -> dict[str, tuple]:
    """Return both conditions of LibriSpeech test-other: {name: (sounds, speakers, ...)}."""
    return {k: v for k, v in conditions(real).items() if k.startswith("test-other")}


def measure_seeds(real: Path, work: Path, steps: int) -> None:
    """Measure the trainings of `run_folder` of this length that have ended, into SEEDS."""
    rows = read_seeds()
    known = {tuple(row[name] for name in KEYS) for row in rows}
    grid = prepare(real / "grid", work / "grid", layout="grid", workers=1, progress=False)
    groups = test_other(real)
    for run in sorted(work.glob(f"run-{steps}-*")):
        _, length, seed, *more = run.name.split("-")
        worn = [part.removeprefix("worn") for part in more if part.startswith("worn")]
        crop = "mouth" if "mouth" in more else "face"
        key = dict(zip(KEYS, (length, seed, crop, *(worn or ["0"])), strict=True))
        if tuple(key.values()) not in known and _ended(run, steps):
            rows = [*rows, {**key, **measured(run, groups, grid)}]
            write_csv(SEEDS, rows, (*KEYS, "best_step", *SEED_COLUMNS))
            print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)


def _ended(run: Path, steps: int) -> bool:
    """Return whether the last step of a training has been judged."""
    return any(row["step"] == steps for row in read_progress(run / "progress.csv"))


def measured(run: Path, groups: dict[str, tuple], grid: Corpus) -> dict:
    """Measure a training as the card does, in percent, and what validation said of it."""
    best = run / "best"
    model = load_model(best, "cpu")
    step = torch.load(best / "checkpoint.pt", map_location="cpu", weights_only=True)["step"]
    rates = {
        name: 100 * error_rate(voice(model), sounds, who).mean
        for name, (sounds, who, _) in groups.items()
    }
    found = {label: rates.get(title) for label, title in SEED_COLUMNS.items()}
    found["score"] = min(row["score"] for row in read_progress(run / "progress.csv"))
    found["offsets"] = 100 * right(pieces(model, grid, "test"))
    return {"best_step": step, **{key: round(value, 2) for key, value in found.items()}}


def read_seeds() -> list[dict]:
    """Read SEEDS; [] if there is none."""
    if not SEEDS.is_file():
        return []
    with SEEDS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def seeds_table() -> str:
    """Tabulate the shorter trainings: each seed, the mean for each crop, and further changes."""
    rows, cells = read_seeds(), []
    plain = [row for row in rows if float(row["worn"]) == 0]
    for steps, crop in sorted({(int(row["steps"]), row["crop"]) for row in plain}):
        mine = [row for row in plain if (row["steps"], row["crop"]) == (str(steps), crop)]
        cells += [_cells(row, crop) for row in mine]
        if len(mine) > 1:
            means = [str(interval([float(row[key]) for row in mine])) for key in SEED_COLUMNS]
            cells.append([crop, str(steps), "mean, 95 %", "", *means])
    cells += [_cells(r, f"{r['crop']}, worn {r['worn']}") for r in rows if r not in plain]
    head = ["content head sees", "steps", "seed", "best", *SEED_COLUMNS.values()]
    return table(head, cells, align="lrrrrrrr")


def _cells(row: dict, what: str) -> list[str]:
    """Write a line of the table."""
    return [what, row["steps"], row["seed"], row["best_step"], *(row[key] for key in SEED_COLUMNS)]


def voices_table(real: Path) -> str:
    """Tabulate error rates on test-other: mean MFCC, networks trained on drawn people, `real`."""
    groups = test_other(real)
    judges = {"mean MFCC, cosine": mean_mfcc}
    judges |= {f"`{name}`": voice(load_released(name)) for name in (*OTHERS, "real")}
    rows = [
        [name, *(percents(error_rate(embed, sounds, who)) for sounds, who, _ in groups.values())]
        for name, embed in judges.items()
    ]
    return table(["judge", *groups], rows, align="lrr")


def offsets_table(real: Path, work: Path) -> str:
    """Tabulate how often the offset is right within a frame, for every other person of GRID."""
    grid = prepare(real / "grid", work / "grid", layout="grid", workers=1, progress=False)
    found = pieces(load_released("real"), grid, "test")
    rows = []
    for name in sorted({speaker for speaker, *_ in found}):
        mine = [row for row in found if row[0] == name]
        rows.append([name, len(mine), f"{100 * right(mine):.1f}"])
    rows.append(["all", len(found), f"{100 * right(found):.1f}"])
    return table(["person", "pairs", "right within a frame, %"], rows, align="lrr")


def seeds_text() -> str:
    """Write what the shorter trainings say."""
    rows = read_seeds()
    if not rows:
        return "Not measured."
    worn = (
        """
*worn*: with rooms, noise, speed, blur and compression of that strength besides
(`dsel.train.augment`), one seed; by validation it was not taken."""
        if any(float(row["worn"]) for row in rows)
        else ""
    )
    return f"""The same, shorter, from other first weights and in another order
(`python tools/train_real.py --steps 500 --seed 1 --crop face`), and in full length with all of the
face; the step is chosen and all is measured as above, in %. The learning rate falls to 0 within
the shorter trainings, so these are networks of their own. By the validation column of the full
length the content head was given the mouth. The price: the face trunk runs twice.{worn}

{seeds_table()}"""


def card(real: Path, work: Path) -> str:
    """Write the card."""
    about = read_json(RELEASED / "real.json", remedy="release the networks again")
    course = [
        [f"{row['step']:.0f}", *(f"{row[key]:.1f}" for key in ("eer", "wrong_offsets"))]
        for row in read_progress(run_folder(work, about["train"]["steps"], None) / "progress.csv")
    ]
    lam, step, steps = about["train"]["lam"], about["step"], about["train"]["steps"]
    judged = table(["step", "EER, %", "wrong offsets, %"], course, align="rrr")
    whole = int(course[-1][0]) == steps
    ended = "The training ran to its end." if whole else "It was stopped after the last of them."
    return f"""# `real`: trained on voices of real speakers

`dsel.load("real")`. The networks of `four_terms` (same layers, same loss, λ = {lam:g}), trained on
recordings instead of synthetic voices; their content head sees the mouth alone, enlarged
(`ModelConfig.content_crop`). SHA-256 of the weights:
`{about["sha256"]}`.
Made by `python -m tools.train_real`; this card by `python -m tools.real_card`.

**Data.** Voices of 340 speakers: LibriSpeech train-clean-100 (one recording each) and
speechocean762 (eight short ones each, readers of English whose first language is Mandarin, half of
them children), cut into eight tracks of 2 s behind drawn faces, each with a microphone, a room and
noise of its own. Faces: drawn, and one real one, the speaker s1 of GRID (83 clips, each twice an
epoch). Microphone and light are drawn anew at every step. No recording is part of the repository.

**Training.** Seed 0; step {step} of {steps} planned ones, the best of the judgements below:
on the 36 left-out speakers (EER, every track through another microphone) and on the 17 other clips
of s1 (offsets of 2 s, ±15 frames). {ended}
Validation also chose that the content head sees the mouth, see *Other trainings*. Nothing else was
chosen.

{judged}

**Voices**, equal error rate in % on LibriSpeech test-other (10 speakers, 100 utterances, all 4950
pairs), in brackets the 95 % interval over speakers. "A microphone each": every utterance through
another microphone, room and noise, so that the recording does not tell the speaker. The intervals
are wide and overlap: ten speakers.

{voices_table(real)}

**Offsets** on 15 people of GRID that were never trained on, 2 s of face and sound, ±15 frames,
chance 9.7 %. Pieces of one clip overlap, so the counts are not numbers of independent trials. Other
lengths and networks: [benchmarks/offsets.md](../../benchmarks/offsets.md).

{offsets_table(real, work)}

**Other trainings.** {seeds_text()}

**Use.** Voices and offsets of real people in teaching and research; a start for fine-tuning.

**Limits.** One seed. All real faces of the training are one man's in one studio; other cameras,
languages and ways of speaking are harder, and were not measured. The face identity head has met one
real face, so it knows nothing of real faces. Never decide who somebody is by these networks.

**Licence.** CC BY 4.0, since the weights were made from recordings under that licence: LibriSpeech
(V. Panayotov, G. Chen, D. Povey, S. Khudanpur, 2015), the GRID corpus (M. Cooke, J. Barker,
S. Cunningham, X. Shao, 2006; Zenodo record 3625687). speechocean762 (J. Zhang and others, 2021) is
free for commercial and non-commercial use. Attribute the weights to the authors of dsel and name
these corpora.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/real"))
    parser.add_argument("--real", type=Path, default=REAL, help="folder of the recordings")
    parser.add_argument("--seeds", type=int, metavar="STEPS", help="measure trainings of STEPS")
    options = parser.parse_args()
    if options.seeds:
        measure_seeds(options.real, options.work, options.seeds)
    write_text(CARD, card(options.real, options.work))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
