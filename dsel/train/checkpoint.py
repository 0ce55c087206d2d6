"""Checkpoints of a run on disk.

They are written atomically. If the newest cannot be read, the one before it is loaded, with a warning.

    RUN/checkpoint.pt             the newest: a hard link to the last of
    RUN/checkpoint-0000400.pt     the last `keep` of them, by step
    RUN/checkpoint-best.pt        the one with the lowest matching loss (see `Trainer.save`)

How one file is written, read and checked: `dsel.train.weights`.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tqdm.auto import tqdm

from dsel.train.weights import try_read, write_weights
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic, sync_folder

NEWEST, BEST = "checkpoint.pt", "checkpoint-best.pt"
NEEDED = ("step", "model", "config")  # entries of every checkpoint
FREE = {  # fields that may differ between a run and its resumption: they leave the weights alone
    *("device", "log_every", "save_every", "keep", "compile", "tensorboard", "loader", "workers"),
}


def write_checkpoint(run, state: dict, *, keep: int, best: bool) -> None:
    """Write RUN/checkpoint.pt and its numbered twin; drop what is older than the last `keep`; if `best`, name it so too."""
    run = Path(run)
    path = run / f"checkpoint-{state['step']:07d}.pt"
    write_weights(path, state)
    for name in (NEWEST, BEST) if best else (NEWEST,):
        _link(path, run / name)
    sync_folder(run)
    for old in numbered(run)[keep:]:
        old.unlink(missing_ok=True)


def read_checkpoint(run) -> dict:
    """Read RUN/checkpoint.pt, or the newest before it that can be read, which a line on the screen then says.

    Raises BadInput where there is none, or none that can be read.
    """
    return newest_checkpoint(run)[0]


def newest_checkpoint(run) -> tuple[dict, Path]:
    """Read as `read_checkpoint` does, and say which file it was."""
    newest = Path(run) / NEWEST
    if not newest.is_file():
        raise BadInput(f"{newest}: no checkpoint; train one with 'dsel train --data DIR --out {run}'")
    state, why = try_read(newest, NEEDED)
    if state:
        return state, newest
    for earlier in numbered(run):
        state, _ = try_read(earlier, NEEDED)
        if state:
            tqdm.write(f"{newest}: cannot be read ({why}); going back to {earlier.name}, step {state['step']}")
            return state, earlier
    raise BadInput(f"{newest}: {why}, and no earlier checkpoint can be read; train again")


def numbered(run) -> list[Path]:
    """The checkpoints of a run by step, newest first."""
    return sorted(Path(run).glob("checkpoint-[0-9]*.pt"), reverse=True)


def same_config(saved: dict, wanted: dict, out: Path, worlds: tuple[int, int] = (1, 1)) -> None:
    """Raise BadInput that names every field in which two configurations differ, if it matters.

    worlds: how many processes then and now. The batch may be shared out anew: B and extra of all processes together, or of
    each process, must be what they were.
    """
    flat = [{f"{part}.{key}": value for part in c for key, value in c[part].items()} for c in (saved, wanted)]
    old, new = (json.loads(json.dumps(c)) for c in flat)
    differ = [key for key in new if old.get(key) != new[key] and key.split(".")[1] not in FREE]
    if worlds[0] != worlds[1]:
        batch = ("train.B", "train.extra")
        if all(old[key] * worlds[0] == new[key] * worlds[1] for key in batch):
            differ = [key for key in differ if key not in batch]
        elif not set(batch) & set(differ):
            whole = " and ".join(f"{key.split('.')[1]} {old[key] * worlds[0]}, now {new[key] * worlds[1]}" for key in batch)
            tqdm.write(f"{out}: begun by {worlds[0]} processes, now {worlds[1]}; over all of them a step had {whole}")
    if differ:
        what = "; ".join(f"{key} was {_short(old.get(key))}, now {_short(new[key])}" for key in differ)
        raise BadInput(f"{out}: the checkpoint has another configuration: {what}")


def _link(path: Path, name: Path) -> None:
    """Let `name` be the same file as `path`, in one move; a copy where the file system has no hard links."""
    with atomic(name) as part:
        try:
            os.link(path, part)
        except OSError:
            shutil.copyfile(path, part)


def _short(value) -> str:
    text = str(value)
    return text if len(text) < 40 else text[:37] + "..."
