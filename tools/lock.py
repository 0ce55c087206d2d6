"""Write uv.lock: the exact version of every dependency, for `uv sync`. `make lock`.

torch is locked to what constraints.txt pins. uv has no option for constraints of a lock, so they
stand in a copy of pyproject.toml first; locked again without them, uv keeps what it has chosen.
Folders of local wheels are not looked at: their paths would stand in the lock.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel.utils.files import write_bytes  # noqa: E402


def constraints() -> list[str]:
    """Return the lines of constraints.txt, without its comments."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def main() -> None:
    """Lock in a folder of its own, and bring the result back."""
    clean = {key: value for key, value in os.environ.items() if key != "UV_FIND_LINKS"}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pins = "".join(f'  """{line}""",\n' for line in constraints())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "README.md", folder)
        for text in (f"{project}\n[tool.uv]\nconstraint-dependencies = [\n{pins}]\n", project):
            (folder / "pyproject.toml").write_text(text, encoding="utf-8")
            subprocess.run([sys.executable, "-m", "uv", "lock"], cwd=folder, env=clean, check=True)
        write_bytes(ROOT / "uv.lock", (folder / "uv.lock").read_bytes())


if __name__ == "__main__":
    main()
