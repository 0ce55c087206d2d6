"""Do networks that learnt real voices from drawn faces know a stranger's voice, or only the recording?

    python benchmarks/real_voices.py --work runs/real_voices [--real ../shared/real/librispeech] [--seeds 3] [--steps 400]

Training: 251 speakers of train-clean-100, one recording each, cut into tracks of 2 s behind drawn faces, every track with a
microphone and a room of its own (`dsel toy --voices`). Judged: test-other, 10 speakers x 10 utterances, every pair a trial.
As recorded each speaker is one session, so whoever recognises the recording recognises the speaker; therefore the trials are
judged again with a microphone, room and noise drawn for every utterance. Beside the networks stand two judges that were never
trained: the cosine of mean MFCCs and of mean log-mels. Prints one table and writes benchmarks/real_voices.md. What is done
in --work is not done again.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch

from dsel import corpus as corpora
from dsel.audio import log_mel, mfcc
from dsel.evaluate import equal_error_rate
from dsel.model import ModelConfig, TwoStream
from dsel.timing import SAMPLES_PER_FRAME
from dsel.toy.make import toy
from dsel.toy.seeds import stream
from dsel.toy.speech import recordings, room
from dsel.train import TrainConfig, Trainer, load_model

ROOT = Path(__file__).resolve().parents[1]
SPEAKERS, TRACKS = 251, 4
VARIANTS = {  # name: (its label, fields of TrainConfig, of ModelConfig)
    "raw": ("+ within-audio confusion, input not normalised", {}, {"track_norm": False}),
    "within": ("+ within-audio confusion", {}, {}),
    "notes": ("the notes' terms", {"within": 0.0}, {}),
}
LONGEST = 10 * 16_000  # samples of an utterance that are heard


def utterances(folder: Path) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The sounds (U of them), their speakers (U,) and sexes (U,), from SPEAKERS.TXT."""
    rows = [line.split("|") for line in (folder / "SPEAKERS.TXT").read_text(encoding="utf-8").splitlines() if line[0] != ";"]
    sex = {row[0].strip(): row[1].strip() for row in rows}
    found = [(name, path) for name, paths in recordings.find(folder).items() for path in paths]
    sounds = [recordings.read(path)[:LONGEST] for _, path in found]
    return sounds, np.array([name for name, _ in found]), np.array([sex[name] for name, _ in found])


def with_own_microphone(sounds: list[np.ndarray]) -> list[np.ndarray]:
    """Each through a microphone, a room and noise of its own, drawn as the corpus draws them."""
    return [room.record(x, room.draw_room(stream(2020, f"utterance {k}", "sound"))) for k, x in enumerate(sounds)]


def mean_log_mel(x: np.ndarray) -> np.ndarray:
    return log_mel(torch.from_numpy(_whole_frames(x))[None])[0].mean(dim=1).numpy()  # (40,)


def mean_mfcc(x: np.ndarray) -> np.ndarray:
    """Without the 0th, loudness: (19,)."""
    return mfcc(torch.from_numpy(_whole_frames(x))[None])[0, 1:].mean(dim=1).numpy()


def voice(model: TwoStream):
    """Sound -> mean of its audio identity embeddings, (D,)."""

    def embed(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model.audio(torch.from_numpy(_whole_frames(x))[None], ("identity",))["identity"][0].mean(dim=0).numpy()

    return embed


def _whole_frames(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x[: len(x) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME], np.float32)


def eers(sounds, speaker, sex, embed) -> tuple[float, float]:
    """EER over all pairs of utterances, and over those of one sex, by the cosine of vectors standardised over all utterances.

    Without that, the few MFCCs that vary most decide, and the untrained judges look weaker than they are.
    """
    vectors = np.stack([embed(x) for x in sounds])
    vectors = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + 1e-9)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    i, j = np.triu_indices(len(sounds), 1)
    scores, target, same = (vectors[i] * vectors[j]).sum(axis=1), speaker[i] == speaker[j], sex[i] == sex[j]
    return equal_error_rate(scores, target), equal_error_rate(scores[same], target[same])


def trained_voice(data: Path, run: Path, steps: int, seed: int, changes: dict, shape: dict):
    """`voice` of networks trained in the folder `run`, or found there."""
    config, model = TrainConfig.laptop(seed=seed, steps=steps, save_every=50, **changes), ModelConfig.laptop(**shape)
    trainer = Trainer(corpora.open(data), model, config, run, resume=(run / "checkpoint.pt").is_file())
    if trainer.step < config.steps:
        trainer.fit()
    return voice(load_model(run, "cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(os.environ.get("DSEL_REAL", ROOT.parent / "shared/real")) / "librispeech"
    parser.add_argument("--work", type=Path, default=Path("runs/real_voices"))
    parser.add_argument("--real", type=Path, default=default)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    data, work = arguments.work / "corpus", arguments.work
    toy(data, SPEAKERS, TRACKS, validation=0, test=0, voices=arguments.real / "train-clean-100")
    judges = {"mean log-mel, cosine": [mean_log_mel], "mean MFCC, cosine": [mean_mfcc]}
    for label, shape in (("", {}), (", input not normalised", {"track_norm": False})):
        torch.manual_seed(0)
        judges[f"networks, untrained{label}"] = [voice(TwoStream(ModelConfig.laptop(**shape)).eval())]
    for name, (label, changes, shape) in VARIANTS.items():
        runs = [work / f"{name}-{seed}" for seed in range(arguments.seeds)]
        trained = [trained_voice(data, run, arguments.steps, seed, changes, shape) for seed, run in enumerate(runs)]
        judges[f"networks, {arguments.steps} steps, {label}"] = trained
    sounds, speaker, sex = utterances(arguments.real / "test-other")
    lines = ["| judge | as recorded | same sex | own microphone each | same sex |", "|---|---|---|---|---|"]
    conditions = (sounds, with_own_microphone(sounds))
    for name, embeds in judges.items():
        cells = []
        for heard in conditions:
            found = 100 * np.array([eers(heard, speaker, sex, embed) for embed in embeds])  # (seeds, 2)
            cells += [f"{x.mean():.1f}" + (f" ({x.min():.1f} .. {x.max():.1f})" if len(x) > 1 else "") for x in found.T]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    table, pairs = "\n".join(lines), len(sounds) * (len(sounds) - 1) // 2
    print(table)
    text = f"""# Real voices

Equal error rate in % on LibriSpeech test-other: {len(set(speaker))} speakers, {len(sounds)} utterances, all {pairs} pairs.
Networks: the mean over {arguments.seeds} training seeds, in brackets their range.

{table}

As recorded, a speaker is one session: mean MFCCs know the recording, and that is enough. With a microphone, a room and noise
drawn for every utterance they do not. Made by `python benchmarks/real_voices.py`; its head says how.
"""
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
