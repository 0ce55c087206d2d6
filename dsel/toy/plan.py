"""Plan a toy corpus: which speakers there are, in which split, and what each says.

(Source: ours.)
"""

from __future__ import annotations

from dataclasses import dataclass

from dsel.timing import FPS
from dsel.toy.seeds import stream
from dsel.toy.speech import recordings
from dsel.toy.speech import text as texts
from dsel.utils.errors import BadInput

PREFIX = {"train": "tr", "validation": "va", "test": "te"}
# What the tracks of a validation or test speaker contain, in turn: free speech, then words of a
# small vocabulary of either family. A speaker uses two vocabularies of each family.
SAYS = ("free", "distinct", "random")


@dataclass(frozen=True)
class Recipe:
    """Hold every choice that decides what a corpus contains. Written into corpus.json."""

    speakers: int = 300  # number of training speakers
    tracks: int = 4  # tracks per training speaker
    validation: int = 38  # number of validation speakers
    test: int = 60  # number of test speakers
    test_tracks: int = 12  # tracks per validation or test speaker
    seed: int = 0
    seconds: float = 2.0  # length of a track
    size: int = 96  # height and width of a frame in pixels
    coupling: float = 0.9  # 0..1, how well the face agrees with the voice about sex, age and size
    entanglement: float = 0.0  # 0..1, share of a training speaker's words from its own four words
    voices: str | None = None  # folder of real recordings; None: synthetic voices

    @property
    def frames(self) -> int:
        """Frames per track."""
        return round(self.seconds * FPS)


@dataclass(frozen=True)
class Plan:
    """Describe one track that is to be made."""

    id: str
    speaker: str
    split: str
    vocabulary: str  # "free" | "own" | "distinct<k>" | "random<k>"


def plan(recipe: Recipe) -> dict[str, list[Plan]]:
    """Return the tracks of every speaker, in the order of tracks.csv.

    Raises:
        BadInput: the recipe asks for more speakers than its folder of recordings has.
    """
    if recipe.voices:
        return _plan_voices(recipe)
    cast = {}
    for split, count in _speakers_per_split(recipe).items():
        for n in range(count):
            name = f"{PREFIX[split]}{n:04d}"
            if split == "train":
                vocabularies = ["own" if recipe.entanglement else "free"] * recipe.tracks
            else:
                vocabularies = _evaluation_vocabularies(recipe, name)
            cast[name] = [
                Plan(f"{name}_{k:02d}", name, split, vocabulary)
                for k, vocabulary in enumerate(vocabularies)
            ]
    return cast


def _speakers_per_split(recipe: Recipe) -> dict[str, int]:
    return {"train": recipe.speakers, "validation": recipe.validation, "test": recipe.test}


def _plan_voices(recipe: Recipe) -> dict[str, list[Plan]]:
    """Plan a corpus of real voices: assign the speakers of a folder to the splits at random."""
    names = list(recordings.find(recipe.voices or ""))
    splits = [split for split, count in _speakers_per_split(recipe).items() for _ in range(count)]
    if len(splits) > len(names):
        raise BadInput(
            f"{recipe.voices}: holds {len(names)} speakers, too few for {recipe.speakers} "
            f"training, {recipe.validation} validation and {recipe.test} test ones; ask for fewer"
        )
    chosen = stream(recipe.seed, "deal").permutation(len(names))[: len(splits)]
    counts = {"train": recipe.tracks, "validation": recipe.test_tracks, "test": recipe.test_tracks}
    return {
        names[i]: [
            Plan(f"{names[i]}_{k:02d}", names[i], split, "free") for k in range(counts[split])
        ]
        for i, split in zip(chosen, splits, strict=True)
    }


def _evaluation_vocabularies(recipe: Recipe, name: str) -> list[str]:
    """Return the vocabulary of each track of a validation or test speaker.

    Many speakers share each vocabulary, so trials can pair the same words of different speakers.
    """
    rng = stream(recipe.seed, name, "vocabulary")
    pairs = {
        "distinct": rng.permutation(len(texts.DISTINCT))[:2],
        "random": rng.permutation(texts.RANDOM_VOCABULARIES)[:2],
    }
    vocabularies, used = [], {"distinct": 0, "random": 0}
    for k in range(recipe.test_tracks):
        family = SAYS[k % len(SAYS)]
        if family == "free":
            vocabularies.append("free")
        else:
            vocabularies.append(f"{family}{pairs[family][used[family] % 2]}")
            used[family] += 1
    return vocabularies


def vocabulary_of(recipe: Recipe, track: Plan) -> tuple[tuple[str, ...], float]:
    """Return the small vocabulary of a track, and the share of its words that come from it."""
    if track.vocabulary == "free":
        return (), 0.0
    if track.vocabulary == "own":
        own = texts.own_vocabulary(stream(recipe.seed, track.speaker, "vocabulary"))
        return own, recipe.entanglement
    random = texts.random_vocabularies(stream(recipe.seed, track.split, "vocabulary"))
    return {**texts.DISTINCT, **random}[track.vocabulary], 1.0


def evaluation_speakers(speakers: int, divisor: int, most: int, asked: int | None) -> int:
    """Return how many speakers a validation or test split gets.

    Args:
        speakers: number of training speakers.
        divisor: one evaluation speaker per so many training speakers.
        most: the largest number. The smallest is 8, and all are even: as many women as men.
        asked: the number the user asked for; None: the rule above.
    """
    return min(most, max(8, speakers // divisor // 2 * 2)) if asked is None else asked
