"""tools/later.py: what was trained after the freeze, gathered beside the frozen experiment."""

import csv
import shutil

import pytest

from dsel.ablation import frozen_rows, verdict
from dsel.utils.files import write_csv
from tools import later


def lines(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A copy of data/ablation/grid, and a folder with the trainings that its later.csv lists."""
    grid, out = tmp_path / "grid", tmp_path / "out"
    grid.mkdir()
    for name in ("frozen.json", "schedule.json", "results.csv"):
        shutil.copy(verdict.FOLDER / name, grid / name)
    (out / "corpora").mkdir(parents=True)
    shutil.copy(verdict.FOLDER / "later.csv", out / "results.csv")
    for name, ended in (("e1-none-lam3-long-0", True), ("e1-none-lam3-long-1", False)):
        run = out / "runs" / name
        run.mkdir(parents=True)
        steps = "".join(f"{step},0.{step}04\n" for step in (50, 100, 150, 200))
        (run / "metrics.csv").write_text(f"step,cone\n{steps}")
        if ended:
            (run / "model.pt").touch()
    monkeypatch.setattr(later, "FOLDER", grid)
    return grid, out


def judge_all(new):
    """Stand in for `confirm`: each later training is judged, with a hard EER of 1 %."""
    assert len(frozen_rows(new)) == len(verdict.grid())  # the freeze is that of the grid
    rows = lines(new / "results.csv")[len(verdict.grid()) :]
    columns = ("row", "seed", "step", "steps", "entanglement")
    judged = [{name: row[name] for name in columns} | {"test_eer_hard": "1.0"} for row in rows]
    write_csv(new / "confirmed.csv", judged, columns)


def test_later_trainings_are_gathered_and_the_freeze_stays(folders, monkeypatch, capsys):
    grid, out = folders
    monkeypatch.setattr(later, "confirm", judge_all)
    before = (grid / "results.csv").read_bytes()
    for _ in range(2):  # the same again
        assert later.main([str(out)]) == 0
    assert (grid / "results.csv").read_bytes() == before
    assert (grid / "later.csv").read_bytes() == (out / "results.csv").read_bytes()
    confirmed = lines(grid / "later_confirmed.csv")
    trained = lines(out / "results.csv")
    assert [(r["row"], r["seed"]) for r in confirmed] == [(r["row"], r["seed"]) for r in trained]
    assert {r["test_eer_hard"] for r in confirmed} == {"1.0"}
    n = len(trained)
    assert f"{n} trainings, {n} of them judged" in capsys.readouterr().out


def test_cones_are_those_of_long_trainings_that_ended(folders, monkeypatch):
    grid, out = folders
    monkeypatch.setattr(later, "confirm", judge_all)
    later.main([str(out)])
    assert lines(grid / "later_cone.csv") == [
        {"row": "e1-none-lam3-long", "seed": "0", "step": "100", "cone": "0.100"},
        {"row": "e1-none-lam3-long", "seed": "0", "step": "200", "cone": "0.200"},
    ]


def test_a_folder_without_trainings_is_refused_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"results\.csv: missing; run"):
        later.main([str(tmp_path)])
