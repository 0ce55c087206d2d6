"""The verdict: its numbers against a recomputation from the csv, its words against its numbers."""

import csv
import re
import statistics
from dataclasses import asdict
from pathlib import Path

import pytest

from dsel.ablation import real_voices, verdict, verdict_figures
from dsel.ablation.rows import LONG, ROWS, Schedule
from dsel.ablation.wording import between, in_seeds

FOLDER = Path(__file__).resolve().parents[2] / "data" / "ablation" / "grid"


@pytest.fixture(scope="module")
def results():
    return verdict.grid()


@pytest.fixture(scope="module")
def records():
    """{(row, seed): line of the csv}, read here."""
    with (FOLDER / "results.csv").open(newline="") as file:
        return {(r["row"], r["seed"]): r for r in csv.DictReader(file) if r["step"] == r["steps"]}


def test_every_claim_of_the_page_is_true(results):
    claims = verdict.claims(results)
    assert len(claims) >= 15
    assert [text for text, holds in claims.items() if not holds] == []


def test_a_claim_fails_where_the_numbers_say_otherwise(results):
    """Rows exchange their names: lambda 3 with lambda 0, level with track."""
    other = {
        verdict.FOUR["none"][2]: verdict.FOUR["none"][0],
        verdict.FOUR["none"][0]: verdict.FOUR["none"][2],
        verdict.CHOSEN: verdict.BASELINE,
        verdict.BASELINE: verdict.CHOSEN,
    }
    swapped = [{**r, "row": other.get(r["row"], r["row"])} for r in results]
    claims = verdict.claims(swapped)
    assert not claims["lambda 3 helps on novel combinations"]
    assert not claims["it costs easy trials"]
    assert not claims["the front end decides on free trials"]
    assert not claims["validation chose level and lambda 3"]


def test_there_are_ten_lines_and_every_first_number_can_be_recomputed(results, records):
    lines = verdict.lines(results)
    assert len(lines) == 10
    for row in (verdict.CHOSEN, verdict.BASELINE):
        trio = [
            statistics.fmean(
                float(r[f"test_eer_{k}"]) for (name, _), r in records.items() if name == row
            )
            for k in ("free", "hard", "easy")
        ]
        assert " / ".join(f"{x:.1f}" for x in trio) in lines[0]
    a, b = verdict.FOUR["none"][2], verdict.FOUR["none"][0]
    d = [
        float(records[a, s]["test_eer_hard"]) - float(records[b, s]["test_eer_hard"])
        for s in "01234"
    ]
    half = 2.7764 * statistics.stdev(d) / 5**0.5  # Student's t for 5 seeds, from a table
    assert f"{statistics.fmean(d):.1f} ± {half:.1f} points" in lines[1]


def test_word_dependence_is_taken_seed_by_seed(results, records):
    found = verdict.by_seed(results, verdict.CHOSEN, verdict.WORDS)
    assert len(found) == 5
    for seed, value in found.items():
        r = records[verdict.CHOSEN, str(seed)]
        assert value == pytest.approx(float(r["test_eer_hard"]) - float(r["test_eer_easy"]))


def test_the_frozen_hash_is_that_of_the_files():
    import hashlib
    import json

    frozen = json.loads((FOLDER / "frozen.json").read_text())
    for name, digest in frozen["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name
    cell = frozen["grid"]
    assert f"e1-{cell['front_end']}-lam{cell['lam']:g}" == verdict.CHOSEN


def test_no_interval_stands_on_two_seeds(results):
    for line in verdict.grid_table(results).splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert ("±" in line) == (int(cells[3]) >= verdict.ENOUGH)
    assert "± 0.0 " not in verdict.grid_table(results) + verdict.effect_table(results)


def test_the_rows_of_the_verdict_exist(results):
    rows = [row for rows in (*verdict.FOUR.values(), *verdict.FIVE.values()) for row in rows]
    assert set(rows) | set(verdict.OTHERS) <= set(ROWS)
    assert {r["row"] for r in results} <= set(ROWS)


def test_every_variant_is_a_point_of_the_figure(results):
    figure = verdict_figures.verdict_figure(results, {"free": 20.0, "hard": 40.0, "easy": 10.0})
    large = [t for t in figure.data if t.text is not None]
    joined = [t for t in large if "lines" in t.mode]
    assert sum(len(t.x) for t in joined) == 24  # three front ends, four lambdas, with and without
    alone = {t.name: (*t.x, *t.y) for t in figure.data if t.name in {*verdict.OTHERS.values()}}
    assert len(alone) == len(verdict.OTHERS)
    (told,) = (t for t in figure.data if t.name == "supervised")
    assert (*told.x, *told.y) == (20.0, 30.0)


def real(judge, *eers, steps=800, condition=real_voices.MICROPHONE):
    found = {"judge": judge, "steps": str(steps), "condition": condition}
    return [found | {"seed": str(k), "eer": f"{x:.2f}"} for k, x in enumerate(eers)]


def test_real_voices_are_averaged_over_their_seeds():
    found = real_voices.error(real("a", 10, 12, 14) + real("b", 90), "a")
    assert (found.mean, found.n) == (12.0, 3)


def test_a_page_counts_seeds_in_english(results):
    from tools import verdict_page

    assert [in_seeds(n) for n in (1, 2, 5)] == ["1 seed", "2 seeds", "5 seeds"]
    page = verdict_page.top() + verdict_page.questions() + verdict_page.tables()
    assert not re.search(r"\b1 seeds|seed\(s\)", page)
    assert "1 seed" in page


def test_real_voices_are_compared_seed_by_seed():
    rows = real("a", 10, 12, 14) + real("b", 11, 13, 15.5) + real("still", 5, steps=0)
    assert real_voices.best(rows)[0] == "a"  # what was not trained is no variant
    assert real_voices.seeds(rows, ("a", "b")) == "3 seeds"
    assert real_voices.seeds(rows + real("c", 20), ("a", "c")) == "1 to 3 seeds"
    change = real_voices.change(rows, "a", "b")
    assert change.mean == pytest.approx(-3.5 / 3)
    assert verdict.spread(real_voices.error(rows, "a")).startswith("12.0 ±")
    assert verdict.spread(real_voices.error(real("c", 20, 21), "c")) == ("20.5")


def test_what_leaks_stands_between_a_random_network_and_a_ceiling():
    for name, rows in verdict.leaks().items():
        eers = {m.of: m for m in rows if m.metric == "eer"}
        assert eers["supervised, same embedding"].value < eers["random network"].value
        assert all(m.low < m.value < m.high for m in eers.values()), name
        (ceiling,) = (m for m in rows if m.of.startswith("ceiling"))
        assert ceiling.value >= max(m.value for m in rows if m.metric == "phoneme")


@pytest.mark.parametrize("name", ["four_terms", "five_terms", "lambda0"])
def test_networks_on_new_speakers_are_those_of_the_csv(name):
    """The same errors as on the machine that trained them, now with intervals."""
    known = verdict.on_new_speakers()[name]
    for m in verdict.new_speakers()[name]:
        if m.metric == "eer" and m.head == "identity" and not (m.same_sex or m.group):
            assert m.value == pytest.approx(known[f"eer_{m.trials}"], abs=1e-3)
            assert m.low < m.value < m.high
        if m.metric == "min_dcf":
            assert m.p_target == 0.05
            assert m.low <= m.value <= m.high


def test_the_supervised_listener_is_read_from_its_page():
    page = "| who | free | hard | easy |\n|---|---|---|---|\n"
    page += "| x | 1.0 / 2.0 | 3.0 / 4.0 | 5.0 / 6.0 |\n"
    assert verdict.listener(page, "x") == {
        "free": 1.0,
        "free, same sex": 2.0,
        "hard": 3.0,
        "hard, same sex": 4.0,
        "easy": 5.0,
        "easy, same sex": 6.0,
    }


def test_pictures_are_those_of_the_numbers():
    from tools import verdict_page

    figures = verdict_page.drawn()
    assert set(figures) == set(verdict_page.ALT)
    assert verdict_page.due(figures) == []
    assert verdict_page.due({"verdict": {"data": []}}) == ["verdict"]


def test_no_question_is_answered_without_a_number():
    answers = list(verdict.answers(verdict.grid()))
    assert len(answers) == 9
    for _, _, text in answers:
        assert re.search(r"\d+\.\d", text)


def test_a_long_training_stands_beside_the_same_short_one():
    schedule = Schedule()
    pairs = verdict.long_pairs()
    assert [p.long for p in pairs] == [row.id for block in LONG for row in block]
    for pair in pairs:
        long = ROWS[pair.long]
        assert (long.length, long.entanglement) == ("long", 1.0)
        assert long.model_config(schedule).front_end == pair.front_end
        config = asdict(long.train_config(schedule, 0))
        assert f"λ = {config['lam']:g}" in pair.what
        if pair.short is None:
            continue
        other = asdict(ROWS[pair.short].train_config(schedule, 0))
        length = {"steps", "log_every"}
        assert {k for k in config if config[k] != other[k]} <= length
        assert long.model_config(schedule) == ROWS[pair.short].model_config(schedule)


def test_the_figure_of_length_shows_what_was_trained(results):
    """Two ends of a line: the short training hollow, the long one filled, each at its mean."""
    pair = next(p for p in verdict.long_pairs() if p.short)
    short = [r for r in results if r["row"] == pair.short]
    long = [r | {"row": pair.long, "test_eer_hard": 10.0 + k} for k, r in enumerate(short[:3])]
    figure = verdict_figures.long_figure(short + long)
    (line,) = (t for t in figure.data if "lines" in t.mode and t.xaxis == "x")
    mean = statistics.fmean(r["test_eer_hard"] for r in short)
    assert list(line.x) == [pytest.approx(mean, abs=0.051), 11.0]
    assert [symbol.endswith("-open") for symbol in line.marker.symbol] == [True, False]
    (seeds,) = (t for t in figure.data if t.mode == "markers" and t.xaxis == "x")
    assert list(seeds.x) == [10.0, 11.0, 12.0]


def test_seeds_are_counted_from_the_fewest_to_the_most():
    assert [between(n) for n in ([3, 3], [2, 5], [0, 1], [0, 4])] == [
        "3 seeds",
        "2 to 5 seeds",
        "at most 1 seed",
        "at most 4 seeds",
    ]
