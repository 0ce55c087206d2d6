"""uv.lock: in step with pyproject.toml and constraints.txt, and without a path of any machine."""

import re
import sys
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
LOCK = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
(OURS,) = [package for package in LOCK["package"] if package["name"] == PROJECT["name"]]


def wanted() -> set[tuple]:
    """(package, its extras, versions, our extra) of every requirement of pyproject.toml."""
    groups = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    return {
        (r.name.lower(), frozenset(r.extras), r.specifier, extra)
        for extra, lines in groups.items()
        for r in map(Requirement, lines)
    }


def locked() -> set[tuple]:
    """The same, of the lock."""
    return {
        (
            row["name"],
            frozenset(row.get("extras", ())),
            SpecifierSet(row.get("specifier", "")),
            "".join(re.findall(r"extra == '(\w+)'", row.get("marker", ""))),
        )
        for row in OURS["metadata"]["requires-dist"]
    }


def test_the_lock_has_the_requirements_of_the_project():
    assert locked() == wanted()
    assert LOCK["requires-python"] == PROJECT["requires-python"]


def test_everything_but_this_package_comes_from_pypi():
    sources = [package["source"] for package in LOCK["package"] if package is not OURS]
    assert all(source == {"registry": "https://pypi.org/simple"} for source in sources)
    assert OURS["source"] == {"editable": "."}
    files = [file for package in LOCK["package"] for file in package.get("wheels", [])]
    assert files
    assert {file["url"].split("/")[2] for file in files} == {"files.pythonhosted.org"}


@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
def test_torch_is_the_one_that_is_pinned(system):
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (pin,) = [
        pin
        for pin in map(Requirement, (line for line in pins if line and not line.startswith("#")))
        if pin.name == "torch" and pin.marker.evaluate({"sys_platform": system})
    ]
    chosen = {
        row["version"]
        for row in OURS["dependencies"]
        if row["name"] == "torch" and Marker(row["marker"]).evaluate({"sys_platform": system})
    }
    assert len(chosen) == 1
    assert pin.specifier.contains(chosen.pop())
