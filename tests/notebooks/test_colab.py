"""Check the notebooks for Colab: links and first cells, and a run on an emulated Colab.

The emulation (marked slow: `make colab`) is an environment with the versions that Colab ships, a
kernel that has imported a fake `google.colab`, one .ipynb alone in a folder, and the package as a
wheel. Not emulated: Python 3.13 and torch 2.11 (PyPI has its Linux build with CUDA only; here the
build of the constraint), Colab's page, and the network between the kernel and the page.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_packaging import COLAB

from tools import stamp

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
# Further versions that Colab ships.
MORE = {"ipykernel": "6.17.1", "ipython": "7.34.0", "opencv-python-headless": "4.12.0.88"}
UV = shutil.which("uv") or str(Path(sys.executable).parent / "uv")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_is_stamped(path):
    assert stamp.stamped(path, stamp.address()) == path.read_text(encoding="utf-8"), (
        "run: make docs"
    )


def sources(nb):
    return ["".join(cell["source"]) for cell in nb["cells"]]


def bare(text="## Two\n"):
    return {
        "cells": [
            {
                "cell_type": "markdown",
                "id": "a",
                "metadata": {},
                "source": ["# 03 · Title\n", "### 제목\n", "\n", "Text."],
            },
            {
                "cell_type": "code",
                "id": "b",
                "metadata": {},
                "execution_count": 1,
                "outputs": [],
                "source": ["x = 1"],
            },
            {
                "cell_type": "markdown",
                "id": "c",
                "metadata": {},
                "source": text.splitlines(keepends=True),
            },
        ]
    }


def test_a_new_address_replaces_the_old_one_everywhere():
    nb = bare()
    stamp.stamp(nb, "03_x.ipynb", "https://github.com/OWNER/dsel")
    once = json.dumps(nb)
    stamp.stamp(nb, "03_x.ipynb", "https://github.com/OWNER/dsel")
    assert json.dumps(nb) == once  # a second time changes nothing
    stamp.stamp(nb, "03_x.ipynb", "https://github.com/somebody/speech")
    text = "\n".join(sources(nb))
    assert "OWNER" not in text
    assert (
        text.count(
            "colab.research.google.com/github/somebody/speech/blob/main/notebooks/03_x.ipynb"
        )
        == 1
    )
    assert text.count("git+https://github.com/somebody/speech@main") == 1
    assert sources(nb)[0].startswith("# 03 · Title\n### 제목\n\n**[▶ Open in Colab]")
    assert sources(nb)[0].endswith("\n\nText.")
    assert [cell.get("execution_count") for cell in nb["cells"] if cell["cell_type"] == "code"] == [
        1,
        2,
    ]


def test_counts_of_a_notebook_that_was_not_run_in_order_are_left_alone():
    nb = bare()
    nb["cells"].append({**nb["cells"][1], "id": "d", "execution_count": 7})
    stamp.stamp(nb, "03_x.ipynb", "https://github.com/a/b")
    assert [cell["execution_count"] for cell in nb["cells"] if cell["cell_type"] == "code"][1:] == [
        1,
        7,
    ]


def test_a_heading_opens_a_cell_but_not_inside_code():
    nb = bare("before\n\n## Two\n\n```\n## no heading\n```\n\n## Three\nend\n")
    stamp.stamp(nb, "03_x.ipynb", "https://github.com/a/b")
    assert sources(nb)[3:] == ["before", "## Two\n\n```\n## no heading\n```", "## Three\nend"]
    assert len({cell["id"] for cell in nb["cells"]}) == len(nb["cells"])


def test_the_first_cell_does_nothing_elsewhere():
    nb = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    cell = nb["cells"][1]
    assert "google.colab" not in sys.modules
    body = re.sub(
        r"^( +)%pip.*$", r"\1raise AssertionError('installs')", "".join(cell["source"]), flags=re.M
    )
    exec(body, {})  # the guard holds
    with pytest.raises(AssertionError, match="installs"):
        exec(body.replace('"google.colab" in sys.modules', "True"), {})


def test_only_one_place_holds_the_address():
    repository = stamp.address()
    holders = [
        path.relative_to(ROOT).as_posix()
        for path in [
            *ROOT.glob("*.*"),
            *ROOT.glob("dsel/**/*.py"),
            *ROOT.glob("tools/**/*.py"),
            ROOT / "Makefile",
        ]
        if path.is_file() and repository in path.read_text(encoding="utf-8", errors="ignore")
    ]
    assert holders == ["pyproject.toml"]


def freeze(python) -> dict[str, str]:
    lines = subprocess.run(
        [UV, "pip", "freeze", "-q", "--python", python], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split("==") for line in lines.splitlines() if "==" in line)


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """Return a Python with Colab's versions and the wheel of this checkout; or skip, saying why."""
    folder = tmp_path_factory.mktemp("colab")
    torch = (ROOT / "constraints.txt").read_text().split("torch==")[1].split()[0]
    wanted = {**COLAB, **MORE, "torch": torch}
    python = folder / "env" / "bin" / "python"
    try:
        subprocess.run(
            [UV, "venv", "-q", "--seed", folder / "env", "--python", sys.executable],
            check=True,
            timeout=120,
        )
        packages = [f"{name}=={version}" for name, version in wanted.items()]
        subprocess.run(
            [UV, "pip", "install", "-q", "--python", python, *packages], check=True, timeout=400
        )
        subprocess.run([UV, "build", "-q", "--wheel", "-o", folder, ROOT], check=True, timeout=200)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"Colab's versions or the wheel cannot be had here: {error}")
    package = next(python.parent.parent.glob("lib/python*/site-packages")) / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "colab.py").write_text("import google.colab\n")
    spec = folder / "jupyter" / "kernels" / "colab"
    spec.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Colab", "language": "python"})
    )
    return folder, python, next(folder.glob("*.whl"))


@pytest.mark.slow
@pytest.mark.parametrize("name", os.environ.get("DSEL_COLAB", "03_content_loss").split(","))
def test_a_bare_notebook_runs_on_an_emulated_colab(colab, name, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    folder, python, wheel = colab
    text = (ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    source_of_package = f"git+{stamp.address()}@{stamp.BRANCH}"
    assert text.count(source_of_package) == 1
    nb = nbformat.reads(text.replace(source_of_package, wheel.as_uri()), as_version=4)
    look = "import dsel\nfrom dsel import corpus\n"
    look += "print(dsel.__file__, dsel.load('laptop').config.D, corpus.open('mini'))"
    nb.cells.append(nbformat.v4.new_code_cell(look))
    for variable, value in {
        "JUPYTER_PATH": folder / "jupyter",
        "IPYTHONDIR": folder / "ipython",
        "DSEL_TIER": "fast",
    }.items():
        monkeypatch.setenv(variable, str(value))
    for variable in ("PYTHONPATH", "PLOTLY_RENDERER"):
        monkeypatch.delenv(variable, raising=False)
    before = freeze(python)
    NotebookClient(
        nb, kernel_name="colab", timeout=400, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    after = freeze(python)
    assert {name: after.get(name) for name in before} == before, (
        "the first cell changed what Colab ships"
    )
    printed = "".join(output.get("text", "") for output in nb.cells[-1].outputs)
    assert "site-packages/dsel/__init__.py" in printed  # the wheel, not this checkout
    shown = [
        output.data for cell in nb.cells for output in cell.get("outputs", []) if "data" in output
    ]
    figures = [data["text/html"] for data in shown if "Plotly.newPlot" in data.get("text/html", "")]
    assert figures, "plotly chose no renderer that Colab's page can show"
    # Colab draws no figure inside a widget's Output (googlecolab/colabtools #5889): controls may
    # be widgets, figures may not.
    kept = nb.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    models = {model["model_name"] for model in kept.values()}
    assert models & {"SelectionSliderModel", "IntSliderModel", "FloatSliderModel"}
    assert not models & {"OutputModel", "FigureModel"}
