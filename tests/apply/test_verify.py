"""Verification on lists of files: three forms of lists, error rates against scikit-learn, a cache
that goes on.
"""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_curve
from test_sound import tone, write_sound

from dsel.apply import verification as module
from dsel.apply.verification import FileTrials, describe, metrics, read_trials, verify
from dsel.model import ModelConfig, TwoStream
from dsel.utils.errors import BadInput


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return TwoStream(ModelConfig.laptop(front_end="none")).eval()


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """Four speakers, a folder each, three files each; one file is shorter than a crop."""
    folder = tmp_path_factory.mktemp("audio")
    for s, pitch in enumerate((100.0, 140.0, 200.0, 260.0)):
        (folder / f"id{s}").mkdir()
        for k in range(3):
            seconds = 1.0 if k == 2 else 2.6
            write_sound(
                folder / f"id{s}" / f"{k}.wav", tone(seconds, hertz=pitch * (1 + 0.01 * k)), 16_000
            )
    return folder


def all_trials():
    names = [f"id{s}/{k}.wav" for s in range(4) for k in range(3)]
    return [(int(a[:3] == b[:3]), a, b) for i, a in enumerate(names) for b in names[i + 1 :]]


FORMS = {
    "voxceleb": lambda rows: "".join(f"{t} {a} {b}\n" for t, a, b in rows),
    "kaldi": lambda rows: "".join(
        f"{a} {b} {'target' if t else 'nontarget'}\n" for t, a, b in rows
    ),
    "csv": lambda rows: "target,a,b\n" + "".join(f"{t},{a},{b}\n" for t, a, b in rows),
    "csv of pandas": lambda rows: (
        "\ufeffa, b, target\r\n" + "".join(f"{a}, {b}, {float(t)}\r\n" for t, a, b in rows)
    ),
    "booleans": lambda rows: "target,a,b\n" + "".join(f"{bool(t)},{a},{b}\n" for t, a, b in rows),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_list_is_read_alike(tmp_path, form):
    rows = all_trials()
    (tmp_path / "list.txt").write_text(FORMS[form](rows), encoding="utf-8", newline="")
    listed = read_trials(tmp_path / "list.txt")
    assert listed.target.tolist() == [bool(t) for t, _, _ in rows]
    assert listed.a.tolist() == [a for _, a, _ in rows]
    assert listed.b.tolist() == [b for _, _, b in rows]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("1 a.wav\n", "line 1"),
        ("1 a b\nyes a b\n", "line 2"),
        ("target,a,b\nperhaps,a,b\n", "line 2"),
        ("target,a,b\n1,,b\n", "line 2"),
        ("a,b\nx,y\n", "no column target"),
    ],
)
def test_what_is_no_list_is_refused_with_its_line(tmp_path, text, says):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(BadInput, match=says) as refused:
        read_trials(tmp_path / "list.txt")
    assert "list.txt" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_one_class_alone_and_missing_files_are_said(tmp_path, audio, networks):
    (tmp_path / "only.txt").write_text("1 id0/0.wav id0/1.wav\n")
    with pytest.raises(BadInput, match="only targets"):
        verify(tmp_path / "only.txt", audio, networks, progress=False)
    (tmp_path / "gone.txt").write_text("1 id0/0.wav id0/1.wav\n0 id0/0.wav id9/0.wav\n")
    with pytest.raises(BadInput, match=r"id9/0\.wav"):
        verify(tmp_path / "gone.txt", audio, networks, progress=False)


@pytest.mark.heavy
def test_error_rates_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    target = rng.random(37_720) < 0.5
    scores = rng.normal(target * 1.3, 1.0)
    a = np.array([f"s{k}/a" for k in rng.integers(0, 40, len(target))])
    b = np.array([name if t else f"z{name}" for name, t in zip(a, target, strict=True)])
    found = metrics(scores, FileTrials(a, b, target))
    alarm, hit, _ = roc_curve(target, scores)
    miss = 1 - hit
    assert found["eer"] == pytest.approx(alarm[np.argmin(abs(alarm - miss))], abs=1e-3)
    for prior, cost in found["min_dcf"].items():
        want = (prior * miss + (1 - prior) * alarm).min() / min(prior, 1 - prior)
        assert cost["value"] == pytest.approx(want, abs=1e-9)


def test_scores_are_the_mean_cosine_over_all_pairs_of_crops(tmp_path, audio, networks):
    (tmp_path / "list.txt").write_text(FORMS["voxceleb"](all_trials()))
    found = verify(
        tmp_path / "list.txt",
        audio,
        networks,
        crops=3,
        scores=tmp_path / "scores.csv",
        progress=False,
    )
    assert found["files"] == 12
    assert found["trials"] == 66
    assert 0 <= found["eer"] < 0.5
    assert found["eer_low"] <= found["eer"] <= found["eer_high"]
    assert "P_target 0.01" in describe(found)
    crops = [
        module._crops_of(networks, module.samples_of(audio / f"id0/{k}.wav"), 3, 1) for k in (0, 1)
    ]
    one, two = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in crops)
    first = (tmp_path / "scores.csv").read_text().splitlines()[1].split(",")
    assert float(first[3]) == pytest.approx(float((one @ two.T).mean()), abs=1e-5)


def test_what_is_in_the_cache_is_not_embedded_again(tmp_path, audio, networks, monkeypatch):
    (tmp_path / "list.txt").write_text(FORMS["voxceleb"](all_trials()))
    options = {"cache": tmp_path / "cache.npz", "progress": False, "crops": 2}
    before = verify(tmp_path / "list.txt", audio, networks, **options)
    monkeypatch.setattr(module, "_crops_of", None)  # would fail if anything were embedded
    assert verify(tmp_path / "list.txt", audio, networks, **options) == before
    monkeypatch.undo()
    torch.manual_seed(1)
    other = TwoStream(ModelConfig.laptop(front_end="none")).eval()
    assert (
        verify(tmp_path / "list.txt", audio, other, **options) != before
    )  # other weights, other vectors
    (tmp_path / "cache.npz").write_bytes(b"cut off")
    assert verify(tmp_path / "list.txt", audio, networks, **options) == before
