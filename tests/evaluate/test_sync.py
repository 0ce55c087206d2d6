"""Offsets and how far to trust them: the margin, the wide search, votes, the calibration table."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsel.evaluate.sync import (
    COLUMNS,
    LIKELY,
    REACH,
    WIDE,
    Curve,
    Offset,
    calibration,
    find_offset,
    margin,
    voted,
)
from dsel.train.released import RELEASED, released_names, sha256

STEEP = Curve(constant=-4.0, margin=2.0, length=0.0)
curves = st.lists(st.integers(-99, 99), min_size=8, max_size=60).map(np.array)


def pair(late, windows=240, D=16, noise=0.0, seed=0):
    """Content embeddings (N, D) of a face and of its sound, which is `late` frames late."""
    rng = np.random.default_rng(seed)
    what = rng.normal(size=(windows + abs(late), D))
    face = what[abs(late) :] if late > 0 else what[:windows]
    audio = what[:windows] if late > 0 else what[abs(late) :]
    return face, audio + noise * rng.normal(size=audio.shape)


@given(curves, st.sampled_from([0.25, 4, 64]), st.integers(-5, 5))
@settings(max_examples=50)
def test_margin_does_not_depend_on_scale_and_shift(curve, scale, shift):
    """Numbers that are exact in binary, so that ties stay ties."""
    assert margin(scale * curve + shift) == pytest.approx(margin(curve), rel=1e-6, abs=1e-6)


def test_margin_of_a_flat_curve_and_of_a_lone_peak_is_zero():
    assert margin(np.zeros(31)) == 0
    assert margin(np.array([0.0, 1.0, 0.0])) == 0


@pytest.mark.parametrize("late", [0, 3, -14, 15, -15, 16, 25, -40, 74])
def test_an_offset_is_found_as_far_as_the_clip_is_long_enough(late):
    found = find_offset([pair(late)], STEEP)
    assert found.late == late
    assert found.sure
    assert found.reach == (REACH if abs(late) < REACH else WIDE)


def test_a_short_clip_is_searched_as_far_as_half_of_it_overlaps():
    assert find_offset([pair(0, windows=21)], STEEP).reach <= 10
    far = find_offset([pair(20, windows=60)], STEEP)
    assert (far.late, far.reach) == (20, 26)


def test_strangers_get_no_sure_answer_and_long_ones_fit_nobody():
    rng = np.random.default_rng(1)
    for seconds in (2, 8, 12):
        windows = 25 * seconds - 4
        noise = rng.normal(size=(2, windows, 16))
        found = find_offset([tuple(noise)], STEEP)
        assert not found.sure
        assert found.fits_nobody == (seconds > 2)


def test_a_still_face_fits_nobody():
    face, audio = pair(0)
    found = find_offset([(np.repeat(face[:1], len(face), axis=0), audio)], STEEP)
    assert found.fits_nobody


def test_clips_of_one_recording_are_surer_together():
    parts = [pair(4, windows=46, noise=6.0, seed=seed) for seed in range(12)]
    alone = [find_offset([part], STEEP) for part in parts]
    together = find_offset(parts, STEEP)
    assert together.late == 4
    assert together.right > np.mean([found.right for found in alone])


@given(st.integers(-15, 15), st.floats(0.05, 1.0), st.integers(2, 6))
def test_the_more_parts_agree_the_surer_they_are_and_the_fewer_the_less(late, right, count):
    part, other = Offset(late, 0.1, right), Offset(late + 7, 0.01, right)
    found = voted([part] * count)
    assert found.late == late
    assert voted([part] * (count + 1)).right >= found.right
    assert found.right >= right or right < 0.5  # likely parts that agree are surer together
    assert voted([part] * count + [other]).right <= found.right
    assert voted([part]) == part


@given(st.lists(st.integers(-15, 15), min_size=4, max_size=9), st.floats(0.05, 0.95))
def test_a_minority_does_not_decide(lates, right):
    """One sure part among parts that find other shifts: a dubbed voice does that."""
    lates = [late if abs(late - 3) > 2 else 9 for late in lates]
    sure = Offset(3, 0.5, 0.99, seconds=4)
    found = voted([sure, *(Offset(late, 0.01, 0.1 * right, seconds=4) for late in lates)])
    assert not found.sure


def test_a_probability_rises_with_the_margin_and_has_words():
    assert STEEP.right(1.0, 2.0) < 0.5 < STEEP.right(3.0, 2.0)
    assert Offset(1, 0.1, 0.97).words == "sure (97 %)"
    assert Offset(1, 0.1, LIKELY).words == "likely (80 %)"
    assert Offset(1, 0.1, 0.79).words == "not sure (79 %)"


def test_every_released_network_is_calibrated_for_its_present_weights():
    with (RELEASED / "offsets.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    names = {*released_names(), "other"}
    assert {(r["network"], r["kind"]) for r in rows} == {(n, k) for n in names for k in KINDS}
    for row in rows:
        if row["network"] != "other":
            expected = sha256(RELEASED / f"{row['network']}.pt")
            assert row["sha256"] == expected, "run tools/calibrate.py offsets"
        assert float(row["margin"]) > 0  # a clearer peak is right more often
        curve = calibration(row["network"], row["kind"])
        for seconds in (1, 2.5, 8, 600):  # without a peak, no length makes an offset sure
            assert curve.right(0.0, seconds) < LIKELY
    assert calibration("runs/mine") == calibration("other") != calibration("laptop")


KINDS = ("real", "drawn")
