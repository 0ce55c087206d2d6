"""Say whether two recordings are of one person, and how often that verdict is wrong.

    dsel compare a.wav b.mp4

The verdict is the cosine of both identity embeddings against a threshold. `tools/calibrate.py` sets
the threshold on some speakers, where both kinds of error are equally frequent, and counts errors on
other speakers. What it found stands in data/models/same_person.csv, for every released network and
two kinds of recording: drawn people with synthetic voices, and real recordings, each through
another microphone and room. (Source: ours.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dsel.apply.sound import embed
from dsel.utils import package_data
from dsel.utils.errors import BadInput
from dsel.utils.readers import NUMBER, TEXT, WHOLE, read_csv

KINDS = {"real": "real recordings", "drawn": "drawn people with synthetic voices"}
ERRORS = ("miss", "miss_low", "miss_high", "false_alarm", "false_alarm_low", "false_alarm_high")
COLUMNS = {
    **{"network": TEXT, "sha256": TEXT, "kind": TEXT, "threshold": NUMBER},
    **dict.fromkeys(ERRORS, NUMBER),
    **{"seconds": NUMBER, "fitted_on": WHOLE, "speakers": WHOLE, "trials": WHOLE},
}
FILE = package_data.folder() / "models" / "same_person.csv"


@dataclass(frozen=True)
class Verdict:
    """Hold the comparison of two recordings.

    Args:
        cosine: of both identity embeddings.
        same: whether they count as one person; None where no threshold is known.
        threshold: a larger cosine counts as one person.
        wrong, low, high: share of such verdicts that are wrong on speakers that were not used to
            set the threshold, and its 95 % interval over speakers. For "same" it is counted over
            pairs of different people, for "different" over pairs of one person.
        network: name of the network. kind: of the recordings, a key of KINDS.
        seconds, speakers, trials: longest recording, number of speakers and of pairs behind
            `wrong`.
    """

    cosine: float
    same: bool | None = None
    threshold: float = np.nan
    wrong: float = np.nan
    low: float = np.nan
    high: float = np.nan
    network: str = ""
    kind: str = "real"
    seconds: float = np.nan
    speakers: int = 0
    trials: int = 0

    def __str__(self) -> str:
        """Write two lines: the cosine, and the verdict with its error rate."""
        if self.same is None:
            return (
                f"cosine {self.cosine:.2f}\n"
                f"no verdict: no threshold is known for {self.network or 'these networks'} on "
                f"{KINDS[self.kind]}; released networks have one"
            )
        pairs = ("different people", "the same person")
        told, truth = (pairs[1], pairs[0]) if self.same else (pairs[0], "one person")
        return (
            f"cosine {self.cosine:.2f}, threshold {self.threshold:.2f} "
            f"(network {self.network}, {KINDS[self.kind]})\n"
            f"{told}. Of 100 pairs of {truth}, {100 * self.wrong:.0f} are also called {told} "
            f"(95 % interval {100 * self.low:.0f} to {100 * self.high:.0f}; "
            f"{self.speakers} speakers, {self.trials} pairs)"
        )


def compare(a: Any, b: Any, model: Any = "four_terms", *, kind: str = "real") -> Verdict:
    """Compare the voices of two recordings.

    Args:
        a, b: sounds, as `dsel.embed` takes them.
        model: networks, as `dsel.embed` takes them. Only released names have a threshold.
        kind: of the recordings: 'real', or 'drawn' for those of the toy corpus.
    Returns:
        The verdict.
    Raises:
        BadInput: a sound cannot be used, or an unknown kind.
    """
    x, y = embed([a, b], model)
    cosine = float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))
    return judged(cosine, model, kind)


def judged(cosine: float, model: Any, kind: str = "real") -> Verdict:
    """Judge a cosine by the threshold of a network. Arguments and errors as of `compare`."""
    if kind not in KINDS:
        raise BadInput(f"kind {kind!r}: must be one of {', '.join(KINDS)}")
    row = calibration(model, kind)
    name = str(model) if isinstance(model, str | Path) else ""
    if row is None:
        return Verdict(cosine, network=name, kind=kind)
    same = cosine > row["threshold"]
    error = "false_alarm" if same else "miss"
    wrong, low, high = (row[f"{error}{end}"] for end in ("", "_low", "_high"))
    behind = {name: row[name] for name in ("seconds", "speakers", "trials", "network", "kind")}
    return Verdict(cosine, same, row["threshold"], wrong, low, high, **behind)


def calibration(model: Any, kind: str) -> dict | None:
    """Return the row of same_person.csv for a released name; None if there is none."""
    if not isinstance(model, str | Path) or not FILE.is_file():
        return None
    rows = read_csv(FILE, COLUMNS, remedy="install dsel anew")
    found = [row for row in rows if (row["network"], row["kind"]) == (str(model), kind)]
    return found[0] if found else None
