"""Check that speakers get names to be read: unique, the same in every picture, sex where it is
known.
"""

import re
from dataclasses import replace

import pytest
from conftest import make_noise_corpus

from dsel.evaluate.names import letters, speaker_names, track_names


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six training speakers p0 to p5 and four test speakers p6 to p9, two tracks each."""
    return make_noise_corpus(tmp_path_factory.mktemp("names") / "corpus")


def test_letters_count_on_after_z():
    assert [letters(k) for k in (0, 1, 25, 26, 27, 51, 52, 701, 702)] == [
        *("A", "B", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA")
    ]
    assert len({letters(k) for k in range(2000)}) == 2000


def test_strangers_get_the_first_letters_and_everybody_a_name(corpus):
    names = speaker_names(corpus)
    assert names["p6"] == "voice A, woman"
    assert names["p7"] == "voice B, man"
    assert names["p0"] == "voice E, woman"
    assert len(set(names.values())) == len(corpus.speakers()) == 10
    assert not any(re.search(r"p\d|te\d", name) for name in names.values())


def test_a_name_does_not_depend_on_which_tracks_are_shown(corpus):
    whole = speaker_names(corpus)
    few = corpus.split("test")[3:5]
    assert speaker_names(corpus, few) == {track.speaker: whole[track.speaker] for track in few}


@pytest.mark.parametrize(
    ("sex", "name"), [("", "voice A"), ("unknown", "voice A"), ("M", "voice A, man")]
)
def test_sex_is_told_where_it_is_known(corpus, sex, name):
    track = corpus.split("test")[0]
    track = replace(track, factors={**track.factors, "sex": sex})
    assert speaker_names(corpus, [track]) == {"p6": name}


def test_clips_of_a_speaker_are_counted_from_one(corpus):
    tracks = corpus.split("test")
    names = track_names(corpus, tracks[1:3])
    assert names == {"p6_1": "voice A, woman, clip 2", "p7_0": "voice B, man, clip 1"}
    assert len(set(track_names(corpus, corpus.tracks).values())) == len(corpus)
