"""Check `make grade`: verdicts of students' notebooks, the time limit, the empty environment."""

import csv
import os

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
psutil = pytest.importorskip("psutil")

from tools import grade  # noqa: E402

RIGHT = "def my_confusion_loss(logits):\n    return -logits.log_softmax(dim=-1).mean()"
WRONG = RIGHT.replace("mean", "sum")
FORGED = 'print("dsel-grade:" + \'{"confusion_loss": [true, "", "Right."]}\')'


def notebook(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [nbformat.v4.new_code_cell(text) for text in cells]
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)), encoding="utf-8")


@pytest.mark.parametrize("number", [f"{n:02d}" for n in range(12)])
def test_every_exercise_states_minutes_and_difficulty(number):
    tasks = grade.tasks_of(number)
    assert tasks
    for task in tasks:
        assert 0 < task.minutes <= 30
        assert task.difficulty in ("easy", "medium", "hard")


@pytest.mark.heavy
def test_verdicts_are_collected_in_a_table_and_a_csv(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SECRET_TOKEN", "x")
    folder, out = tmp_path / "handed in", tmp_path / "grades.csv"
    seen = "import os\nassert 'SECRET_TOKEN' not in os.environ\nopen('left', 'w').close()"
    notebook(folder / "anna" / "05_disentanglement_loss.ipynb", seen, "1 / 0", RIGHT)
    notebook(folder / "05_ben.ipynb", WRONG, FORGED)
    notebook(folder / "essay.ipynb", "1")
    assert grade.main([str(folder), "--out", str(out), "--seconds", "120"]) == 0
    with out.open(encoding="utf-8", newline="") as lines:
        rows = {row["file"]: row for row in csv.DictReader(lines)}
    anna, ben = rows["anna/05_disentanglement_loss.ipynb"], rows["05_ben.ipynb"]
    assert anna["solved"] == "True"
    assert (ben["solved"], ben["name"]) == ("False", "sum")
    assert rows["essay.ipynb"]["name"] == "unknown"
    assert "1 of 3 solved" in capsys.readouterr().out
    assert sorted(os.listdir(folder)) == ["05_ben.ipynb", "anna", "essay.ipynb"]


@pytest.mark.heavy
def test_a_notebook_that_does_not_end_is_stopped(tmp_path):
    number = tmp_path / "number"
    start = f"open({str(number)!r}, 'w').write(str(subprocess.Popen(['sleep', '300']).pid))"
    notebook(tmp_path / "05_x.ipynb", f"import subprocess\n{start}", "while True:\n    pass")
    (row,) = grade.grade(tmp_path, seconds=15)
    assert row["name"] == "too long"
    left = [p for p in psutil.process_iter(["pid", "status"]) if p.pid == int(number.read_text())]
    assert not left or left[0].status() == psutil.STATUS_ZOMBIE  # what it had started is stopped


@pytest.mark.heavy
def test_a_missing_function_and_a_missing_folder_are_named(tmp_path):
    notebook(tmp_path / "05_x.ipynb", "x = 1")
    (row,) = grade.grade(tmp_path, seconds=120)
    assert row["message"] == "my_confusion_loss is not defined."
    with pytest.raises(SystemExit, match="no such folder"):
        grade.main([str(tmp_path / "nowhere")])
