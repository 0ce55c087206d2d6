"""Do networks that learnt real voices from drawn faces know a stranger, or only the recording?

    python benchmarks/real_voices.py --work runs/real_voices [--real ../shared/real] \\
        [--seeds 3] [--steps 800]

Training: 251 speakers of train-clean-100, one recording each, cut into six tracks of 2 s behind
drawn faces, every track with a microphone and a room of its own (`dsel toy --voices`). Variants:
three front ends, each with lambda 0, 1 and 3, and lambda 1 with the fifth term. Judged on speakers
of other corpora: test-other (10 speakers x 10 utterances) and speechocean762 (125 readers x 8),
every pair a trial. As recorded each speaker is one session, so whoever recognises the recording
recognises the speaker; therefore test-other is judged again with a microphone, room and noise drawn
for every utterance. Beside the networks stand judges that were never trained: the cosine of mean
MFCCs and of mean log-mels, and untrained networks.

Rows go to data/ablation/real_voices.csv as they come, and benchmarks/real_voices.md shows them;
what is done is not done again, so the command may be stopped and repeated.
"""

from __future__ import annotations

import argparse
import csv
import os
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dsel import corpus as corpora
from dsel.audio import log_mel, mfcc
from dsel.corpus import write_csv
from dsel.evaluate import equal_error_rate
from dsel.model import ModelConfig, TwoStream
from dsel.timing import SAMPLES_PER_FRAME
from dsel.toy.make import toy
from dsel.toy.seeds import stream
from dsel.toy.speech import recordings, room
from dsel.train import TrainConfig, Trainer, load_model
from dsel.utils import markdown

ROOT = Path(__file__).resolve().parents[1]
SPEAKERS, TRACKS = 251, 6
FRONT_ENDS = {"track": "normalised over the track", "level": "level only", "none": "not normalised"}
LOSSES = {  # name: (its label, fields of TrainConfig)
    "lam0": ("lambda 0", {"lam": 0.0, "within": 0.0}),
    "lam1": ("lambda 1", {"lam": 1.0, "within": 0.0}),
    "lam3": ("lambda 3", {"lam": 3.0, "within": 0.0}),
    "within": ("lambda 1 + L_within", {"lam": 1.0, "within": 1.0}),
}
VARIANTS = {  # name: (its label, fields of TrainConfig, of ModelConfig)
    f"{front}-{loss}": (f"{where}, {label}", changes, {"front_end": front})
    for loss, (label, changes) in LOSSES.items()
    for front, where in FRONT_ENDS.items()
}
COLUMNS = ("judge", "seed", "steps", "condition", "eer", "eer_same_sex")
LONGEST = 10 * 16_000  # samples of an utterance that are heard


def utterances(folder: Path) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The sounds (U of them), their speakers (U,) and sexes (U,), from SPEAKERS.TXT."""
    rows = [
        line.split("|")
        for line in (folder / "SPEAKERS.TXT").read_text(encoding="utf-8").splitlines()
        if line[0] != ";"
    ]
    sex = {row[0].strip(): row[1].strip() for row in rows}
    found = [(name, path) for name, paths in recordings.find(folder).items() for path in paths]
    sounds = [recordings.read(path)[:LONGEST] for _, path in found]
    return sounds, np.array([name for name, _ in found]), np.array([sex[name] for name, _ in found])


def with_own_microphone(sounds: list[np.ndarray]) -> list[np.ndarray]:
    """Each through a microphone, a room and noise of its own, drawn as the corpus draws them."""
    return [
        room.record(x, room.draw_room(stream(2020, f"utterance {k}", "sound")))
        for k, x in enumerate(sounds)
    ]


def mean_log_mel(x: np.ndarray) -> np.ndarray:
    return log_mel(torch.from_numpy(_whole_frames(x))[None])[0].mean(dim=1).numpy()  # (40,)


def mean_mfcc(x: np.ndarray) -> np.ndarray:
    """Without the 0th, loudness: (19,)."""
    return mfcc(torch.from_numpy(_whole_frames(x))[None])[0, 1:].mean(dim=1).numpy()


def voice(model: TwoStream):
    """Sound -> mean of its audio identity embeddings, (D,)."""

    def embed(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return (
                model.audio(torch.from_numpy(_whole_frames(x))[None], ("identity",))["identity"][0]
                .mean(dim=0)
                .numpy()
            )

    return embed


def _whole_frames(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x[: len(x) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME], np.float32)


def eers(sounds, speaker, sex, embed) -> tuple[float, float]:
    """EER over all pairs of utterances, and over those of one sex, by the cosine of vectors
    standardised over all utterances.

    Without that, the few MFCCs that vary most decide, and the untrained judges look weaker than
    they are.
    """
    vectors = np.stack([embed(x) for x in sounds])
    vectors = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + 1e-9)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    i, j = np.triu_indices(len(sounds), 1)
    scores, target, same = (
        (vectors[i] * vectors[j]).sum(axis=1),
        speaker[i] == speaker[j],
        sex[i] == sex[j],
    )
    return equal_error_rate(scores, target), equal_error_rate(scores[same], target[same])


def trained_voice(data: Path, run: Path, steps: int, seed: int, changes: dict, shape: dict):
    """`voice` of networks trained in the folder `run`, or found there."""
    options = {"save_every": 50, "keep": 1, "tensorboard": False, **changes}
    config, model = (
        TrainConfig.laptop(seed=seed, steps=steps, **options),
        ModelConfig.laptop(**shape),
    )
    resume = (run / "checkpoint.pt").is_file()
    trainer = Trainer(corpora.open(data), model, config, run, resume=resume, progress=False)
    if trainer.step < config.steps:
        trainer.fit()
    return voice(load_model(run, "cpu"))


def conditions(real: Path) -> dict[str, tuple]:
    """Sounds, speakers and sexes to judge by: name -> ((U,) arrays, (U,) str, (U,) str)."""
    sounds, speaker, sex = utterances(real / "librispeech" / "test-other")
    found = {
        "test-other, as recorded": (sounds, speaker, sex),
        "test-other, a microphone each": (with_own_microphone(sounds), speaker, sex),
    }
    if (real / "speechocean").is_dir():
        found["speechocean, as recorded"] = readers_of_english(real / "speechocean")
    return found


def readers_of_english(folder: Path) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """As `utterances`, of speechocean762's training split."""
    with (folder / "speakers.csv").open(newline="", encoding="utf-8") as file:
        sex = {row["speaker"]: row["gender"] for row in csv.DictReader(file)}
    paths = [
        (name, path) for name, paths in recordings.find(folder / "train").items() for path in paths
    ]
    sounds = [recordings.read(path)[:LONGEST] for _, path in paths]
    names = np.array([name for name, _ in paths])
    return sounds, names, np.array([sex[name] for name in names])


def judged(embed, tests: dict[str, tuple]) -> list[dict]:
    """One row a condition: EER over all pairs and over pairs of one sex, in percent."""
    rows = []
    for name, (sounds, speaker, sex) in tests.items():
        whole, same_sex = (100 * x for x in eers(sounds, speaker, sex, embed))
        rows.append({"condition": name, "eer": f"{whole:.2f}", "eer_same_sex": f"{same_sex:.2f}"})
    return rows


def read_rows(path: Path) -> list[dict]:
    """The rows of a csv file; [] if there is none."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(rows: list[dict]) -> str:
    """Markdown: a judge a line, a condition a column; mean over seeds, in brackets their range."""
    names = list(dict.fromkeys(row["condition"] for row in rows))
    lines = []
    for _, judge in sorted({(int(row["steps"]), row["judge"]) for row in rows}):
        cells, seeds = [], 0
        for name in names:
            mine = [row for row in rows if (row["judge"], row["condition"]) == (judge, name)]
            x = [float(row["eer"]) for row in mine]
            seeds = len(x)
            cells.append(
                f"{np.mean(x):.1f}" + (f" ({min(x):.1f} .. {max(x):.1f})" if seeds > 1 else "")
            )
        lines.append([judge, seeds, *cells])
    return markdown.table(["judge", "seeds", *names], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(os.environ.get("DSEL_REAL", ROOT.parent / "shared/real"))
    parser.add_argument("--work", type=Path, default=Path("runs/real_voices"))
    parser.add_argument(
        "--real", type=Path, default=default, help="folder with librispeech/ and speechocean/"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "ablation" / "real_voices.csv")
    options = parser.parse_args()
    data, work = options.work / "corpus", options.work
    voices = options.real / "librispeech" / "train-clean-100"
    toy(data, SPEAKERS, TRACKS, validation=0, test=0, size=48, voices=voices)
    tests, rows = conditions(options.real), read_rows(options.out)
    done = {(row["judge"], row["seed"]) for row in rows}

    def add(judge: str, seed: int, steps: int, embed) -> None:
        if (judge, str(seed)) not in done:
            about = {"judge": judge, "seed": str(seed), "steps": str(steps)}
            rows.extend(about | row for row in judged(embed(), tests))
            write_csv(options.out, rows, COLUMNS)

    add("mean log-mel, cosine", 0, 0, lambda: mean_log_mel)
    add("mean MFCC, cosine", 0, 0, lambda: mean_mfcc)
    for seed in range(options.seeds):
        for front, where in FRONT_ENDS.items():
            torch.manual_seed(seed)
            model = TwoStream(ModelConfig.laptop(front_end=front)).eval()
            add(f"networks, untrained, {where}", seed, 0, lambda model=model: voice(model))
        for name, (label, changes, shape) in VARIANTS.items():
            train = partial(
                trained_voice, data, work / f"{name}-{seed}", options.steps, seed, changes, shape
            )
            add(f"networks, {label}", seed, options.steps, train)
    Path(__file__).with_suffix(".md").write_text(page(rows, options.steps), encoding="utf-8")


def page(rows: list[dict], steps: int) -> str:
    """What benchmarks/real_voices.md says."""
    return f"""# Real voices

Equal error rate in %, all pairs of utterances. Networks trained for {steps} steps; mean over seeds,
in brackets their range. Rows: `data/ablation/real_voices.csv`; intervals, and what follows from
them: [results](../docs/results.md#what-changes-on-real-voices).

{table(rows)}

As recorded, a speaker of test-other is one session: mean MFCCs know the recording, and that is
enough. With a microphone, a room and noise drawn for every utterance they do not. Made by
`python benchmarks/real_voices.py`; its head says how. Called again, it goes on.
"""


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
