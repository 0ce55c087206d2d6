"""The workflows on GitHub: valid, safe, pinned, and made of the Makefile's own commands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: ([\w./-]+)@([0-9a-f]{40})  # v\d+\.\d+\.\d+\n")


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run a checker that is installed beside Python."""
    program = Path(sys.executable).parent / name
    if not program.exists():
        pytest.skip(f"{name} is not installed")
    return subprocess.run([program, *arguments], capture_output=True, encoding="utf-8")


def jobs() -> list[tuple[str, str, dict]]:
    """(workflow, name, job) of every job."""
    return [
        (path.name, name, job)
        for path in WORKFLOWS
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items()
    ]


def commands() -> list[tuple[str, str, str]]:
    """(workflow, job, command) of every step that runs one."""
    return [
        (workflow, name, step["run"].strip())
        for workflow, name, job in jobs()
        for step in job["steps"]
        if "run" in step
    ]


def targets() -> set[str]:
    """The targets that the Makefile has a rule for."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {
        name for line in re.findall(r"^([a-z][a-z ]*):(?!=)", text, re.M) for name in line.split()
    }


def test_there_is_a_workflow_for_tests_for_the_week_for_the_site_and_for_releases():
    assert {path.stem for path in WORKFLOWS} == {"tests", "weekly", "pages", "release"}


def test_every_workflow_is_valid():
    paths = map(str, WORKFLOWS)
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *paths)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_in_a_workflow_is_unsafe():
    done = tool("zizmor", "--offline", "--no-progress", str(ROOT / ".github" / "workflows"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_workflow_is_noticed(tmp_path):
    path = tmp_path / "wrong.yml"
    path.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "run-on:"))
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(path))
    assert done.returncode != 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_hash_and_each_always_by_the_same(path):
    text = path.read_text(encoding="utf-8")
    assert len(PINNED.findall(text)) == text.count("uses:")
    everywhere = "".join(other.read_text(encoding="utf-8") for other in WORKFLOWS)
    hashes = dict(PINNED.findall(everywhere))
    assert set(PINNED.findall(text)) <= set(hashes.items())


def test_every_command_is_one_of_the_makefile_or_ci_s_own():
    found = commands()
    assert found
    for workflow, job, command in found:
        if command == ".ci/run":
            continue
        make, *rest = command.split()
        assert make == "make", f"{workflow}, {job}: {command}"
        assert {word for word in rest if "=" not in word} <= targets(), command


def test_the_quick_tests_run_on_every_system_with_every_python_that_is_promised():
    (quick,) = [job for workflow, name, job in jobs() if (workflow, name) == ("tests.yml", "quick")]
    matrix = quick["strategy"]["matrix"]
    promised = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert matrix["python"] == promised
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}


@pytest.mark.parametrize(("workflow", "name", "job"), jobs(), ids=lambda value: str(value)[:20])
def test_a_job_may_read_only_and_ends(workflow, name, job):
    assert job["timeout-minutes"] <= 90
    allowed = {"deploy": {"pages": "write", "id-token": "write"}, "publish": {"id-token": "write"}}
    permissions = job.get("permissions", {"contents": "read"})
    assert permissions == allowed.get(name, {"contents": "read"})


@pytest.mark.parametrize("form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")))
def test_an_issue_form_can_be_filled_in(form):
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert content["name"]
    assert content["description"]
    assert {part["type"] for part in content["body"]} <= {"markdown", "textarea", "input"}
    names = [part["id"] for part in content["body"] if part["type"] != "markdown"]
    assert len(names) == len(set(names)) > 0
