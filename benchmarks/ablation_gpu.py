"""Train the ablation's grid, the long runs and the networks to release on one GPU, in time.

    python benchmarks/ablation_gpu.py --out runs/grid --back DIR --seconds 560
    python benchmarks/ablation_gpu.py --out runs/grid --back DIR --seconds 200 --confirm 80

Everything goes on where it was when the same folder is given again. In order:

1. The corpora of entanglement 1 and 0, on all cores; cells start as soon as the first of them is
   there.
2. Cells, by `--workers` processes: the grid by successive halving (dsel/ablation/halving.py: two
   seeds of every row at entanglement 1, then at 0, then the survivors), then single terms,
   leave-out mean and no extra tracks (two seeds), then the long trainings (two seeds). The corpus
   of these, 3000 speakers, is made meanwhile at low priority.
3. Once every row of the grid at entanglement 1 has two seeds, validation chooses front end and
   lambda of the networks to release; they are trained beside the cells (tools/train_released.py),
   and some cell processes make room for them.
4. With `--confirm S`: S seconds before the end the cells stop, the choice is frozen, and what is
   finished is judged on new speakers.

At the end of the time every process is interrupted, keeps a checkpoint, and the results are copied
to `--back`: results.csv, grid.tar.gz (tables, logs, curves), released.tar, cells.tar and kept-*.tar
(networks in half precision).
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FURTHER = ("singles", "long")  # what follows the grid
RELEASED = {  # name -> what differs from the training that validation chose
    "paper_terms": {},
    "with_within": {"within": 1.0},
    "without_confusion": {"lam": 0.0},
    "untrained": {"lam": 0.0, "lr": 0.0, "steps": 30},
}
KEPT = ("paper_terms", "with_within")  # networks of which moments of the training are kept
CELLS = (
    "e1-lam0",
    "e1-lam1",
    "raw-lam0",
    "raw-lam1",
)  # whose networks (seed 0) come back, beside the best ones
MOST = 6  # networks in cells.tar: 2.4 MB each


class Crew:
    """Processes by name, each with a log of its own."""

    def __init__(self, logs: Path, env: dict):
        self.logs, self.env, self.running = logs, env, {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, *command, nice: int = 0) -> None:
        log = (self.logs / f"{name}.log").open("a")
        self.running[name] = subprocess.Popen(
            ["nice", "-n", str(nice), sys.executable, *map(str, command)],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=self.env,
            start_new_session=True,
        )

    def finished(self, name: str) -> bool:
        """Whether it was started and has ended."""
        return name in self.running and self.running[name].poll() is not None

    def failed(self) -> list[str]:
        return [
            name
            for name, process in self.running.items()
            if process.poll() not in (None, 0, 130, -signal.SIGINT)
        ]

    def busy(self, prefix: str = "") -> list[str]:
        return [
            name
            for name, process in self.running.items()
            if name.startswith(prefix) and process.poll() is None
        ]

    def stop(self, names: list[str], patience: float = 15) -> None:
        """Interrupt them; what does not end in time is killed, with all that it started."""
        for name in names:
            os.kill(self.running[name].pid, signal.SIGINT)
        until = time.monotonic() + patience
        for name in names:
            try:
                self.running[name].wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(self.running[name].pid, signal.SIGKILL)


def start_mps(env: dict) -> dict:
    """Start CUDA's multi-process service, by which processes share the GPU at the same time instead
    of in turn.

    It changes no setting of the GPU. Returns what the environment of the processes needs; {} where
    it does not work.
    """
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None:
        return {}
    needs = {
        "CUDA_MPS_PIPE_DIRECTORY": f"{tempfile.gettempdir()}/dsel-mps",
        "CUDA_MPS_LOG_DIRECTORY": f"{tempfile.gettempdir()}/dsel-mps-log",
    }
    for folder in needs.values():
        Path(folder).mkdir(exist_ok=True)
    product = "import torch; x = torch.ones(64, 64, device='cuda'); print((x @ x)[0, 0].item())"
    probe = [sys.executable, "-c", product]
    try:
        subprocess.run([control, "-d"], env=env | needs, check=True, timeout=10)
        told = subprocess.run(
            probe, env=env | needs, check=True, timeout=30, capture_output=True, text=True
        )
        if told.stdout.split()[-1:] == ["64.0"]:
            return needs
    except (subprocess.SubprocessError, OSError) as error:
        print(f"no multi-process service: {error}", flush=True)
    stop_mps(env | needs)
    return {}


def stop_mps(env: dict) -> None:
    """End the service that `start_mps` started."""
    control = shutil.which("nvidia-cuda-mps-control")
    if control and "CUDA_MPS_PIPE_DIRECTORY" in env:
        try:
            subprocess.run(
                [control],
                input="quit\n",
                env=env,
                text=True,
                timeout=15,
                check=False,
                capture_output=True,
            )
        except subprocess.TimeoutExpired:
            print("the multi-process service did not end", flush=True)


# --- What the processes do ------------------------------------------------------------------------


def job(options, changes: dict) -> None:
    """One process of the crew."""
    from dsel.ablation.run import ablation, confirm, prepare_corpus

    if options.job == "corpus":
        speakers = options.speakers or None
        if speakers:
            grow(
                options.out / "corpora" / "e1", options.out / "corpora" / f"e1-{speakers}", speakers
            )
        how = {"train_speakers": speakers, "workers": options.cores}
        prepare_corpus(options.out, options.preset, options.entanglement, **how, **changes)
    elif options.job == "cells":
        rows = [*FURTHER] if options.rows is None else options.rows
        ablation(
            options.out,
            options.preset,
            rows=rows,
            seeds=(0, 1),
            halved=True,
            progress=False,
            **changes,
        )
    elif options.job == "confirm":
        confirm(options.out, progress=False)


def grow(small: Path, large: Path, speakers: int) -> None:
    """Begin a corpus of more speakers with those of a smaller one of the same seed, as if `dsel
    toy` had been stopped.

    A speaker depends on the seed and its own name alone, so they are the same people saying the
    same.
    """
    if large.is_dir() or not (small / "corpus.json").is_file():
        return
    meta = json.loads((small / "corpus.json").read_text())
    recipe = {**meta["recipe"], "seed": meta["seed"], "speakers": speakers}
    begun = large.with_name(f".{large.name}.begun")
    shutil.rmtree(begun, ignore_errors=True)
    for folder in ("clips", "labels"):
        shutil.copytree(small / folder, begun / folder, copy_function=os.link, dirs_exist_ok=True)
    rows: dict[str, list[dict]] = {}
    with (small / "tracks.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["speaker"], []).append(row)
    (begun / ".parts").mkdir(exist_ok=True)
    for speaker, tracks in rows.items():
        (begun / ".parts" / f"{speaker}.json").write_text(json.dumps(tracks))
    (begun / ".parts" / "recipe.json").write_text(json.dumps(recipe))
    begun.rename(large)


def seconds_a_step(out: Path) -> float:
    """Median time of a step of the cells so far, from their curves; 0.1 where there are none."""
    found = []
    for path in out.glob("runs/*/metrics.csv"):
        with path.open(newline="") as file:
            at = [(int(row["step"]), float(row["time"])) for row in csv.DictReader(file)]
        found += [(t1 - t0) / (s1 - s0) for (s0, t0), (s1, t1) in itertools.pairwise(at) if s1 > s0]
    return statistics.median(found) if found else 0.1


def steps_for(options) -> int:
    """Steps of the networks to release: as given, or what fits `--release-seconds`, if a step takes
    twice one of a cell.
    """
    if options.release_steps:
        return options.release_steps
    fits = 0.9 * options.release_seconds / (2 * seconds_a_step(options.out))
    return int(min(10_000, max(2000, fits // 500 * 500)))


def release_commands(options, changes: dict) -> dict[str, list]:
    """The trainings of the networks to release, once validation has chosen; {} before that. The
    choice is kept.
    """
    from dsel.ablation.halving import best_front_end_and_lambda
    from dsel.ablation.rows import Schedule, read_results

    held = options.out / "released" / "choice.json"
    if not held.is_file():
        try:
            front_end, lam = best_front_end_and_lambda(read_results(options.out))
        except LookupError:
            return {}
        held.parent.mkdir(parents=True, exist_ok=True)
        held.write_text(
            json.dumps({"front_end": front_end, "lam": lam, "steps": steps_for(options)}) + "\n"
        )
    chosen = json.loads(held.read_text())
    schedule = Schedule.named(options.preset, **changes)
    corpora = options.out / "corpora"
    common = {
        "lam": chosen["lam"],
        "within": 0.0,
        "steps": chosen["steps"],
        "seed": 0,
        "compile": "off",
    }
    common |= dict(pair.split("=") for pair in options.release_set)
    every = max(1, min(500, chosen["steps"] // 4))
    moments = [max(1, chosen["steps"] * k // 16 // every * every) for k in (1, 2, 4, 8, 16)]
    commands = {}
    for name, differs in RELEASED.items():
        settings = [f"{key}={value}" for key, value in (common | differs).items()]
        commands[name] = [
            ROOT / "tools" / "train_released.py",
            "--data",
            corpora / f"e1-{schedule.long_speakers}",
            "--judge",
            corpora / "e0",
            "--out",
            options.out / "released" / name,
            "--net",
            f"front_end={chosen['front_end']}",
            "--set",
            *settings,
            "--every",
            every,
            "--patience",
            8,
            *(["--keep", *moments] if name in KEPT else []),
        ]
    return commands


# --- What comes back ------------------------------------------------------------------------------


def gather(options) -> None:
    """Copy what is wanted from the experiment's folder to `--back`: at most six files."""
    from dsel.ablation.halving import RUNGS, criterion
    from dsel.ablation.rows import GRID, read_results

    out, back = options.out, options.back
    back.mkdir(parents=True, exist_ok=True)
    results = read_results(out)
    if results:
        shutil.copy(out / "results.csv", back / "results.csv")
    small = [
        *out.glob("*.csv"),
        *out.glob("*.json"),
        *out.glob("*.md"),
        *out.glob("logs/*.log"),
        out / "released/choice.json",
    ]
    small += [
        path
        for name in ("progress.csv", "metrics.csv", "config.json")
        for path in out.glob(f"released/*/{name}")
    ]
    with tarfile.open(back / "grid.tar.gz", "w:gz") as tar:
        for path in filter(Path.is_file, small):
            tar.add(path, path.relative_to(out))
    with tarfile.open(back / "released.tar", "w") as tar:
        for path in sorted(out.glob("released/*/best/checkpoint.pt")):
            tar.add(path, path.relative_to(out))
    for name in KEPT:
        kept = sorted(out.glob(f"released/{name}/kept/*.pt"))
        if kept:
            with tarfile.open(back / f"kept-{name}.tar", "w") as tar:
                for path in kept:
                    tar.add(path, path.relative_to(out))
    scores = {row.id: criterion(results, row.id, RUNGS[0]) for row in GRID[0]}
    best = sorted(
        (row for row in scores if scores[row] is not None and row not in CELLS),
        key=lambda row: scores[row],
    )
    with tarfile.open(back / "cells.tar", "w") as tar:
        for row in [*CELLS, *best][:MOST]:
            if (out / "runs" / f"{row}-0" / "model.pt").is_file():
                _add_half(tar, out / "runs" / f"{row}-0" / "model.pt", f"cells/{row}-0.pt")


def _add_half(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """A model.pt in half precision."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    state["model"] = {
        k: x.half() if x.is_floating_point() else x for k, x in state["model"].items()
    }
    data = io.BytesIO()
    torch.save(state, data)
    entry = tarfile.TarInfo(name)
    entry.size = data.tell()
    data.seek(0)
    tar.addfile(entry, data)


# --- The course of it -----------------------------------------------------------------------------


def run(options, changes: dict, pairs: list[str]) -> None:
    """Start and stop the processes as the module says."""
    from dsel.ablation.rows import Schedule, read_results

    begun = time.monotonic()
    cores = len(os.sched_getaffinity(0))
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    env = {
        **os.environ,
        **one,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    crew, schedule = Crew(options.out / "logs", env), Schedule.named(options.preset, **changes)
    this = [
        Path(__file__).resolve(),
        "--out",
        options.out,
        "--preset",
        options.preset,
        "--set",
        *pairs,
    ]
    end = begun + options.seconds
    stop_cells = end - options.confirm if options.confirm else end
    told = begun

    def corpus(name: str, entanglement: float, nice: int, speakers: int = 0) -> None:
        part = ["--entanglement", entanglement, "--speakers", speakers, "--cores", cores]
        crew.start(name, *this, "--job", "corpus", *part, nice=nice)

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {text}", flush=True)

    def cells(count: int) -> None:
        rows = [] if options.rows is None else ["--rows", *options.rows]
        for k in range(count):
            crew.start(f"cells-{k:02d}", *this, "--job", "cells", *rows)

    try:
        if shutil.which("nvidia-smi"):
            subprocess.run(
                ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv"],
                check=False,
            )
        corpus("corpus-e1", 1.0, 0)
        if (
            options.out / "corpora" / f"e1-{schedule.long_speakers}" / "corpus.json"
        ).is_file():  # going on: all are there
            corpus("corpus-e0", 0.0, 0)
            corpus("corpus-long", 1.0, 0, schedule.long_speakers)
        if options.mps:
            crew.env |= start_mps(crew.env)
            say(
                "multi-process service: "
                + ("on" if "CUDA_MPS_PIPE_DIRECTORY" in crew.env else "not there")
            )
        started, releasing, confirming = False, False, False
        while time.monotonic() < end:
            time.sleep(0.5)
            now = time.monotonic()
            if crew.finished("corpus-e1") and not started:
                say("corpus of entanglement 1 is there; cells begin")
                started = True
                if "corpus-e0" not in crew.running:
                    corpus("corpus-e0", 0.0, 0)
                cells(options.workers)
            if crew.finished("corpus-e0") and "corpus-long" not in crew.running:
                say("corpus of entanglement 0 is there")
                corpus("corpus-long", 1.0, 5, schedule.long_speakers)
            if crew.finished("corpus-long") and not releasing and options.release_seconds:
                commands = release_commands(options, changes)
                releasing = bool(commands)
                if releasing:
                    say(
                        "networks to release: "
                        f"{(options.out / 'released' / 'choice.json').read_text().strip()}"
                    )
                    crew.stop(crew.busy("cells")[-options.room :] if options.room else [])
                    for name, command in commands.items():
                        crew.start(f"release-{name}", *command)
            if options.confirm and now > stop_cells and not confirming:
                confirming = True
                crew.stop(crew.busy("cells"))
                say(
                    f"cells stop: {len(read_results(options.out))} are done; judging on new "
                    "speakers"
                )
                _freeze(options)
                for k in range(options.workers):
                    crew.start(f"confirm-{k:02d}", *this, "--job", "confirm")
            if now - told > 20:
                told = now
                busy = {
                    what: len(crew.busy(what)) for what in ("corpus", "cells", "release", "confirm")
                }
                say(
                    f"{len(read_results(options.out))} trainings done; busy {busy}; failed "
                    f"{crew.failed()}"
                )
            done = (releasing or not options.release_seconds) and (
                confirming or not options.confirm
            )
            if started and done and not crew.busy():
                break
    finally:
        crew.stop(crew.busy())
        say(f"{len(read_results(options.out))} trainings done; failed {crew.failed()}")
        for name in crew.failed()[:3]:
            print(name, (crew.logs / f"{name}.log").read_text()[-1500:], flush=True)
        if options.mps:
            stop_mps(crew.env)
        gather(options)
        say("copied")


def _freeze(options) -> None:
    from dsel.ablation.run import freeze
    from dsel.utils.errors import BadInput

    try:
        freeze(options.out)
    except BadInput as error:
        print(error, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the experiment")
    parser.add_argument(
        "--back", type=Path, default=Path("runs/back"), help="folder for what is to be carried away"
    )
    parser.add_argument(
        "--seconds", type=float, default=540, help="time in all; copying takes about ten more"
    )
    parser.add_argument(
        "--confirm",
        type=float,
        default=0,
        help="seconds of it for judging on new speakers; 0: none",
    )
    parser.add_argument("--workers", type=int, default=14, help="processes that train cells")
    parser.add_argument(
        "--room",
        type=int,
        default=4,
        help="how many of these end when the networks to release begin",
    )
    parser.add_argument(
        "--release-seconds",
        type=float,
        default=380,
        help="time for the networks to release; 0: none",
    )
    parser.add_argument(
        "--release-steps", type=int, default=0, help="their steps; 0: what fits this time"
    )
    parser.add_argument(
        "--release-set",
        nargs="*",
        default=["B=32", "extra=128"],
        metavar="KEY=VALUE",
        help="of TrainConfig",
    )
    parser.add_argument("--preset", default="grid", help="of the schedule")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="whole numbers of the schedule"
    )
    parser.add_argument(
        "--rows",
        nargs="*",
        default=None,
        help=f"what follows the grid; default: {' '.join(FURTHER)}",
    )
    parser.add_argument(
        "--mps", action="store_true", help="let the processes share the GPU through CUDA's service"
    )
    parser.add_argument(
        "--job", choices=("corpus", "cells", "confirm"), help="be one process of it"
    )
    parser.add_argument("--entanglement", type=float, default=0.0)
    parser.add_argument("--speakers", type=int, default=0)
    parser.add_argument("--cores", type=int, default=None)
    options = parser.parse_args()
    options.out = options.out.resolve()
    changes = {key: int(value) for key, value in (pair.split("=") for pair in options.set)}
    if options.job:
        job(options, changes)
    else:
        run(options, changes, options.set)


if __name__ == "__main__":
    main()
