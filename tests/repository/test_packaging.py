"""environment.yml, pyproject.toml, constraints.txt and Makefile agree; Colab has what we need."""

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from dsel.utils.containers import HANDLED

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]
# What Colab shipped in August 2026; av is not there and is added by the installation.
COLAB = {
    "torch": "2.11.0",
    "numpy": "2.1.3",
    "tqdm": "4.67.1",
    "plotly": "5.24.1",
    "ipywidgets": "7.7.1",
    "scikit-learn": "1.6.1",
    "scipy": "1.13.0",  # at least: the first that runs with numpy 2
    "umap-learn": "0.5.12",
}


def required_by(name: str) -> set[str]:
    """Return the names of the packages that an installed package always needs."""
    lines = map(Requirement, importlib.metadata.requires(name))
    return {line.name for line in lines if not line.marker or line.marker.evaluate({"extra": ""})}


def test_environment_installs_this_package_with_the_extras_of_a_reader():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == "dsel"
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert "-c constraints.txt" in pip
    (package,) = [line for line in pip if line.startswith("-e .")]
    extras = set(re.search(r"\[(.*)\]", package).group(1).split(","))
    assert extras == {"speech", "faces", "lab", "test"}
    assert extras <= set(PROJECT["optional-dependencies"])
    (python,) = [
        line
        for line in environment["dependencies"]
        if isinstance(line, str) and line.startswith("python")
    ]
    assert python.removeprefix("python") == PROJECT["requires-python"]


def test_makefile_installs_extras_that_exist():
    makefile = (ROOT / "Makefile").read_text()
    used = set(re.findall(r"\$\(call install,(.*)\)", makefile))
    assert used
    assert {e for line in used for e in line.split("$(COMMA)")} <= set(
        PROJECT["optional-dependencies"]
    )


def test_every_dependency_says_what_it_is_for():
    block = TEXT[TEXT.index("dependencies = [") : TEXT.index("[project.scripts]")]
    for line in block.splitlines():
        if re.match(r'\s+"', line) and "dsel[" not in line:
            assert re.search(r"#\s*\S+", line), f"no purpose beside {line.strip()}"


def test_base_requirements_replace_nothing_on_colab():
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        if requirement.name in COLAB:
            assert requirement.specifier.contains(COLAB[requirement.name]), text
    names = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert names - COLAB.keys() - required_by("torch") == {"av"}
    assert not names & {
        "jupyterlab",
        "notebook",
        "ipykernel",
        "torchaudio",
        "opencv-python-headless",
    }


def test_constraints_pin_within_the_requirements():
    wanted = {Requirement(text).name: Requirement(text) for text in PROJECT["dependencies"]}
    for name, version, _ in pins():
        assert wanted[name].specifier.contains(version)


def pins() -> list[tuple[str, str, Marker]]:
    """(package, version, where) of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [(pin.name, str(pin.specifier).removeprefix("=="), pin.marker) for pin in found]


@pytest.mark.parametrize(
    ("system", "least"), [("linux", "2.13"), ("win32", "2.13"), ("darwin", "2.14")]
)
def test_one_torch_is_pinned_for_each_system_and_for_macs_none_with_a_wrong_batch_norm(
    system, least
):
    versions = [
        version
        for name, version, where in pins()
        if name == "torch" and where.evaluate({"sys_platform": system})
    ]
    assert len(versions) == 1
    assert Version(versions[0]) >= Version(least)


PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE")


@pytest.mark.parametrize("path", [*PAGES, "Makefile", ".ci/run"])
def test_what_a_repository_has(path):
    assert (ROOT / path).stat().st_size > 0


def test_the_wheel_carries_every_package_and_the_data():
    setuptools = tomllib.loads(TEXT)["tool"]["setuptools"]
    assert setuptools["package-data"]["dsel"] == ["py.typed"]
    assert (ROOT / "dsel" / "py.typed").is_file()
    found = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for path in ROOT.glob("dsel/**/__init__.py")
    }
    assert set(setuptools["packages"]) == found | {"dsel._data", "dsel._notebooks"}
    assert setuptools["package-dir"] == {
        "dsel._data": "data",
        "dsel._notebooks": "notebooks",
    }
    data = ROOT / "data"
    carried = {
        path for pattern in setuptools["package-data"]["dsel._data"] for path in data.glob(pattern)
    }
    inside = [
        path for name in ("mini", "models") for path in (data / name).rglob("*") if path.is_file()
    ]
    needed = [path for path in inside if "cache" not in path.parts]
    assert set(needed) <= carried
    assert not [path for path in carried if "cache" in path.parts]


def test_a_citation_names_the_paper_and_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["preferred-citation"]["url"] == PROJECT["urls"]["Paper"]


def test_the_pythons_promised_begin_where_the_code_does():
    """Classifiers, requires-python, ruff and the README agree on the oldest; none is left out."""
    prefix = "Programming Language :: Python :: 3."
    named = [
        int(text.removeprefix(prefix)) for text in PROJECT["classifiers"] if text.startswith(prefix)
    ]
    assert named == list(range(named[0], named[-1] + 1))
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert [minor for minor in range(5, named[-1] + 1) if allowed.contains(f"3.{minor}.0")] == named
    assert tomllib.loads(TEXT)["tool"]["ruff"]["target-version"] == f"py3{named[0]}"
    assert f"Python 3.{named[0]} or newer" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python 3.{named[0]} or newer" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_versions_of_pyav_allowed_are_those_the_code_handles():
    (av,) = [Requirement(text) for text in PROJECT["dependencies"] if text.startswith("av>")]
    every = [f"{major}.{minor}" for major in range(1, 100) for minor in range(10)]
    allowed = [version for version in every if av.specifier.contains(version)]
    assert (
        tuple(version for version in allowed if version.endswith(".0") or version == allowed[0])
        == HANDLED
    )


def test_version_is_one():
    import dsel

    assert dsel.__version__ == PROJECT["version"]
