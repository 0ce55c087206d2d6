"""CONTRIBUTING's lines for readers without make do what the Makefile does."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# Parts of other targets, of releases, or of make's own; each says in the Makefile what it is.
LEFT_OUT = {"site-live", "site-slides", "stamp", "clean", "pages", "lowest", "newest", "kill"}


def recipes() -> dict[str, str]:
    """Target -> its commands, spelt as without make: `python -m ...` for what is in .venv."""
    text = re.sub(r"\\\n\s*", "", MAKEFILE)
    text = text.replace("$(if $(filter 0,$(shell id -u)),--allow-root) ", "")  # root only
    found = {}
    for names, lines in re.findall(r"^([a-z][a-z -]*):[^=\n]*\n((?:\t.*\n)+)", text, re.M):
        for name in names.split():
            spelt = lines.replace("$@", name).replace('"$(FOLDER)"', "handed-in")
            spelt = re.sub(r"\$\(BIN\)/(?!python)(\w+)", r"python -m \1", spelt)
            found[name] = spelt.replace("$(BIN)/python", "python")
    return found


def rows() -> dict[str, list[str]]:
    """Target -> the commands of its line in the table."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("## Without make") : text.index("## Where things go")]
    return {
        target: re.findall(r"`([^`]+)`", commands)
        for target, commands in re.findall(r"^\| `make (\w+)[^|]*\| (.+) \|$", table, re.M)
    }


def test_every_target_of_a_reader_has_a_line():
    phony = re.search(r"\.PHONY: ((?:.*\\\n)*.*)", MAKEFILE)[1].replace("\\\n", " ").split()
    assert set(rows()) == set(phony) - LEFT_OUT


@pytest.mark.parametrize("target", sorted(set(rows()) - {"test", "licences"}))
def test_a_line_is_what_the_makefile_runs(target):
    parts = (target, f"{target}-live", f"{target}-slides")
    made = "".join(recipes().get(part, "") for part in parts)
    made = made.replace("python -m coverage run -m pytest", "python -m pytest")
    for command in rows()[target]:
        assert command in made, f"{command}\nis not in\n{made}"
    assert len(rows()[target]) == len(re.findall(r"python -m (?!coverage)|python \w", made))


def test_the_whole_is_its_three_parts():
    parts = re.search(r"^test: (.*)$", MAKEFILE, re.M)[1].split()
    assert rows()["test"] == [f"make {part}" for part in parts]


def test_the_extras_are_those_that_make_installs():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (extras,) = re.findall(r'-e "\.\[([a-z,]+)\]"', text)
    installed = re.search(r"^\$\(VENV\)/\.test:.*\n\t\$\(call install,(.*)\)", MAKEFILE, re.M)[1]
    assert extras == installed.replace("$(COMMA)", ",")
    (pin,) = re.findall(r"--no-deps (\S+)\n", text)
    assert f"--no-deps {pin} " in MAKEFILE
