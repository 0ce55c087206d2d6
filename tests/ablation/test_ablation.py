"""The experiment: resumable to the cell, paired, tabulated with intervals that an independent
computation confirms.
"""

import csv
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import ROOT, make_noise_corpus
from scipy import stats

from dsel import ablation as experiment
from dsel.ablation import ablation, confirm, draw, judge, load_networks
from dsel.ablation import figures as ablationplots
from dsel.ablation import report as ablationreport
from dsel.ablation.halving import chosen_by_the_grid
from dsel.ablation.rows import (
    BLOCKS,
    COLUMNS,
    EXPERIMENTS,
    FIRST_COLUMNS,
    GRID,
    ROWS,
    SHIPPED,
    SPLITS,
    Schedule,
    cells,
    read_results,
)
from dsel.corpus import Corpus
from dsel.evaluate.intervals import interval
from dsel.model import ModelConfig, TwoStream
from dsel.train.trainer import Trainer
from dsel.utils.errors import BadInput
from dsel.utils.files import HOST, lock

SMALL = {
    "B": 3,
    "N": 5,
    "extra": 2,
    "short": 3,
    "long": 4,
    "short_marks": (1, 2),
    "long_marks": (),
    "most_seeds": 2,
    "few_seeds": 1,
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Two noise corpora with people to judge by, standing for entanglement 0 and 1."""
    found = {}
    for level in (0.0, 1.0):
        path = tmp_path_factory.mktemp("noise") / f"e{level:g}"
        make_noise_corpus(path, speakers=6 + int(level), tracks=2, test=6)
        table = path / "tracks.csv"
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        tests = sorted({row["speaker"] for row in rows if row["split"] == "test"})
        for row in rows:
            row["split"] = "validation" if row["speaker"] in tests[:3] else row["split"]
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        found[level] = path
    return found


def small(out, corpora, rows, seeds=None, **changes):
    return ablation(
        out, "fast", rows=rows, seeds=seeds, corpora=corpora, progress=False, **{**SMALL, **changes}
    )


@pytest.fixture(scope="module")
def finished(corpora, tmp_path_factory):
    out = tmp_path_factory.mktemp("ablation")
    small(out, corpora, ["e1-lam0", "e1-lam1", "both", "random", "extra0"])
    return out


def test_one_row_for_every_cell_and_mark(finished):
    found = [(r["row"], r["seed"], r["step"]) for r in read_results(finished)]
    pairs = [
        (row, seed, step) for seed in (0, 1) for row in ("e1-lam0", "e1-lam1") for step in (1, 2, 3)
    ]
    notes = [
        (row, seed, step)
        for seed in (0, 1)
        for row, step in (("random", 2), ("both", 1), ("both", 2), ("both", 3))
    ]
    assert found == [*pairs, *notes, ("extra0", 0, 1), ("extra0", 0, 2), ("extra0", 0, 3)]
    with (finished / "results.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
    for row in read_results(finished):
        assert {"validation_eer_free", "test_eer_free", "w_content"} <= row.keys()
        for figure in (
            "content_top1",
            "seen_eer_free",
            "directions",
        ):  # faces are looked at in the end alone
            assert (f"test_{figure}" in row) == (row["step"] == row["steps"])
        assert "test_eer_hard" not in row  # this corpus has no such trials
        assert "test_phoneme_identity_head" not in row  # nor phonemes
        assert row["test_speaker_identity_head"] >= 0
    assert not list(finished.rglob("checkpoint*"))


def test_paired_rows_start_and_learn_alike_and_others_do_not(finished):
    hashes = {(r["row"], r["seed"]): r["pair"] for r in read_results(finished)}
    assert hashes["e1-lam0", 0] == hashes["e1-lam1", 0]
    assert hashes["e1-lam0", 1] == hashes["e1-lam1", 1] != hashes["e1-lam0", 0]  # another seed
    assert (
        len({hashes[row, 0] for row in ("e1-lam0", "both", "extra0", "random")}) == 4
    )  # another corpus, batches, length
    lam0, lam1 = (
        load_networks(finished / "runs" / f"{row}-0" / "model.pt")[0].state_dict()
        for row in ("e1-lam0", "e1-lam1")
    )
    assert any(
        not torch.equal(lam0[name], lam1[name]) for name in lam0
    )  # what differs is what was learnt


def test_pair_hash_sees_weights_and_batches(corpora, tmp_path):
    def trainer(name, **changes):
        config = ROWS["e1-lam1"].train_config(Schedule.named("fast", **SMALL), 0)
        config = type(config).checked(**{**vars(config), **changes})
        model = ModelConfig.laptop()
        return Trainer(Corpus(corpora[0.0]), model, config, tmp_path / name, progress=False)

    same, lam, seed, windows = (
        trainer("a"),
        trainer("b", lam=0.0),
        trainer("c", seed=1),
        trainer("d", N=6),
    )
    first = experiment.pair_hash(same)
    assert first == experiment.pair_hash(lam)
    assert len({first, experiment.pair_hash(seed), experiment.pair_hash(windows)}) == 3
    torch.manual_seed(0)
    fresh = TwoStream(ModelConfig.laptop()).state_dict()
    for (
        name,
        value,
    ) in same.model.state_dict().items():  # the hash is of the weights that the trainer starts from
        assert torch.equal(fresh[name], value)


def test_the_random_network_keeps_its_weights(finished):
    torch.manual_seed(0)
    fresh = TwoStream(ModelConfig.laptop())
    idle, _ = load_networks(finished / "runs" / "random-0" / "model.pt")
    for name, value in fresh.named_parameters():
        assert torch.equal(value, dict(idle.named_parameters())[name].cpu()), name
    norm = "face_trunk.layers.1.running_mean"
    assert not torch.equal(
        fresh.state_dict()[norm], idle.state_dict()[norm].cpu()
    )  # but has met its data


def test_what_is_done_is_not_done_again(finished, corpora, monkeypatch):
    before = (finished / "results.csv").read_bytes()
    monkeypatch.setattr(experiment.run, "Trainer", None)  # would fail if anything were trained
    small(finished, corpora, ["e1-lam0", "e1-lam1", "both", "random", "extra0"])
    assert (finished / "results.csv").read_bytes() == before


def test_kept_networks_are_those_that_were_judged(finished, corpora):
    (row,) = [
        r for r in read_results(finished) if (r["row"], r["seed"], r["step"]) == ("both", 1, 3)
    ]
    model, similarity = load_networks(finished / "runs" / "both-1" / "model.pt")
    directions = experiment.face_directions(model, Corpus(corpora[0.0]))
    again = judge(model, Corpus(corpora[0.0]), "test", similarity, directions=directions)
    assert "seen_eer_free" in again
    for name, value in again.items():
        assert row[f"test_{name}"] == pytest.approx(value, abs=1e-3), name


def test_sound_alone_gives_the_same_figures_as_with_faces(finished, corpora):
    model, _ = load_networks(finished / "runs" / "e1-lam1-0" / "model.pt")
    whole, sound = (
        judge(model, Corpus(corpora[0.0]), "test", faces=faces) for faces in (True, False)
    )
    assert {"eer_free", "speaker_identity_head", "cone"} <= sound.keys() <= whole.keys()
    assert "content_top1" in whole.keys() - sound.keys()
    for name, value in sound.items():
        assert value == pytest.approx(whole[name], abs=1e-3), name


RUN = """
import sys
from dsel.ablation import ablation
corpora = {{0.0: {0!r}, 1.0: {1!r}}}
ablation(sys.argv[1], "fast", rows=["e1-lam1", "both"], corpora=corpora, progress=False, **{2!r})
"""


def test_killed_anywhere_and_started_again_it_ends_the_same(corpora, tmp_path):
    """SIGKILL at several moments; every restart goes on; the figures are those of an undisturbed
    run.
    """
    settings = {**SMALL, "short": 6, "short_marks": (2, 4), "most_seeds": 1}
    code = RUN.format(str(corpora[0.0]), str(corpora[1.0]), settings)
    # Sums are the same to the last bit only with as many threads as this process has.
    threads = str(torch.get_num_threads())
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads}
    out = tmp_path / "killed"

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", code, str(out)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    seen = set()
    for wanted in (
        "checkpoint.pt",
        "results.csv",
        "model.pt",
    ):  # while it trains, after a mark, at the end of a cell
        process, until = start(), time.monotonic() + 120
        while (
            process.poll() is None
            and time.monotonic() < until
            and not set(out.rglob(wanted)) - seen
        ):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen |= set(out.rglob("*"))
    (
        out / f".report-test.{HOST}-{process.pid}-0.part.md"
    ).touch()  # as if killed while it wrote that
    process = start()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    small(tmp_path / "whole", corpora, ["e1-lam1", "both"], **{**settings})
    killed, whole = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in read_results(tmp_path / name)]
        for name in ("killed", "whole")
    )
    assert killed == whole
    assert not list(out.rglob("*.part*"))


def test_a_folder_keeps_its_schedule_and_unknown_things_are_refused(finished, corpora):
    with pytest.raises(BadInput, match="lam_warmup 2 there, 7 asked"):
        small(finished, corpora, ["both"], lam_warmup=7)
    with pytest.raises(BadInput, match="no row 'bth'; groups are"):
        small(finished, corpora, ["bth"])
    with pytest.raises(BadInput, match="unknown key 'step'"):
        Schedule.named("laptop", step=3)
    with pytest.raises(BadInput, match="must be one of fast, laptop, grid, gpu"):
        Schedule.named("huge")
    with pytest.raises(BadInput, match="at least 1"):
        Schedule.named("fast", short=0)


def test_two_processes_do_not_do_the_same_cell(finished, corpora, tmp_path):
    (tmp_path / "runs").mkdir()
    with lock(tmp_path / "runs" / ".both-0.lock") as mine:
        assert mine
        assert small(tmp_path, corpora, ["both"], seeds=[0]) == []
    assert [row["step"] for row in small(tmp_path, corpora, ["both"], seeds=[0])] == [1, 2, 3]


def test_the_most_valuable_cells_come_first_and_each_once():
    schedule = Schedule.named("laptop")
    order = [(row.id, seed) for row, seed in cells(schedule)]
    assert len(set(order)) == len(order)
    assert {row for row, _ in order} == {row.id for block in BLOCKS for row in block}
    assert set(ROWS) == {row.id for name in EXPERIMENTS for row, _ in cells(schedule, [name])}
    assert [row.id for row, _ in cells(schedule, ["lam3", "grid"], seeds=[0])] == [
        row.id for block in GRID for row in block
    ]
    assert order[:4] == [("e1-lam0", 0), ("e1-lam1", 0), ("e1-lam0", 1), ("e1-lam1", 1)]
    notes = [cell for cell in order if cell[0] in ("random", "content", "identity", "both", "full")]
    assert [seed for _, seed in notes] == sorted(seed for _, seed in notes)
    assert order.index(notes[-1]) < order.index(("scale-trained", 0))
    assert {ROWS[row].steps(schedule) for row in ("content", "full")} == {650}
    assert {ROWS[row].steps(schedule) for row in ("content-long", "full-long", "e1-lam1-long")} == {
        2000
    }
    assert {row for row, _ in order[-20:]} == {
        f"{row}-long" for row in ("content", "identity", "both", "full")
    }
    for row in (
        ROWS.values()
    ):  # every configuration is a valid one, and only the seed tells two cells of a row apart
        a, b = (vars(row.train_config(schedule, seed)) for seed in (0, 1))
        assert {name for name in a if a[name] != b[name]} == {"seed"}


# --- What the rows say ----------------------------------------------------------------------------


def made_up(rows=("e1-lam0", "e1-lam1", "both", "full"), seeds=range(5), step=650, missing=()):
    """Rows of a results.csv with invented figures; lam1 rows are 4 points better on hard trials in
    the e1 corpus.
    """
    rng, found = np.random.default_rng(3), []
    for row, seed in itertools.product(rows, seeds):
        if (row, seed) in missing:
            continue
        luck = np.random.default_rng(seed).normal(0, 3)  # of the seed: paired rows share it
        gain = 4.0 if row == "e1-lam1" else 0.0
        figures = {
            "eer_free": 20 + luck,
            "eer_hard": 40 + luck - gain,
            "content_top1": 25,
            "phoneme_identity_head": 30.0,
        }
        known = {
            "row": row,
            "seed": seed,
            "step": step,
            "steps": 650,
            "pair": f"{row[:2] == 'e1'}{seed}",
            "seconds": 1.0,
        }
        noise = {
            f"{split}_{k}": v + rng.normal(0, 0.2)
            for split in ("validation", "test")
            for k, v in figures.items()
        }
        found.append(known | noise)
    return found


def test_paired_differences_are_those_of_a_paired_t_test():
    results = made_up()
    a, b = (
        [r["test_eer_hard"] for r in results if r["row"] == row] for row in ("e1-lam1", "e1-lam0")
    )
    want = stats.ttest_rel(a, b).confidence_interval(0.95)
    found = ablationreport.paired(results, "e1-lam1", "e1-lam0", "test_eer_hard")
    assert (found.interval.low, found.interval.high) == pytest.approx((want.low, want.high))
    assert found.seeds == (0, 1, 2, 3, 4)
    assert found.same
    unpaired = stats.ttest_ind(a, b).confidence_interval(0.95)
    assert found.interval.half < (unpaired.high - unpaired.low) / 4  # the seeds' luck is gone


def test_only_common_seeds_are_paired_and_unlike_batches_are_told():
    results = made_up(missing=[("e1-lam0", 1), ("e1-lam1", 4)])
    found = ablationreport.paired(results, "e1-lam1", "e1-lam0", "test_eer_hard")
    assert found.seeds == (0, 2, 3)
    results[0]["pair"] = "other"
    assert not ablationreport.paired(results, "e1-lam1", "e1-lam0", "test_eer_hard").same
    assert ablationreport.paired(results, "e1-lam1", "within", "test_eer_hard").interval.n == 0


def test_growth_pairs_step_by_step():
    results = made_up() + made_up(step=200)
    found = ablationreport.growth(results, "e1-lam1", "e1-lam0", "test_eer_hard")
    assert list(found) == [200, 650]
    assert all(d.interval.mean == pytest.approx(-4, abs=0.5) for d in found.values())


def test_tables_hold_the_means_and_leave_out_what_is_not_there():
    results = made_up()
    text = ablationreport.group_table(results, "Entanglement of the training corpus")
    hard = np.array([r["test_eer_hard"] for r in results if r["row"] == "e1-lam1"])
    half = stats.t.ppf(0.975, 4) * stats.sem(hard)
    line = next(line for line in text.splitlines() if "entanglement 1, + disentanglement" in line)
    assert f"{hard.mean():.1f}\u00a0±\u00a0{half:.1f}" in line
    assert "0.5" not in text.split("---")[-1]
    assert len({line.count("|") for line in text.splitlines()}) == 1
    effect = ablationreport.effect_table(results)
    line = next(line for line in effect.splitlines() if line.startswith("| entanglement 1 "))
    assert "| yes |" in line
    assert "**-" in line
    assert "| entanglement 0.5 |" not in effect


def test_every_row_named_anew_stands_in_its_group():
    for group, names in ablationreport.CALLED.items():
        assert set(names) <= set(ablationreport.GROUPS[group][0])
    assert {row for rows, _ in ablationreport.GROUPS.values() for row in rows} == set(
        ROWS
    )  # and every row in some group
    assert (
        ablationreport.label("full", "Extra identity-only tracks")
        == "64 extra identity-only tracks (default)"
    )
    assert ROWS["full"].train_config(Schedule.named("laptop"), 0).extra == 64


def test_the_results_that_come_with_the_repository_are_whole():
    path = SHIPPED / "results.csv"
    if not path.is_file():
        pytest.skip("no results of the laptop preset are committed yet")
    results = read_results(path)
    with path.open(newline="") as file:
        header = tuple(next(csv.reader(file)))
    assert header == COLUMNS[: len(header)]  # columns that came later stand behind
    assert len(header) >= len(FIRST_COLUMNS)
    keys = [(r["row"], r["seed"], r["step"]) for r in results]
    assert len(set(keys)) == len(keys)
    assert {r["row"] for r in results} <= set(ROWS)
    assert all(
        0 <= r[f"{split}_eer_{kind}"] <= 100
        for r in results
        for split in SPLITS
        for kind in ("free", "hard")
    )
    for row, other in ablationreport.PAIRS.values():
        assert ablationreport.paired(results, row, other, "test_eer_hard").same, (row, other)


@pytest.mark.parametrize(("folder", "count"), [(SHIPPED, 331), (SHIPPED / "grid", 174)])
def test_what_was_frozen_follows_from_the_committed_files(folder, count):
    """The rows whose hash was noted give the same choice, and choice and hash the same seed of new
    speakers.
    """
    frozen = json.loads((folder / "frozen.json").read_text())
    first = b"".join((folder / "results.csv").read_bytes().splitlines(keepends=True)[: 1 + count])
    assert hashlib.sha256(first).hexdigest() == frozen["sha256"]["results.csv"]
    rows = experiment.frozen_rows(folder)
    assert [(r["row"], str(r["seed"]), str(r["step"])) for r in rows] == [
        tuple(line.split(",")[:3]) for line in first.decode().splitlines()[1:]
    ]
    again = ablationreport.choose(rows) | chosen_by_the_grid(rows) | {"sha256": frozen["sha256"]}
    assert again == {key: value for key, value in frozen.items() if key != "seed"}
    digest = hashlib.sha256(json.dumps(again, sort_keys=True).encode()).hexdigest()
    assert int(digest[:7], 16) == frozen["seed"]


def test_rows_and_columns_that_came_after_the_freeze_are_told_from_those_before(tmp_path):
    for name in ("frozen.json", "schedule.json"):
        (tmp_path / name).write_bytes((SHIPPED / name).read_bytes())
    head, *lines = (SHIPPED / "results.csv").read_text().splitlines()
    empty = "," * (head.count(",") - 1)  # up to the last of the new columns
    later = [f"{line},1.0,2.0" for line in lines]
    later += [f"e1-lam1,99,{k},650{empty}" for k in range(3)]
    (tmp_path / "results.csv").write_text("\n".join([f"{head},new,newer", *later]) + "\n")
    assert len(experiment.frozen_rows(tmp_path)) == 331
    lines[5] = lines[5].replace("0", "1", 1)
    (tmp_path / "results.csv").write_text("\n".join([head, *lines]) + "\n")
    with pytest.raises(BadInput, match="does not begin with the rows"):
        experiment.frozen_rows(tmp_path)
    (tmp_path / "schedule.json").write_text("{}")
    with pytest.raises(BadInput, match="not the schedule"):
        experiment.frozen_rows(tmp_path)


def test_word_dependence_of_rows_that_are_older_than_its_column():
    with (SHIPPED / "results.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    for record, row in zip(records, read_results(SHIPPED / "results.csv"), strict=True):
        hard, easy = (float(record[f"test_eer_{kind}"]) for kind in ("hard", "easy"))
        assert row["test_word_dependence"] == pytest.approx(hard - easy, abs=1e-4)


def test_no_difference_has_an_interval_without_width():
    for folder in (SHIPPED, SHIPPED / "grid"):
        for split in SPLITS:
            text = ablationreport.report(read_results(folder), split)
            assert "±\u00a00.0 " not in text
            assert "±\u00a00.0*" not in text
            assert "all alike" not in text


def test_the_report_says_what_chance_alone_would_show():
    rng = np.random.default_rng(0)
    nothing = [interval(rng.normal(0, 1, 5)) for _ in range(200)]
    text = ablationreport.multiplicity(nothing)
    draws = np.random.default_rng(0).normal(0, 1, (200, 5))
    p = sorted(stats.ttest_1samp(draws, 0, axis=1).pvalue)
    kept = 0
    while p[kept] <= 0.05 / (200 - kept):
        kept += 1
    assert text.startswith(
        f"200 differences are tested at 5 %; {sum(x < 0.05 for x in p)} are in bold."
    )
    assert "about 10 would be" in text
    assert f" {kept} remain" in text
    real = [interval([9.0, 9.1, 9.2, 9.1, 9.0])] * 5
    assert f" {kept + 5} remain" in ablationreport.multiplicity(nothing + real)
    results = made_up()
    assert len(ablationreport.all_differences(results)) == 4  # two pairs, free and hard trials
    assert (
        min(ablationreport.pairing(results)) > 0.9
    )  # the invented luck of a seed is shared by both rows
    assert ablationreport.pairing(made_up(seeds=range(3))) == []


def test_sentences_claim_only_what_the_interval_shows():
    rows = made_up(("e1-lam0", "e1-lam1", "both", "full", "within"))
    for row in rows:
        row["test_eer_hard"] -= 7 * (row["row"] == "within")
        row["test_seen_eer_hard"] = row["test_eer_hard"]
    shown = ablationreport.sentences(rows)
    assert len(shown) == 5
    assert "seeds; shown" in shown[0]
    assert "not shown: the interval includes 0" in shown[1]
    assert shown[2].split("by ")[-1] == shown[0].split("by ")[-1]
    assert "by -" in shown[3]
    assert "seeds; shown" in shown[3]
    assert all("not measured yet" in text for text in ablationreport.sentences([]))
    assert "1 seed" in ablationreport.sentences(made_up(seeds=[0]))[0]


def test_the_default_stays_unless_another_row_is_shown_to_be_better():
    results = made_up()
    assert ablationreport.choose(results)["chosen"] == "e1-lam1"
    rival = [{**r, "row": "within"} for r in results if r["row"] == "e1-lam1"]
    for k, row in enumerate(rival):  # better on average, by luck alone
        row["validation_eer_hard"] += -5.0 if k == 0 else 0.5
    found = ablationreport.choose(results + rival)
    assert (found["chosen"], found["best"]) == ("e1-lam1", "within")
    for row in rival:
        row["validation_eer_hard"] -= 5.0
    assert ablationreport.choose(results + rival)["chosen"] == "within"
    for row in rival:
        row["test_eer_hard"] = 99.0  # test speakers have no say
    assert ablationreport.choose(results + rival)["chosen"] == "within"
    with pytest.raises(BadInput, match="no results of the row e1-lam1"):
        ablationreport.choose([])


def test_figures_show_what_there_is(finished):
    for results in (read_results(finished), made_up() + made_up(step=200), []):
        found = ablationplots.figures(results)
        assert bool(found) == bool(results)
        for figure in found.values():
            assert figure.to_json()
    effect = ablationplots.effect_figure(made_up())
    points = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in effect.data}
    assert min(points["hard"].values()) == pytest.approx(-4, abs=0.3)
    coverage = ablationplots.coverage_figure(np.random.default_rng(0))
    shown = [sum(step.args[0]["visible"]) for step in coverage.layout.sliders[0].steps]
    assert shown == [2] * len(shown) == [2] * (len(coverage.data) // 2)
    made = draw(finished, pictures=False)
    assert (finished / "figures" / "effect.html") in made


# --- With voices ----------------------------------------------------------------------------------


@pytest.mark.heavy
def test_fast_preset_from_corpus_to_confirmation(tmp_path, capsys):
    """The command on corpora that it makes itself: hard trials judged by family, choice frozen
    before new speakers appear.
    """
    pytest.importorskip("espeakng_loader", reason="voices need the extra 'speech'")
    from dsel.cli import main

    out, few = tmp_path / "out", ("--rows", "e1-lam0", "e1-lam1", "--seeds", "0")
    assert main(["ablation", "--preset", "fast", "--out", str(out), *few]) == 0
    assert "What the confusion loss changes" in capsys.readouterr().out
    (row, *_) = read_results(out)
    assert {
        "validation_eer_hard_distinct",
        "test_eer_hard_random",
        "test_eer_easy",
        "test_phoneme_identity_head",
    } <= row.keys()
    assert row["pair"] == read_results(out)[-1]["pair"]
    judged, trained = Corpus(out / "corpora" / "e0"), Corpus(out / "corpora" / "e1")
    assert {t.split for t in trained.tracks} == {"train"}
    assert not {t.speaker for t in trained.tracks} & {
        t.speaker for t in judged.tracks if t.split != "train"
    }
    confirmed = confirm(out, progress=False)
    frozen = json.loads((out / "frozen.json").read_text())
    assert frozen["chosen"] == "e1-lam1"
    new = Corpus(out / "corpora" / f"new-{frozen['seed']}")
    assert new.meta["seed"] == frozen["seed"] != judged.meta["seed"]
    assert {r["row"] for r in confirmed} == {"e1-lam0", "e1-lam1"}
    assert all("test_eer_hard" in r and "validation_eer_hard" not in r for r in confirmed)
    assert all(
        "test_seen_eer_hard" in r and "test_content_top1" not in r for r in confirmed
    )  # voices alone are judged
    before = (out / "frozen.json").read_bytes(), (out / "confirmed.csv").read_bytes()
    confirm(out, progress=False)
    assert ((out / "frozen.json").read_bytes(), (out / "confirmed.csv").read_bytes()) == before
    assert main(["ablation", "--out", str(tmp_path / "none"), "--confirm"]) == 2
    assert "schedule.json: missing" in capsys.readouterr().err


# --- Sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["fast", "laptop", "grid", "gpu"])
def test_every_row_of_a_preset_finds_the_tracks_that_a_step_takes(preset):
    schedule = Schedule.named(preset)
    for row, seed in cells(schedule):
        config = row.train_config(schedule, seed)
        assert config.B + config.extra <= row.speakers(schedule) * schedule.tracks, row.id


def test_a_corpus_that_is_too_small_is_refused_before_anything_is_made(tmp_path):
    says = r"extra32: .* B \+ extra = 36 tracks, .* will have 20; give"
    with pytest.raises(BadInput, match=says):
        ablation(tmp_path / "out", "fast", speakers=10, progress=False)
    assert not (tmp_path / "out").exists()
