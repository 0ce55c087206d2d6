"""Check the decks of 15 and 90 minutes: their cells are there, their minutes add up."""

import re

import pytest

pytest.importorskip("nbformat")
pytest.importorskip("nbconvert")

from tools import talks, views


def test_the_talk_can_be_said_in_fifteen_minutes():
    chosen = [slide for slide, _ in talks.choose("fifteen_minutes")]
    said = [len(re.findall(r"[^\s]+", " ".join(slide.notes))) for slide in chosen]
    looks = sum(any(p.kind in ("figure", "clip") for p in slide.pieces) for slide in chosen)
    minutes = sum(said) / 130 + looks * 10 / 60
    assert 12 < minutes <= 15
    assert sum(slide.minutes for slide in chosen) == pytest.approx(minutes, rel=0.02)
    assert looks >= 8
    assert min(said) > 60  # every slide has words to say


def test_the_lecture_is_planned_for_ninety_minutes():
    chosen = [slide for slide, _ in talks.choose("ninety_minutes")]
    assert sum(slide.minutes for slide in chosen) == pytest.approx(90, abs=2)
    assert min(slide.minutes for slide in chosen[1:]) >= 0.5
    assert max(slide.minutes for slide in chosen) <= 5
    assert {part["from"] for part in talks.plan()["ninety_minutes"]["part"]} >= {"00", "03", "05"}


@pytest.mark.parametrize("name", talks.TALKS)
def test_the_speaker_sees_minutes_and_words(name):
    html = views.talk(name)
    slides = [slide for slide, _ in talks.choose(name)]
    timed = [int(seconds) for seconds in re.findall(r'<section[^>]* data-timing="(\d+)"', html)]
    assert timed == [round(60 * slide.minutes) for slide in slides]
    assert html.count('<aside class="notes">') == len(slides)
    assert "0:00 to" in html
    assert not re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(?:https?:)?//[^"]+', html)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"show": ["03#nothing"]}, "not there"),
        ({"show": ["77#x"]}, "notebook 77"),
        ({"show": ["03#cell-08"]}, "shows no figure"),
    ],
)
def test_a_cell_that_is_gone_is_named(change, message):
    entry = {"title": "x", "say": "x", **change}
    with pytest.raises(ValueError, match=message):
        talks.chosen_slide(entry)


def test_a_section_that_is_gone_is_named():
    with pytest.raises(ValueError, match="no section 'Nothing'"):
        talks.part_slides({"from": "03", "sections": ["Nothing"], "minutes": 1})
