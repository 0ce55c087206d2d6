"""Trial lists in the forms that are in use; what cannot be judged is said."""

import os

import numpy as np
import pytest

from dsel.corpus import Corpus, Trials, write_corpus
from dsel.corpus.trials import read_trials
from dsel.utils.errors import BadInput

ROWS = [
    {"id": "id1-abc-00001", "speaker": "id1", "sex": "f"},
    {"id": "id1-abc-00002", "speaker": "id1", "sex": "f"},
    {"id": "id2-xyz-00001", "speaker": "id2", "sex": "f"},
    {"id": "id3-xyz-00001", "speaker": "id3", "sex": ""},
    {"id": "id4-xyz-00001", "speaker": "id4", "sex": "m"},
]
A, B, C, D, E = (row["id"] for row in ROWS)


@pytest.fixture
def listed(tmp_path):
    """A function that writes a trial list into a corpus and reads it."""
    rows = [
        {**row, "split": "test", "path": f"clips/{row['id']}.mp4", "frames": 50, "offset": 0}
        for row in ROWS
    ]
    write_corpus(tmp_path, rows, made_by="tests", seed=None, licence="CC0-1.0")
    (tmp_path / "trials").mkdir()

    def read(text: str | bytes) -> Trials:
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "trials" / "free.csv").write_bytes(data)
        return Corpus(tmp_path).trials("free")

    return read


FORMS = {
    "ours": f"target,a,b,same_sex,group\n1,{A},{B},1,g\n0,{A},{C},1,g\n0,{B},{D},0,g\n",
    "our columns in another order": f"b,a,target\n{B},{A},1\n{C},{A},0\n{D},{B},0\n",
    "pandas": f",target,a,b\n0,True,{A},{B}\n1,False,{A},{C}\n2,False,{B},{D}\n",
    "pandas with gaps": f"target,a,b\n1.0,{A},{B}\n0.0,{A},{C}\n0.0,{B},{D}\n",
    "Excel": f"\ufeffTarget, A, B\r\ntarget, {A}, {B}\r\n"
    f"nontarget, {A}, {C}\r\nnontarget, {B}, {D}\r\n",
    "VoxCeleb": f"1 {A} {B}\n0 {A} {C}\n\n0 {B} {D}",
    "VoxCeleb's paths": (
        "1 id1/abc/00001.wav id1/abc/00002.wav\n"
        "0 id1/abc/00001.wav id2/xyz/00001.wav\n"
        "0 id1/abc/00002.wav id3/xyz/00001.wav\n"
    ),
    "paths of clips": f"1 clips/{A}.mp4 clips/{B}.mp4\n0 {A} clips/{C}.mp4\n0 {B} {D}\n",
    "Kaldi": f"{A} {B} target\n{A} {C} nontarget\n{B} {D} nontarget\n",
    "tabs": f"{A}\t{B}\ttarget\n{A}\t{C}\tnontarget\n{B}\t{D}\tnontarget\n",
    "csv without names": f"1,{A},{B}\n0,{A},{C}\n0,{B},{D}\n",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
def test_every_form_gives_the_same_trials(listed, text):
    trials = listed(text)
    assert trials.a.tolist() == [A, A, B]
    assert trials.b.tolist() == [B, C, D]
    assert trials.target.tolist() == [True, False, False]
    assert trials.same_sex.tolist() == [True, True, False]  # from the list, or from the tracks
    assert trials.group.tolist() == (["g"] * 3 if "group" in text else [""] * 3)
    assert trials.why_not() == trials.why_not({A, B, C, D}) == ""


def test_a_list_without_the_column_takes_the_sexes_of_both_tracks(listed):
    trials = listed(f"0 {A} {C}\n0 {A} {E}\n0 {E} {A}\n0 {A} {D}\n0 {D} {A}\n")
    assert trials.same_sex.tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"target,a,b\n1,{A},nobody\n", "free.csv, line 2: 'nobody' is no track of this corpus; "),
        (f"1 {A} x\n1 {A} y\n1 {A} z\n", "line 1: 'x' is no track of this corpus, and 2 more"),
        (f"target,a,b\n2,{A},{B}\n", "line 2, column target: '2' is not 1 or 0"),
        (f"target,a,b\n,{A},{B}\n", "line 2, column target: an empty cell is not 1 or 0"),
        (f"target,a,b\n1,,{B}\n", "line 2, column a: an empty cell is not a name"),
        (f"target,a,b,same_sex\n1,{A},{B},maybe\n", "column same_sex: 'maybe' is not 1 or 0"),
        (f"target,a,b\n1,{A}\n", "line 2: 2 cells for 3 columns"),
        (f"target;a;b\n1;{A};{B}\n", "no column target, a, b .cells are separated by ';'"),
        (f"target,track1,track2\n1,{A},{B}\n", "line 1: no column a, b; give lines '1 a b'"),
        (f"1 {A} {B}\n1 {A}\n", "line 2: 2 words; give lines '1 a b', or 'a b target'"),
        (f"1 {A} {B}\n{A} {B} target\n", "line 2, column target: 'id1-abc-00001' is not 1 or 0"),
        (f"{A} {B} target\n{A} {B} maybe\n", "line 2, column target: 'maybe'"),
        ("label,enroll,test\n", "line 1, column target: 'test' is not 1 or 0"),
        ("target,a,b\n1,x,y\n".encode("utf-16"), "free.csv: is in UTF-16"),
        (b"\x00\x01\x02\xff", "free.csv: holds binary data"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_line(listed, text, says):
    with pytest.raises(BadInput, match=says) as caught:
        listed(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the list is empty"),
        ("\n \n", "the list is empty"),
        ("target,a,b\n", "the list is empty"),
        (f"1 {A} {B}\n", "it has target trials only"),
        (f"0 {A} {C}\n", "it has impostor trials only"),
    ],
)
def test_what_no_error_rate_can_be_computed_from(listed, text, says):
    assert listed(text).why_not() == says


def test_tracks_of_another_split_are_told(listed):
    trials = listed(FORMS["ours"])
    assert trials.why_not({A, B}) == f"2 of its tracks are not in the split, e.g. {C}"
    assert (
        trials.only(np.array([True, False, False])).why_not({A, B}) == "it has target trials only"
    )


def test_no_list_is_none_and_a_pipe_is_refused(listed, tmp_path):
    listed(FORMS["ours"])
    assert Corpus(tmp_path).trials("hard") is None
    os.mkfifo(tmp_path / "trials" / "easy.csv")
    with pytest.raises(BadInput, match=r"easy\.csv: is a pipe or a device"):
        Corpus(tmp_path).trials("easy")


def test_fifty_thousand_lines_like_those_of_voxceleb(tmp_path):
    path = tmp_path / "list.txt"
    names = [f"id{k:05d}/abcdefghijk/00001.wav" for k in range(1000)]
    lines = (f"{k % 2} {names[k % 1000]} {names[(7 * k) % 1000]}\n" for k in range(50_000))
    path.write_text("".join(lines))
    trials = read_trials(path)
    assert len(trials) == 50_000
    assert sum(trial.target for trial in trials) == 25_000
    assert trials[-1].line == 50_000
