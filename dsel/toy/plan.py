"""Plan a toy corpus: who there is, in which split, and what each says."""

from __future__ import annotations

from dataclasses import dataclass

from dsel.timing import FPS
from dsel.toy.seeds import stream
from dsel.toy.speech import recordings
from dsel.toy.speech import text as texts
from dsel.utils.errors import BadInput

PREFIX = {"train": "tr", "validation": "va", "test": "te"}
# What a validation or test speaker says, track after track: free speech, and in turn two vocabularies of each family.
SAYS = ("free", "distinct", "random")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a corpus contains. Written into corpus.json."""

    speakers: int = 300  # training speakers
    tracks: int = 4  # of each of them
    validation: int = 38
    test: int = 60
    test_tracks: int = 12  # of each validation and test speaker
    seed: int = 0
    seconds: float = 2.0
    size: int = 96  # pixels
    coupling: float = 0.9
    entanglement: float = 0.0
    voices: str | None = None

    @property
    def frames(self) -> int:
        return round(self.seconds * FPS)


@dataclass(frozen=True)
class Plan:
    """One track to be made."""

    id: str
    speaker: str
    split: str
    vocabulary: str  # "free" | "own" | "distinct<k>" | "random<k>"


def plan(recipe: Recipe) -> dict[str, list[Plan]]:
    """Who there is and what each says: speaker -> tracks, in the order of tracks.csv."""
    if recipe.voices:
        return _plan_voices(recipe)
    cast = {}
    for split, number in (("train", recipe.speakers), ("validation", recipe.validation), ("test", recipe.test)):
        for n in range(number):
            name = f"{PREFIX[split]}{n:04d}"
            says = _training(recipe) if split == "train" else _judged(recipe, name)
            cast[name] = [Plan(f"{name}_{k:02d}", name, split, what) for k, what in enumerate(says)]
    return cast


def _plan_voices(recipe: Recipe) -> dict[str, list[Plan]]:
    """As `plan`, for the speakers of a folder of recordings, dealt to the splits by chance."""
    names = list(recordings.find(recipe.voices))
    wanted = recipe.speakers + recipe.validation + recipe.test
    if wanted > len(names):
        raise BadInput(
            f"{recipe.voices}: {len(names)} speakers, but {recipe.speakers} for training, {recipe.validation} for validation "
            f"and {recipe.test} for the test were asked for; ask for fewer"
        )
    splits = ["train"] * recipe.speakers + ["validation"] * recipe.validation + ["test"] * recipe.test
    dealt = stream(recipe.seed, "deal").permutation(len(names))[:wanted]
    counts = {"train": recipe.tracks, "validation": recipe.test_tracks, "test": recipe.test_tracks}
    return {
        names[i]: [Plan(f"{names[i]}_{k:02d}", names[i], split, "free") for k in range(counts[split])]
        for i, split in zip(dealt, splits, strict=True)
    }


def _training(recipe: Recipe) -> list[str]:
    return ["own" if recipe.entanglement else "free"] * recipe.tracks


def _judged(recipe: Recipe, name: str) -> list[str]:
    """What a validation or test speaker says, track by track; many speakers share each vocabulary."""
    rng = stream(recipe.seed, name, "vocabulary")
    pairs = {
        "distinct": rng.permutation(len(texts.DISTINCT))[:2],
        "random": rng.permutation(texts.RANDOM_VOCABULARIES)[:2],
    }
    says, used = [], {"distinct": 0, "random": 0}
    for k in range(recipe.test_tracks):
        family = SAYS[k % len(SAYS)]
        if family == "free":
            says.append("free")
        else:
            says.append(f"{family}{pairs[family][used[family] % 2]}")
            used[family] += 1
    return says


def vocabulary_of(recipe: Recipe, track: Plan) -> tuple[tuple[str, ...], float]:
    """The small vocabulary of a track and the share of words that come from it."""
    if track.vocabulary == "free":
        return (), 0.0
    if track.vocabulary == "own":
        return texts.own_vocabulary(stream(recipe.seed, track.speaker, "vocabulary")), recipe.entanglement
    random = texts.random_vocabularies(stream(recipe.seed, track.split, "vocabulary"))
    return {**texts.DISTINCT, **random}[track.vocabulary], 1.0


def share_of(speakers: int, part: int, most: int, wanted: int | None) -> int:
    """How many speakers to judge by: an even number, so that the sexes are equally many."""
    return min(most, max(8, speakers // part // 2 * 2)) if wanted is None else wanted
