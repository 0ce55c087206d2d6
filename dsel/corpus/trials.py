"""Read trial lists: pairs of tracks to be judged "same speaker?".

Three forms are read, told apart by the first line:

    ours      csv with the columns target, a, b, and maybe same_sex, group
    VoxCeleb  `1 path path` or `0 path path`
    Kaldi     `name name target` or `name name nontarget`

A target may be written 1, 1.0, True, target or same, and the opposites likewise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from dsel.corpus.store import Tracks, TracksById
from dsel.utils.errors import BadInput
from dsel.utils.readers import (
    NAME,
    NO,
    SHOWN,
    TEXT,
    YES,
    YES_NO,
    csv_cells,
    fitted,
    read_cell,
    read_header,
    read_text,
)

MOST_BYTES = 1 << 30  # of a list; the longest of VoxCeleb have 40 MB
REMEDY = "give lines '1 a b', or 'a b target', or csv with the columns target, a, b"


@dataclass(frozen=True)
class Trials:
    """Pairs of tracks to be judged "same speaker?". All arrays have one entry per trial."""

    a: np.ndarray  # str, track ids
    b: np.ndarray
    target: np.ndarray  # bool: same speaker
    same_sex: np.ndarray  # bool: both tracks are known to be of one sex
    group: np.ndarray  # str: what the list says about the trial, e.g. its kind of vocabulary

    def __len__(self) -> int:
        return len(self.target)

    def only(self, keep: np.ndarray) -> Trials:
        """Return the trials where `keep` (bool, one per trial) holds."""
        columns = (self.a, self.b, self.target, self.same_sex, self.group)
        return Trials(*(column[keep] for column in columns))

    def why_not(self, ids: Collection[str] | None = None) -> str:
        """Say why no error rate can be computed from these trials; "" if it can.

        Args:
            ids: the tracks that were embedded; None: all that the trials name.
        """
        if not len(self):
            return "the list is empty"
        if ids is not None:
            other = set(chain(self.a.tolist(), self.b.tolist())) - set(ids)
            if other:
                return f"{len(other)} of its tracks are not in the split, e.g. {min(other)}"
        if self.target.all():
            return "it has target trials only"
        return "" if self.target.any() else "it has impostor trials only"


class Trial(NamedTuple):
    """One line of a trial list, before anybody has looked for its tracks."""

    line: int
    a: str
    b: str
    target: bool
    same_sex: bool | None = None  # None: the list does not say
    group: str = ""


def read_trials(path: str | Path) -> list[Trial]:
    """Read a trial list in any of the three forms; [] if it has no lines.

    Raises:
        BadInput: the file cannot be read, or a line has another form; names the line.
    """
    text = read_text(path, remedy=REMEDY, most=MOST_BYTES)
    first = text.lstrip().partition("\n")[0]
    if not first:
        return []
    names = [name.strip().strip('"').lower() for name in re.split("[,;\t]", first)]
    if {"a", "b"} <= set(names) or "target" in names[:1]:
        return list(_read_columns(Path(path)))
    return list(_read_words(Path(path), text))


def find_trials(path: Path, tracks: Tracks, by_id: TracksById) -> Trials:
    """Read a trial list and find its tracks.

    A list may name a track by its id, by the path of its clip, or by a path that `dsel prepare`
    made the id from: id10270/5r0dWxy17C8/00001.wav is the track id10270-5r0dWxy17C8-00001. If the
    list does not say which pairs are of one sex, the factor `sex` of the tracks does.

    Args:
        path: the list.
        tracks: those of the corpus. by_id: the same by id.
    Raises:
        BadInput: as `read_trials`; or a name that is no track.
    """
    trials = read_trials(path)
    names = dict.fromkeys(chain.from_iterable((trial.a, trial.b) for trial in trials))
    found = _find(names, tracks, by_id)
    for trial in trials if len(found) < len(names) else ():
        for name in (trial.a, trial.b):
            if name not in found:
                more = len(names) - len(found) - 1
                also = f", and {more} more names are not either" if more else ""
                raise BadInput(
                    f"{path}, line {trial.line}: {name[:SHOWN]!r} is no track of this "
                    f"corpus{also}; "
                    "correct the list or delete it"
                )
    same_sex = [
        trial.same_sex if trial.same_sex is not None else _same_sex(by_id, found, trial)
        for trial in trials
    ]
    return Trials(
        a=np.array([found[trial.a] for trial in trials], str),
        b=np.array([found[trial.b] for trial in trials], str),
        target=np.array([trial.target for trial in trials], bool),
        same_sex=np.array(same_sex, bool),
        group=np.array([trial.group for trial in trials], str),
    )


def _find(names: Collection[str], tracks: Tracks, by_id: TracksById) -> dict[str, str]:
    """Map names of a list to track ids, those that are found."""
    found = {name: name for name in names if by_id.table.row(name) is not None}
    if len(found) == len(names):
        return found
    by_path = {track.path: track.id for track in tracks}
    for name in names:
        joined = "-".join(PurePosixPath(name).with_suffix("").parts)
        if name not in found and name in by_path:
            found[name] = by_path[name]
        elif name not in found and by_id.table.row(joined) is not None:
            found[name] = joined
    return found


def _same_sex(by_id: TracksById, found: dict[str, str], trial: Trial) -> bool:
    sex = [str(by_id[found[name]].factors.get("sex", "")) for name in (trial.a, trial.b)]
    return sex[0] == sex[1] != ""


def _read_columns(path: Path) -> Iterator[Trial]:
    """Read a list in csv. Names of columns may be in capitals."""
    with csv_cells(path, REMEDY, MOST_BYTES) as reader:
        names = [name.lower() for name in read_header(path, reader, (), REMEDY)]
        read_header(path, iter([names]), ("target", "a", "b"), REMEDY)
        for cells in filter(any, reader):
            line = reader.line_num
            row = dict(zip(names, fitted(path, line, cells, len(names), REMEDY), strict=True))
            yield Trial(
                line,
                read_cell(path, line, "a", row["a"].strip(), NAME, REMEDY),
                read_cell(path, line, "b", row["b"].strip(), NAME, REMEDY),
                read_cell(path, line, "target", row["target"], YES_NO, REMEDY),
                read_cell(path, line, "same_sex", row["same_sex"], YES_NO, REMEDY)
                if row.get("same_sex")
                else None,
                read_cell(path, line, "group", row.get("group", ""), TEXT, REMEDY),
            )


def _read_words(path: Path, text: str) -> Iterator[Trial]:
    """Read a list of three words per line: the target is the first word or the last."""
    order: Callable[[list[str]], tuple[str, str, str]] | None = None
    for line, content in enumerate(text.splitlines(), start=1):
        words = content.replace(",", " ").split()
        if not words:
            continue
        if order is None:
            order = _target_first if words[0].lower() in YES | NO else _target_last
        if len(words) != 3:
            raise BadInput(f"{path}, line {line}: {len(words)} words; {REMEDY}")
        target, a, b = order(words)
        yield Trial(line, a, b, read_cell(path, line, "target", target, YES_NO, REMEDY))


def _target_first(words: list[str]) -> tuple[str, str, str]:
    return words[0], words[1], words[2]


def _target_last(words: list[str]) -> tuple[str, str, str]:
    return words[2], words[0], words[1]
