"""Trial lists: pairs of tracks, "the same speaker?", of three kinds.

    kind    target pair (one speaker)      impostor pair (two speakers)     asks
    free    anything, anything             anything, anything               is this voice that voice
    hard    different vocabularies         the same vocabulary              ... where listening to the words misleads
    easy    the same vocabulary            different vocabularies           ... where listening to the words is enough

Hard and easy pairs stay within one family of vocabularies ("distinct" or "random", the group), so that families can be
compared. Targets and impostors are equally many in every group, and half of the impostors are of one sex where that many
can be had.
(Source: ours; what the kinds are for, "novel combinations of content and identity", is the abstract's.)
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

KINDS = ("free", "hard", "easy")
COLUMNS = ("target", "a", "b", "same_sex", "group")
MOST = 4000  # pairs a list


def draw_trials(rows: list[dict], kind: str, rng: np.random.Generator, most: int = MOST) -> list[dict]:
    """The trials of a kind among these tracks: rows with the keys of COLUMNS, at most `most`.

    Args:
        rows: tracks with keys id, speaker, sex, vocabulary ("free", "distinct<k>" or "random<k>").
    """
    pools: dict[tuple, list] = {}
    for a, b in combinations(rows, 2):
        group = _group(kind, a, b)
        if group:
            pools.setdefault((group, a["speaker"] == b["speaker"], a["sex"] == b["sex"]), []).append((a["id"], b["id"]))
    groups = sorted({group for group, *_ in pools})
    found = []
    for group in groups:
        targets, near, far = (pools.get((group, *key), []) for key in ((True, True), (False, True), (False, False)))
        count = min(len(targets), len(near) + len(far), most // (2 * len(groups)))
        of_one_sex = min(len(near), max(count - count // 2, count - len(far)))
        chosen = ((1, 1, targets, count), (0, 1, near, of_one_sex), (0, 0, far, count - of_one_sex))
        for target, same_sex, pool, number in chosen:
            drawn = rng.choice(len(pool), number, replace=False) if number else ()
            found += [
                {"target": target, "a": pool[i][0], "b": pool[i][1], "same_sex": same_sex, "group": group}
                for i in sorted(drawn)
            ]
    return found


def _group(kind: str, a: dict, b: dict) -> str:
    """The group of a pair in a kind of trial, or "" where it is no trial of that kind."""
    families = {_family(a["vocabulary"]), _family(b["vocabulary"])}
    if kind == "free":
        return "free" if families == {"free"} else ""
    if len(families) > 1 or families <= {"free", "own"}:
        return ""
    same_speaker, same_words = a["speaker"] == b["speaker"], a["vocabulary"] == b["vocabulary"]
    return families.pop() if (same_speaker == same_words) == (kind == "easy") else ""


def _family(vocabulary: str) -> str:
    return vocabulary.rstrip("0123456789")
