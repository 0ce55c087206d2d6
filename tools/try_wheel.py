"""Install a wheel where nothing else is, and use it: `make package`.

    python tools/try_wheel.py build/dist

The environment and the working folder are new, so that only what the wheel carries is there: the
small corpus, the released networks, the notebooks and the command line.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
USE = """
import dsel, dsel.corpus, pathlib
people = dsel.corpus.open("mini")
sounds = [people.clip(track)[1] for track in people.tracks[:3]]
vectors = dsel.embed(sounds)
assert vectors.shape[0] == 3, vectors.shape
assert "site-packages" in dsel.__file__, dsel.__file__
print(len(people.tracks), "tracks,", vectors.shape, "vectors")
"""


def commands(folder: Path) -> list[list[str]]:
    """Return what is tried, as arguments of Python, from the smallest to the whole course."""
    return [
        ["-m", "dsel", "--version"],
        ["-c", USE],
        ["-m", "dsel", "evaluate", "four_terms", "--data", "mini"],
        ["-m", "dsel", "notebooks", "--out", str(folder / "course")],
    ]


def main() -> None:
    """Install the wheel of a folder in an empty environment and run the commands there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dist", type=Path, help="the folder with one wheel")
    (wheel,) = parser.parse_args().dist.resolve().glob("*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv")
        python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        install = ["-m", "uv", "pip", "install", "-q", "--python", str(python)]
        pins = ["-c", str(ROOT / "constraints.txt")]
        subprocess.run([sys.executable, *install, *pins, str(wheel)], check=True)
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        for command in commands(folder):
            subprocess.run([str(python), *command], check=True, cwd=folder, env=clean)
        found = len(list((folder / "course").glob("*.ipynb")))
        assert found == 12, f"{found} notebooks"
        print(f"{found} notebooks")


if __name__ == "__main__":
    main()
