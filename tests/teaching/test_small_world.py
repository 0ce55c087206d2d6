"""Check the table of notebook 05's second half: complete, and what the tool writes."""

import csv

import pytest

from dsel.utils.package_data import SMALL_WORLD
from tools import small_world


def test_the_table_has_every_setting_over_all_seeds():
    rows = small_world.read(SMALL_WORLD)
    pairs = [(row["variant"], int(row["seed"])) for row in rows]
    wanted = {(v, s) for v in small_world.VARIANTS for s in range(small_world.SEEDS)}
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == wanted
    assert {row["steps"] for row in rows} == {str(small_world.STEPS)}


def test_the_curves_have_a_line_per_ten_steps():
    rows = small_world.read(SMALL_WORLD.with_name("small_world_curves.csv"))
    steps = [int(row["step"]) for row in rows if row["variant"] == "lambda 1"]
    assert steps == list(range(10, small_world.STEPS + 1, 10))
    assert {row["variant"] for row in rows} == set(small_world.VARIANTS)


@pytest.mark.parametrize("variant", ["lambda 0"])
def test_a_second_run_trains_only_what_is_missing(tmp_path, monkeypatch, variant, capsys):
    settings = {variant: small_world.VARIANTS[variant], "trained": small_world.SCALES["trained"]}
    monkeypatch.setattr(small_world, "VARIANTS", {variant: settings[variant]})
    out = tmp_path / "world.csv"
    short = ["--out", str(out), "--steps", "10", "--seeds", "2"]
    assert small_world.main(short) == 0
    first = out.read_text(encoding="utf-8")
    monkeypatch.setattr(small_world, "VARIANTS", settings)
    assert small_world.main(short) == 0
    with out.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert out.read_text(encoding="utf-8").startswith(first)
    assert [row["variant"] for row in rows] == [variant] * 2 + ["trained"] * 2
    assert capsys.readouterr().out.splitlines() == [f"{variant} 2 trainings", "trained 4 trainings"]


def test_averages_are_over_seeds_and_ten_steps():
    traces = [{name: [k] * 10 + [k + 2] * 10 for name in small_world.CURVES} for k in (1, 3)]
    rows = small_world.curves_of(traces)
    assert [row["step"] for row in rows] == [10, 20]
    assert [float(row["content"]) for row in rows] == [2, 4]
