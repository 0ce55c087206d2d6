"""Two recordings and a verdict: the threshold decides, and the error rate told is the right one."""

import csv

import numpy as np
import pytest
from test_sound import tone, write_sound

import dsel
from dsel.apply import comparison
from dsel.cli import main
from dsel.train.released import RELEASED, released_names, sha256
from dsel.utils.errors import BadInput

COLUMNS = (
    *("network", "sha256", "kind", "threshold", "miss", "miss_low", "miss_high"),
    *("false_alarm", "false_alarm_low", "false_alarm_high"),
    *("seconds", "fitted_on", "speakers", "trials"),
)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table with made-up figures, each another number."""
    path = tmp_path / "same_person.csv"
    cells = ("laptop", "0", "real", 0.5, 0.11, 0.1, 0.12, 0.21, 0.2, 0.22, 4, 36, 10, 4950)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, cells])
    monkeypatch.setattr(comparison, "FILE", path)


@pytest.mark.parametrize(
    ("cosine", "same", "wrong"), [(0.51, True, 0.21), (0.5, False, 0.11), (-1.0, False, 0.11)]
)
def test_a_verdict_is_told_with_the_error_that_it_can_make(table, cosine, same, wrong):
    """'Same' is wrong for pairs of different people (false alarm), 'different' for one person."""
    verdict = comparison.judged(cosine, "laptop")
    assert (verdict.same, verdict.wrong) == (same, wrong)
    text = str(verdict)
    told, truth = (
        ("the same person", "different people") if same else ("different people", "one person")
    )
    assert f"Of 100 pairs of {truth}, {100 * wrong:.0f} are also called {told}" in text
    assert "10 speakers, 4950 pairs" in text


def test_without_a_threshold_there_is_a_cosine_and_no_verdict(table):
    for model, kind in (("laptop", "drawn"), ("runs/mine", "real"), (None, "real")):
        verdict = comparison.judged(0.9, model, kind)
        assert verdict.same is None
        assert "no threshold is known" in str(verdict)
    with pytest.raises(BadInput, match="kind"):
        comparison.judged(0.9, "laptop", "sung")


@pytest.mark.heavy
def test_the_cosine_is_that_of_the_embeddings(tmp_path):
    a, b = tone(hertz=110.0), tone(hertz=250.0)
    x, y = dsel.embed([a, b], "laptop")
    verdict = dsel.compare(a, b, "laptop")
    assert verdict.cosine == pytest.approx(
        float(x @ y) / float(np.linalg.norm(x) * np.linalg.norm(y)), abs=1e-6
    )
    assert dsel.compare(a, a, "laptop").same is True


def test_every_released_network_has_a_threshold_for_its_present_weights():
    with (RELEASED / "same_person.csv").open(newline="") as file:
        rows = {(row["network"], row["kind"]): row for row in csv.DictReader(file)}
    assert set(rows) == {(name, kind) for name in released_names() for kind in comparison.KINDS}
    for (name, _), row in rows.items():
        assert row["sha256"] == sha256(RELEASED / f"{name}.pt"), "run tools/calibrate.py voices"
        for error in ("miss", "false_alarm"):
            low, value, high = (float(row[f"{error}{end}"]) for end in ("_low", "", "_high"))
            assert 0 <= low <= value <= high <= 1


def test_the_command_answers_scripts_by_its_exit_status(tmp_path, capsys, table):
    same = write_sound(tmp_path / "a.wav", tone(), 16_000)
    other = write_sound(tmp_path / "b.flac", tone(hertz=90.0), 16_000, "flac")
    assert main(["compare", str(same), str(same), "--model", "laptop"]) == 0
    assert "the same person" in capsys.readouterr().out
    verdict = comparison.compare(same, other, "laptop")
    assert main(["compare", str(same), str(other), "--model", "laptop"]) == (not verdict.same)
    assert main(["compare", str(same), str(tmp_path / "none.wav")]) == 2
    assert "none.wav" in capsys.readouterr().err


def test_embed_takes_files_and_folders_and_skips_what_is_broken(tmp_path, capsys):
    folder = tmp_path / "takes"
    folder.mkdir()
    write_sound(folder / "a.wav", tone(), 16_000)
    write_sound(tmp_path / "b.wav", tone(hertz=300.0), 8_000)
    (folder / "broken.mp3").write_text("no sound")
    out = tmp_path / "vectors.npz"
    command = ["embed", str(folder), str(tmp_path / "b.wav"), "--out", str(out)]
    assert main([*command, "--model", "laptop"]) == 0
    said = capsys.readouterr()
    assert "2 vectors" in said.out
    assert "broken.mp3" in said.err
    with np.load(out) as file:
        assert [name.rsplit("/", 1)[1] for name in file["names"].tolist()] == ["a.wav", "b.wav"]
        expected = dsel.embed(tmp_path / "b.wav", "laptop")
        np.testing.assert_allclose(file["vectors"][1], expected, rtol=1e-5)
    assert main(["embed", str(folder / "broken.mp3"), "--out", str(out)]) == 2


@pytest.mark.parametrize("command", ["evaluate", "embed", "plot"])
def test_released_names_are_taken_where_a_run_is(command, noise_corpus, tmp_path, capsys):
    """They used to answer 'no checkpoint'. A split without tracks ends the command early."""
    data = ["--data", str(noise_corpus.path), "--split", "validation"]
    out = [] if command == "evaluate" else ["--out", str(tmp_path / "out.html")]
    assert main([command, "laptop", *data, *out]) == 2
    said = capsys.readouterr().err
    assert "no tracks in the split" in said
    assert "checkpoint" not in said
