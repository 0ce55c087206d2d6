"""Choose among faces and cut tracks: the rules themselves, without a film."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsel.prepare.clips_from_video import _apart, _in_step, _Piece, _pieces
from dsel.timing import FPS

SPANS = st.tuples(st.integers(0, 30), st.integers(1, 12), st.integers(0, 1000))


@given(st.lists(SPANS, max_size=8, unique_by=lambda one: one[2]))
def test_of_faces_at_the_same_time_the_heaviest_stays(drawn):
    spans = [(start, start + length, weight) for start, length, weight in drawn]
    kept = _apart(spans, lambda one: one[2], lambda one: one[:2])
    want = []  # the oracle: heaviest first, frame by frame
    for one in sorted(spans, key=lambda one: -one[2]):
        mine = set(range(*one[:2]))
        others = [set(range(*other[:2])) for other in want]
        if not any(2 * len(mine & other) > min(len(mine), len(other)) for other in others):
            want.append(one)
    assert kept == [one for one in spans if one in want]


@pytest.mark.parametrize(
    ("start", "end", "origin", "first", "stop", "want"),
    [
        (1.0, 3.0, 0.0, 0, 500, [(25, 75)]),
        (1.0, 3.0, 0.4, 0, 500, [(15, 65)]),  # the grid begins later than the clock
        (1.0, 3.0, 0.0, 30, 60, [(30, 60)]),  # sound is there only then
        (1.0, 2.0, 0.0, 0, 500, [(25, 50)]),  # just long enough
        (1.0, 1.96, 0.0, 0, 500, []),
        (0.0, 20.0, 0.0, 0, 500, [(0, 250), (250, 500)]),
        (0.0, 20.04, 0.0, 0, 501, [(0, 167), (167, 334), (334, 501)]),
    ],
)
def test_a_track_is_cut_where_it_begins_and_ends(start, end, origin, first, stop, want):
    track = SimpleNamespace(start=start, end=end)
    found = _pieces(track, origin, first, stop)
    assert [(piece.first, piece.stop) for piece in found] == want
    assert all(piece.track is track for piece in found)


def test_the_whole_picture_is_cut_like_a_track():
    assert [(p.first, p.stop) for p in _pieces(None, 0.0, 0, 300)] == [(0, 150), (150, 300)]
    assert _pieces(None, 0.0, 0, FPS - 1) == []


def clip(folder, name, first, stop, *, found=0, right=1.0, confidence=0.5, doubt=""):
    """A piece and its row, as `prepare` has them; the clip is an empty file."""
    (folder / name).write_bytes(b"")
    row = {"path": name, "found": found, "confidence": confidence, "right": right}
    return _Piece(None, first, stop), row | {"frames": stop - first, "doubt": doubt}


def test_a_face_alone_is_called_the_only_one(tmp_path):
    (row,) = _in_step([clip(tmp_path, "a.mp4", 0, 100, found=3)], tmp_path)
    assert (row["chosen"], row["offset"], row["found"]) == ("only", 3, 3)
    assert row["right"] > 0.9


def test_of_two_faces_the_surer_stays_and_the_file_of_the_other_goes(tmp_path):
    done = [
        clip(tmp_path, "a.mp4", 0, 100, found=-7, confidence=0.1),
        clip(tmp_path, "b.mp4", 0, 100, found=3),
    ]
    (row,) = _in_step(done, tmp_path)
    assert (row["path"], row["chosen"], row["offset"]) == ("b.mp4", "talking", 3)
    assert [path.name for path in tmp_path.iterdir()] == ["b.mp4"]


def test_what_is_not_sure_is_told_and_not_applied(tmp_path):
    (row,) = _in_step([clip(tmp_path, "a.mp4", 0, 50, found=3, right=0.3)], tmp_path)
    assert (row["offset"], row["found"]) == (0, 3)


def test_a_still_picture_has_no_offset(tmp_path):
    (row,) = _in_step([clip(tmp_path, "a.mp4", 0, 100, found=3, doubt="still")], tmp_path)
    assert (row["offset"], row["right"]) == (0, 0.0)
