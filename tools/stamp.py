"""Write into every notebook what is the same in all: Colab link, first cell, slides, folds.

    python tools/stamp.py            all of notebooks/ (`make docs` does this too)
    python tools/stamp.py --check    change nothing; name what is out of date, and exit with 1

The repository's address stands in one place, `[project.urls]` of pyproject.toml. As long as OWNER
stands there, it is taken from `git remote get-url origin`, if that is on GitHub. Text cells are
split where a `##` begins inside. No other cell and no output is touched, and a second time changes
nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel.utils.files import write_text  # noqa: E402
from tools import fold, slides  # noqa: E402

NOTEBOOKS = ROOT / "notebooks"
# A link and no picture: pages load nothing from elsewhere, and GitHub drops a data: picture.
BADGE = re.compile(r"\n*^\*\*\[▶ Open in Colab\]\([^)]*\)\*\*[^\n]*$", re.M)
INSTALLS = "google.colab"  # what tells the cell that installs from all others
BRANCH = "main"
EXTRAS = "speech,faces"


def address() -> str:
    """The repository's address, from [project.urls] of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    urls = text.split("[project.urls]")[1].split("\n[")[0]
    return re.search(r'^Repository\s*=\s*"([^"]+)"', urls, re.M).group(1).rstrip("/")


def is_placeholder(repository: str) -> bool:
    """Whether nobody has set the owner yet."""
    return "/OWNER/" in repository


REMOTE = re.compile(
    r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[/:]([\w.-]+)/([\w.-]+?)(?:\.git)?/?"
)


def github_address(remote: str) -> str | None:
    """The web address of a remote on GitHub, given as https, ssh or git@; None for any other."""
    found = REMOTE.fullmatch(remote.strip())
    return f"https://github.com/{found[1]}/{found[2]}" if found else None


def origin() -> str | None:
    """The GitHub address of the remote `origin`; None without git, remote, or elsewhere."""
    command = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    try:
        remote = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return github_address(remote)


def adopt(repository: str | None) -> None:
    """Put an address into pyproject.toml in place of the placeholder; one that was set stays."""
    if repository and is_placeholder(address()):
        path = ROOT / "pyproject.toml"
        text = path.read_text(encoding="utf-8")
        write_text(path, text.replace(f'"{address()}"', f'"{repository}"', 1))


def colab() -> str:
    """How README.md says to open the course on Colab: by a link, or by Colab's own menu."""
    repository = address()
    start = "**In the browser:**"
    if is_placeholder(repository):
        return (
            f"{start} in [Google Colab](https://colab.research.google.com) choose *File, Open "
            "notebook, GitHub*, enter the address of this repository and take notebook 00."
        )
    link = badge("00_start_here.ipynb", repository).strip("*")
    return f"{start} {link} and run notebook 00 cell by cell."


def badge(name: str, repository: str, *, branch: str = BRANCH, folder: str = "notebooks/") -> str:
    """Write the line that opens the notebook `name` of a folder and branch on Colab."""
    path = repository.removeprefix("https://github.com/")
    place = f"https://colab.research.google.com/github/{path}/blob/{branch}/{folder}{name}"
    return f"**[▶ Open in Colab]({place})**"


def install(repository: str) -> str:
    """The first cell: adds the package with its data, and replaces nothing that Colab ships."""
    about = "# On Google Colab this installs the course and its small corpus (about a minute). "
    about += "Elsewhere it does nothing."
    return f"""{about}
import sys

if "{INSTALLS}" in sys.modules:
    %pip install --quiet "dsel[{EXTRAS}] @ git+{repository}@{BRANCH}\""""


def as_lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def renumber(nb) -> None:
    """Keep the execution counts those of one run from top to bottom, if that is what they were."""
    code = [
        cell
        for cell in nb["cells"]
        if cell["cell_type"] == "code" and "".join(cell["source"]).strip()
    ]
    counts = [cell["execution_count"] for cell in code if INSTALLS not in "".join(cell["source"])]
    if None in counts or counts != list(range(counts[0], counts[0] + len(counts))):
        return
    for number, cell in enumerate(code, start=1):
        before = cell["execution_count"]
        cell["execution_count"] = number
        for output in cell["outputs"]:
            if output.get("execution_count") == before:
                output["execution_count"] = number


def split_at_headings(nb) -> None:
    """Give every `##` a cell of its own, so that it can open a slide.

    Text in front of it stays in the cell before.
    """
    cells = []
    for cell in nb["cells"]:
        parts = [[]]
        fenced = False
        for line in "".join(cell["source"]).splitlines(keepends=True):
            fenced ^= line.startswith("```")
            if (
                cell["cell_type"] == "markdown"
                and line.startswith("## ")
                and not fenced
                and any(map(str.strip, parts[-1]))
            ):
                parts.append([])
            parts[-1].append(line)
        for number, part in enumerate(parts):
            more = {"id": f"{cell['id']}-{number}"} if number else {}
            cells.append(
                {
                    **cell,
                    **more,
                    "metadata": dict(cell["metadata"]),
                    "source": as_lines("".join(part).strip("\n")),
                }
            )
    nb["cells"] = cells


def stamp(nb, name: str, repository: str) -> None:
    """Stamp one notebook, in place."""
    head = nb["cells"][0]
    titles, _, rest = BADGE.sub("", "".join(head["source"])).partition("\n\n")
    head["source"] = as_lines(f"{titles}\n\n{badge(name, repository)}\n\n{rest.lstrip()}")
    nb["cells"] = [
        cell
        for cell in nb["cells"]
        if INSTALLS not in "".join(cell["source"]) or cell["cell_type"] == "markdown"
    ]
    first = {
        "cell_type": "code",
        "execution_count": 1,
        "id": hashlib.sha256(name.encode()).hexdigest()[:8],
        "metadata": {},
        "outputs": [],
        "source": as_lines(install(repository)),
    }
    nb["cells"].insert(1, first)
    split_at_headings(nb)
    renumber(nb)
    slides.stamp(nb)
    fold.fold(nb)
    forget_the_run(nb)


def forget_the_run(nb: dict) -> None:
    """Drop what a run leaves beside what it shows: widgets' state and script, times of cells."""
    nb.get("metadata", {}).pop("widgets", None)
    for cell in nb["cells"]:
        cell["metadata"].pop("execution", None)
        if cell["cell_type"] == "code":
            cell["outputs"] = [output for output in cell["outputs"] if not is_page_script(output)]


def is_page_script(output: dict) -> bool:
    """Say whether an output is the script of the explorers, which do nothing without a kernel."""
    return "window.dselPage" in "".join(output.get("data", {}).get("text/html", ""))


def stamped(path: Path, repository: str) -> str:
    """The text of the file as it should be."""
    nb = json.loads(path.read_text(encoding="utf-8"))
    stamp(nb, path.name, repository)
    return as_text(nb)


def as_text(nb: dict) -> str:
    """A notebook as it is written here: always the same for the same notebook."""
    return json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit with 1 if a notebook is out of date",
    )
    options = parser.parse_args(argv)
    if not options.check:
        adopt(origin())
    repository = address()
    if is_placeholder(repository):
        print(
            f"note: {repository} is a placeholder: add the remote 'origin' on GitHub, "
            "or set Repository in pyproject.toml"
        )
    behind = []
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        text = stamped(path, repository)
        if text == path.read_text(encoding="utf-8"):
            continue
        behind.append(path.name)
        if not options.check:
            write_text(path, text)
    if behind:
        print(("out of date: " if options.check else "stamped: ") + ", ".join(behind))
    return 1 if options.check and behind else 0


if __name__ == "__main__":
    sys.exit(main())
