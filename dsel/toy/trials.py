"""Draw trial lists of three kinds: pairs of tracks with the question "is it the same speaker?".

    kind    target pair (one speaker)   impostor pair (two speakers)   listening to the words
    free    any words                   any words                      tells nothing
    hard    different vocabularies      the same vocabulary            misleads
    easy    the same vocabulary         different vocabularies         is enough

Both tracks of a hard or easy pair use vocabularies of one family, "distinct" or "random". The
family is the group of the pair, so families can be compared. Every group has as many impostors as
targets. Half of the impostors have the same sex, if there are enough such pairs.

(Source: ours. The purpose, "novel combinations of content and identity", is from the abstract.)
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

KINDS = ("free", "hard", "easy")
COLUMNS = ("target", "a", "b", "same_sex", "group")
MOST = 4000  # pairs in a list


def draw_trials(
    rows: list[dict], kind: str, rng: np.random.Generator, most: int = MOST
) -> list[dict]:
    """Draw the trials of one kind among some tracks.

    Args:
        rows: tracks with keys id, speaker, sex, vocabulary ("free", "distinct<k>" or "random<k>").
        kind: one of KINDS.
        rng: the random stream.
        most: largest number of trials.
    Returns:
        Rows with the keys of COLUMNS. target and same_sex are 0 or 1; a and b are ids of tracks.
    """
    pools: dict[tuple[str, bool, bool], list[tuple[str, str]]] = {}
    for a, b in combinations(rows, 2):
        group = _group(kind, a, b)
        if group:
            key = (group, a["speaker"] == b["speaker"], a["sex"] == b["sex"])
            pools.setdefault(key, []).append((a["id"], b["id"]))
    groups = sorted({group for group, *_ in pools})
    trials: list[dict] = []
    for group in groups:
        targets = pools.get((group, True, True), [])
        same_sex = pools.get((group, False, True), [])  # impostors
        other_sex = pools.get((group, False, False), [])
        count = min(len(targets), len(same_sex) + len(other_sex), most // (2 * len(groups)))
        count_same = min(len(same_sex), max(count - count // 2, count - len(other_sex)))
        trials += _draw(targets, count, rng, target=1, same_sex=1, group=group)
        trials += _draw(same_sex, count_same, rng, target=0, same_sex=1, group=group)
        trials += _draw(other_sex, count - count_same, rng, target=0, same_sex=0, group=group)
    return trials


def _draw(
    pairs: list[tuple[str, str]], count: int, rng: np.random.Generator, **columns: int | str
) -> list[dict]:
    """Draw `count` of some pairs of track ids, and return them as trials with these columns."""
    drawn = sorted(rng.choice(len(pairs), count, replace=False)) if count else []
    return [{**columns, "a": pairs[i][0], "b": pairs[i][1]} for i in drawn]


def _group(kind: str, a: dict, b: dict) -> str:
    """Return the group of a pair of tracks, or "" if it is no trial of that kind."""
    families = {_family(a["vocabulary"]), _family(b["vocabulary"])}
    if kind == "free":
        return "free" if families == {"free"} else ""
    if len(families) > 1 or families <= {"free", "own"}:
        return ""
    same_speaker, same_words = a["speaker"] == b["speaker"], a["vocabulary"] == b["vocabulary"]
    return families.pop() if (same_speaker == same_words) == (kind == "easy") else ""


def _family(vocabulary: str) -> str:
    """Return a vocabulary's name without its number: "free", "own", "distinct" or "random"."""
    return vocabulary.rstrip("0123456789")
