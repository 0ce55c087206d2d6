"""Measure what batches cost by where they come from, and how fast a million tracks are opened.

    python benchmarks/loader.py [--batches 12]            writes benchmarks/loader.md

The same batches of the laptop configuration over data/mini: from the cache, from clips decoded on
the fly, from shards on disk and behind a URL of this machine; against a plain loop that decodes
every clip whole. All arrays are compared.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from report import report

from dsel import corpus
from dsel.corpus import resize, to_int16
from dsel.corpus.pack import shard
from dsel.timing import samples_for
from dsel.train import TrainConfig
from dsel.train.batches import Batches
from dsel.train.loaders import PrefetchedBatches, make_batches

SIZE = 48
SIMULATED = (100_000, 1_090_000)  # tracks; the second is VoxCeleb2


class Whole:
    """The plain way: decode the whole clip, then cut."""

    size = SIZE

    def __init__(self, people):
        self.people = people

    def read(self, track, first, count, seen=slice(None)):
        frames, sound = self.people.clip(track)
        part = to_int16(sound[samples_for(first) : samples_for(first + count)])
        return resize(frames, SIZE)[first : first + count][seen], part


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A file server that answers range requests."""

    def do_GET(self):
        span = self.headers.get("Range")
        if not span:
            return super().do_GET()
        first, last = map(int, span.removeprefix("bytes=").split("-"))
        with open(self.translate_path(self.path), "rb") as file:
            file.seek(first)
            data = file.read(last - first + 1)
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def timed(batches, count: int) -> tuple[float, float, list]:
    """Milliseconds a batch in order, of wall clock and of this process; the first left out (it
    starts the workers).
    """
    found = [batches.at(0)]
    begin, used = time.perf_counter(), time.process_time()
    found += [batches.at(step) for step in range(1, count + 1)]
    return (
        1000 * (time.perf_counter() - begin) / count,
        1000 * (time.process_time() - used) / count,
        found,
    )


def opened(tracks: int) -> dict:
    """Open a simulated index of so many tracks in a process of its own: seconds and MiB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "corpus.json").write_text(json.dumps({"format": 1}), encoding="utf-8")
        with (path / "tracks.csv").open("w") as file:
            file.write("id,speaker,split,path,frames,offset,sex,confidence\n")
            for k in range(tracks):
                name = f"id{k % 5994:05d}/21Uxsk5{k // 5994:04d}/{k:07d}"
                row = f"{name},id{k % 5994:05d},train,clips/{name}.mp4,{100 + k % 200},{k % 3 - 1},"
                row += f"{'fm'[k % 2]},{k % 100 / 100}"
                file.write(row + "\n")
        output = subprocess.run(
            [sys.executable, __file__, "--open", folder], check=True, capture_output=True, text=True
        ).stdout
        return {**json.loads(output), "csv": (path / "tracks.csv").stat().st_size >> 20}


def open_here(folder: str) -> None:
    """What `opened` runs: prints a line of JSON."""
    torch.zeros(1)
    forget_peak()
    before, begin = memory("VmRSS"), time.process_time()
    people = corpus.Corpus(folder)
    opened_after = time.process_time() - begin
    batches = Batches(type("Nothing", (), {"size": SIZE}), people.split("train"), TrainConfig())
    batches._draw(0)
    print(
        json.dumps(
            {
                "open": opened_after,
                "ready": time.process_time() - begin,
                "mib": memory("VmHWM") - before,
            }
        )
    )


def memory(what: str) -> float:
    """MiB of this process: VmRSS (now) or VmHWM (at most, since `forget_peak`)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def forget_peak() -> None:
    """Let VmHWM begin anew: it would count what was needed to import torch."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--open", default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        return open_here(arguments.open)
    people, rows = corpus.open("mini"), []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DSEL_CACHE"] = folder + "/cache"
        packed = shard(people.path, Path(folder) / "shards", progress=False)
        handler = functools.partial(Ranges, directory=str(packed))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"

        def batches(place, loader, workers):
            return make_batches(
                corpus.open(place),
                TrainConfig.laptop(loader=loader, workers=workers),
                SIZE,
                progress=False,
            )

        plain = Batches(Whole(people), people.split("train"), TrainConfig.laptop())
        cases = {
            "every clip whole, one process": plain,
            "decode, one process": batches(people.path, "decode", 0),
            "decode, 2 workers": batches(people.path, "decode", 2),
            "shards on disk, 2 workers": batches(packed, "shards", 2),
            "shards behind a URL, 2 workers": batches(url, "shards", 2),
            "cache": batches(people.path, "cache", 0),
        }
        first = None
        for name, source in cases.items():
            wall, cpu, found = timed(source, arguments.batches)
            if isinstance(source, PrefetchedBatches):
                source.close()
            first = first or (cpu, found)
            for ours, theirs in zip(found, first[1], strict=True):
                assert all(
                    torch.equal(getattr(ours, k), getattr(theirs, k))
                    for k in ("faces", "sound", "extra_faces", "pick")
                )
            rows.append((name, f"{wall:.0f}", f"{cpu:.0f}", f"{first[0] / cpu:.1f}"))
        server.shutdown()
    notes = [
        "All batches equal, byte for byte. 80 tracks a batch: 20 frames of 16 of them, 5 frames of "
        "64, 0.8 s of sound of all."
    ]
    for tracks in SIMULATED:
        found = opened(tracks)
        notes.append(
            f"A simulated index of {tracks:,} tracks ({found['csv']} MiB of csv): opened in "
            f"{found['open']:.1f} CPU-s, "
            f"ready to draw batches after {found['ready']:.1f} CPU-s, {found['mib']:.0f} MiB of "
            "peak memory more than before, "
            f"{found['mib'] * 2**20 / tracks:.0f} bytes a track."
        )
    report(
        "loader",
        "Where batches come from",
        ("batches from", "ms a batch", "CPU-ms of the training process", "times fewer"),
        rows,
        "\n".join(notes),
    )


if __name__ == "__main__":
    main()
