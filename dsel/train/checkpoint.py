"""The checkpoints of a run.

They are written atomically. If the newest cannot be read, the one before it is loaded, with a
warning. `dsel.train.weights` writes, reads and checks a single file.

    RUN/checkpoint.pt             the newest: a hard link to the last of
    RUN/checkpoint-0000400.pt     the last `keep` of them, by step
    RUN/checkpoint-best.pt        the one with the lowest matching loss, see `Trainer.save`
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from dsel.train.config import RUN_TIME, TrainConfig
from dsel.train.weights import try_read, write_weights
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic, sync_folder
from dsel.utils.interrupts import no_interrupt

NEWEST, BEST = "checkpoint.pt", "checkpoint-best.pt"
NEEDED = ("step", "model", "config")  # entries of every checkpoint


def write_checkpoint(run: str | Path, state: dict, *, keep: int, best: bool) -> None:
    """Write RUN/checkpoint.pt and its numbered twin.

    Args:
        run: the run folder.
        state: what is saved, with its number of steps as 'step'.
        keep: how many numbered checkpoints are kept.
        best: also call this one RUN/checkpoint-best.pt.
    """
    run = Path(run)
    path = run / f"checkpoint-{state['step']:07d}.pt"
    with no_interrupt():  # torch answers Ctrl-C in the middle of a file with a page of its own
        write_weights(path, state)
        for name in (NEWEST, BEST) if best else (NEWEST,):
            _link(path, run / name)
        sync_folder(run)
    for old in numbered(run)[keep:]:
        old.unlink(missing_ok=True)


def read_checkpoint(run: str | Path) -> dict:
    """Read RUN/checkpoint.pt; if it cannot be read, warn and read the newest one that can.

    Raises:
        BadInput: there is none, or none that can be read.
    """
    return newest_checkpoint(run)[0]


def newest_checkpoint(run: str | Path) -> tuple[dict, Path]:
    """Read as `read_checkpoint` does, and say which file it was."""
    newest = Path(run) / NEWEST
    if not newest.is_file():
        remedy = f"train one with 'dsel train --data DIR --out {run}'"
        raise BadInput(f"{newest}: no checkpoint; {remedy}")
    state, why = try_read(newest, NEEDED)
    if state:
        return state, newest
    for earlier in numbered(run):
        state, _ = try_read(earlier, NEEDED)
        if state:
            going_back = f"going back to {earlier.name}, step {state['step']}"
            tqdm.write(f"{newest}: cannot be read ({why}); {going_back}")
            return state, earlier
    raise BadInput(f"{newest}: {why}, and no earlier checkpoint can be read; train again")


def numbered(run: str | Path) -> list[Path]:
    """List the numbered checkpoints of a run, newest first."""
    return sorted(Path(run).glob("checkpoint-[0-9]*.pt"), reverse=True)


def same_config(saved: dict, new: dict, out: Path, worlds: tuple[int, int] = (1, 1)) -> None:
    """Check that a run can be resumed with a configuration.

    Fields of `RUN_TIME` may differ. A field that did not exist when the run began has its default.
    A field that no longer exists must have been off.
    With another number of processes, B and extra may be what they were per process, or over all
    processes together.

    Args:
        saved, new: {"model": fields of `ModelConfig`, "train": fields of `TrainConfig`}.
        out: the run folder, for the message.
        worlds: how many processes then and now.
    Raises:
        BadInput: names every field that must not differ and does.
    """
    before, now = _flat({**saved, "train": asdict(TrainConfig()) | saved["train"]}), _flat(new)
    differ = [key for key in now if before.get(key) != now[key]]
    differ = [key for key in differ if key.split(".")[1] not in RUN_TIME]
    gone = saved["train"].keys() - asdict(TrainConfig()).keys()
    differ += [f"train.{name}" for name in sorted(gone) if saved["train"][name]]
    if worlds[0] != worlds[1]:
        differ = _shared_out(before, now, differ, out, worlds)
    if differ:
        short = {key: (_short(before.get(key)), _short(now.get(key, "unknown"))) for key in differ}
        changes = (f"{key} was {old}, now {new}" for key, (old, new) in short.items())
        raise BadInput(f"{out}: the checkpoint has another configuration: {'; '.join(changes)}")


def _shared_out(
    before: dict, now: dict, differ: list[str], out: Path, worlds: tuple[int, int]
) -> list[str]:
    """Drop B and extra from the fields that differ, if all processes together have what they had.

    Where each process has what it had, a line says that a step has another size now.
    """
    batch = ("train.B", "train.extra")
    if all(before[key] * worlds[0] == now[key] * worlds[1] for key in batch):
        return [key for key in differ if key not in batch]
    if not set(batch) & set(differ):
        sizes = " and ".join(
            f"{key.split('.')[1]} {before[key] * worlds[0]}, now {now[key] * worlds[1]}"
            for key in batch
        )
        tqdm.write(
            f"{out}: begun by {worlds[0]} processes, now {worlds[1]}; over all of them a step had "
            f"{sizes}"
        )
    return differ


def _flat(config: dict) -> dict[str, Any]:
    """Name each field 'part.field', with tuples as lists, as JSON has them."""
    flat = {f"{part}.{key}": v for part, group in config.items() for key, v in group.items()}
    return json.loads(json.dumps(flat))


def _link(path: Path, name: Path) -> None:
    """Make `name` the same file as `path`; a copy where the file system has no hard links."""
    with atomic(name) as part:
        try:
            os.link(path, part)
        except OSError:
            shutil.copyfile(path, part)


def _short(value: object) -> str:
    """Return a value as text of at most 40 characters."""
    text = str(value)
    return text if len(text) < 40 else text[:37] + "..."
