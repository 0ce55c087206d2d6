"""The sound half of the toy corpus: speakers, voices, texts, rooms, trials."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsel.timing import SAMPLE_RATE
from dsel.toy.seeds import stream
from dsel.toy.speaker import draw_speaker
from dsel.toy.speech import room as rooms
from dsel.toy.speech import text as texts
from dsel.toy.speech import voice as voices
from dsel.toy.trials import KINDS, draw_trials
from dsel.utils.errors import BadInput

PLAIN = voices.Voice(
    f0=110.0,
    span=1.4,
    formants=(1.0,) * 9,
    widths=(1.0,) * 9,
    tilt=0.0,
    roughness=0,
    flutter=0,
    breath=0,
    rate=180.0,
    accent="en",
)


@pytest.fixture(scope="module")
def espeak():
    pytest.importorskip("espeakng_loader", reason="the voices need espeakng-loader")
    from dsel.toy.speech.espeak import Espeak

    with Espeak() as server:
        yield server


def people(coupling, count=400):
    return [draw_speaker(3, f"x{n:04d}", coupling) for n in range(count)]


def correlation(pairs):
    return np.corrcoef(np.array(pairs), rowvar=False)[0, 1]


# ---- speakers


def test_a_speaker_depends_on_seed_name_and_coupling_only():
    alone = draw_speaker(1, "tr0007", 0.9)
    people(0.5, 3)
    assert draw_speaker(1, "tr0007", 0.9) == alone
    assert draw_speaker(2, "tr0007", 0.9) != alone
    assert draw_speaker(1, "tr0008", 0.9) != alone


def test_coupling_one_gives_voice_and_face_one_view():
    for s in people(1.0, 100):
        assert (s.face_sex, s.face_age, s.face_size) == pytest.approx(
            (s.voice_sex, s.voice_age, s.voice_size)
        )


@pytest.mark.parametrize("factor", ["sex", "age", "size"])
def test_coupling_zero_gives_independent_views(factor):
    crowd = people(0.0)
    r = correlation([[getattr(s, f"voice_{factor}"), getattr(s, f"face_{factor}")] for s in crowd])
    assert abs(r) < 4 / np.sqrt(len(crowd))


def test_coupling_is_the_correlation_of_size():
    measured = [
        correlation([[s.voice_size, s.face_size] for s in people(c)]) for c in (0.3, 0.6, 0.9)
    ]
    assert measured == pytest.approx([0.3, 0.6, 0.9], abs=4 / np.sqrt(400))


def test_own_latents_are_independent_standard_normals_and_the_sexes_balanced():
    crowd = people(0.9)
    z = np.array([[*s.voice, *s.face] for s in crowd])  # (400, 44)
    assert np.abs(z.mean(0)).max() < 5 / np.sqrt(len(crowd))
    assert np.abs(z.std(0) - 1).max() < 5 / np.sqrt(2 * len(crowd))
    assert np.abs(np.corrcoef(z, rowvar=False) - np.eye(z.shape[1])).max() < 5 / np.sqrt(len(crowd))
    assert sum(s.sex == "f" for s in crowd) == len(crowd) // 2
    assert all(18 <= age <= 80 for s in crowd for age in (s.age, s.face_age))


def test_coupling_out_of_range_is_refused():
    with pytest.raises(BadInput, match=r"coupling 1\.5"):
        draw_speaker(0, "a", 1.5)


def test_streams_of_different_purpose_are_unrelated_and_each_is_repeatable():
    sound, picture = (
        stream(0, "tr0001_00", purpose).standard_normal(4000) for purpose in ("sound", "picture")
    )
    assert abs(np.corrcoef(sound, picture)[0, 1]) < 5 / np.sqrt(4000)
    assert np.array_equal(sound, stream(0, "tr0001_00", "sound").standard_normal(4000))


# ---- voices


def test_speaking_is_repeatable_whatever_was_said_before(espeak):
    from dsel.toy.speech.espeak import Espeak

    voice, text = (
        voices.voice_of(draw_speaker(0, "a0001", 1.0)),
        "seven people moved the yellow chair",
    )
    first = voices.say(espeak, voice, text)
    voices.say(espeak, voices.voice_of(draw_speaker(0, "a0002", 1.0)), "something else")
    again = voices.say(espeak, voice, text)
    with Espeak() as other:
        elsewhere = voices.say(other, voice, text)
    assert np.array_equal(first.waveform, again.waveform)
    assert np.array_equal(first.waveform, elsewhere.waveform)
    assert first.phonemes == again.phonemes == elsewhere.phonemes


def test_every_accent_speaks_and_no_two_say_the_same(espeak):
    text = "the boy thought hard about the road"
    said = {
        accent: voices.say(espeak, replace(PLAIN, accent=accent), text).waveform
        for accent in voices.ACCENTS
    }
    assert len(said) == 8
    assert min(map(len, said.values())) > SAMPLE_RATE
    for a, b in itertools.combinations(said, 2):
        assert not np.array_equal(said[a], said[b]), f"{a} is {b}"


def pitch_of(x):
    """Return the median pitch in Hz, from 50 to 400, by autocorrelation of 50 ms pieces."""
    pitches = []
    for piece in np.lib.stride_tricks.sliding_window_view(x, 800)[::400]:
        r = np.fft.irfft(np.abs(np.fft.rfft((piece - piece.mean()) * np.hanning(800), 2048)) ** 2)[
            :320
        ]
        r = r / (r[0] + 1e-9) / np.linspace(1, 0.7, 320)  # the window's own autocorrelation falls
        lag = 40 + int(r[40:].argmax())
        if r[lag] > 0.6:
            pitches.append(SAMPLE_RATE / lag)
    return float(np.median(pitches))


def test_measured_pitch_follows_the_latents(espeak):
    drawn = [voices.voice_of(draw_speaker(0, f"p{n:04d}", 1.0)) for n in range(12)]
    expected = np.array([v.f0 * (1 + v.span) / 2 for v in drawn])
    text = "we were away all morning on our own"
    measured = np.array([pitch_of(voices.say(espeak, v, text).waveform) for v in drawn])
    assert np.corrcoef(np.log(expected), np.log(measured))[0, 1] > 0.9
    assert 0.75 < np.median(measured / expected) < 1.25


def test_the_formant_scale_moves_the_spectrum_by_as_much_as_it_says(espeak):
    log_hz = np.linspace(np.log(300), np.log(5000), 400)

    def envelope(scale):
        x = voices.say(
            espeak, replace(PLAIN, formants=(scale,) * 9), "ah ah ah ee ee ee oh oh oh"
        ).waveform
        pieces = np.lib.stride_tricks.sliding_window_view(x, 512)[::256] * np.hanning(512)
        power = (np.abs(np.fft.rfft(pieces, 1024)) ** 2).mean(0)
        smooth = np.convolve(np.log(power + 1e-9), np.ones(9) / 9, "same")
        return np.interp(log_hz, np.log(np.fft.rfftfreq(1024, 1 / SAMPLE_RATE)[1:]), smooth[1:])

    low, high = envelope(0.9), envelope(1.1)
    fit = [np.corrcoef(low[: 400 - k], high[k:])[0, 1] for k in range(60)]
    assert np.argmax(fit) * (log_hz[1] - log_hz[0]) == pytest.approx(np.log(1.1 / 0.9), abs=0.06)


def test_phoneme_times_match_the_signal(espeak):
    """s hisses above 3.5 kHz and vowels do not; the hiss ends where the labels say."""
    said = voices.say(espeak, PLAIN, "see sow sigh saw")
    edges = [a[1] for a, b in itertools.pairwise(said.phonemes) if a[2] == "s"]
    assert len(edges) == 4
    hz = np.fft.rfftfreq(512, 1 / SAMPLE_RATE)
    for edge in edges:
        times = edge + np.arange(-0.06, 0.06, 0.0025)
        pieces = np.stack(
            [said.waveform[round(t * SAMPLE_RATE) - 80 :][:160] * np.hanning(160) for t in times]
        )
        power = np.abs(np.fft.rfft(pieces, 512)) ** 2
        hiss = power[:, hz > 3500].sum(1) > 0.5 * power.sum(1)
        wrong = [
            (~hiss[:k]).sum() + hiss[k:].sum() for k in range(len(times))
        ]  # hiss before k, none after
        measured = times[int(np.argmin(wrong))]
        assert abs(measured - edge) < 0.025, f"label {edge:.3f} s, signal {measured:.3f} s"


def test_phonemes_cover_the_speech_in_order(espeak):
    said = voices.say(espeak, PLAIN, "seven people")
    assert [w for w, _ in itertools.groupby(p[3] for p in said.phonemes if p[3])] == [
        "seven",
        "people",
    ]
    for a, b in itertools.pairwise(said.phonemes):
        assert a[0] < a[1] == b[0]
    assert said.phonemes[-1][1] == pytest.approx(said.seconds, abs=0.001)


def test_an_unknown_accent_is_an_error_and_the_server_lives_on(espeak):
    with pytest.raises(RuntimeError, match="no such language"):
        espeak.say("hello", language="klingonese", voice="name own\n", rate=170)
    assert espeak.say("hello", language="en", voice="name own\n", rate=170)[1]


# ---- text


@given(count=st.integers(1, 60), share=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0, 99))
def test_words_come_from_where_they_should(count, share, seed):
    own = texts.DISTINCT["distinct1"]
    said = texts.words(np.random.default_rng(seed), count, own, share)
    assert len(said) == count
    assert all(a != b for a, b in itertools.pairwise(said))
    assert share < 1 or set(said) <= set(own)
    assert set(said) <= set(texts.WORDS) | set(own)


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_words_of_ones_own_are_as_frequent_as_asked(share):
    own = texts.DISTINCT["distinct1"]
    said = texts.words(np.random.default_rng(0), 4000, own, share)
    # No word follows itself: a quarter of the own words after an own word are drawn again.
    kept = share * (1 - share / 4)
    assert np.mean([word in own for word in said]) == pytest.approx(
        kept / (kept + 1 - share), abs=0.04
    )


def test_vocabularies_do_not_overlap():
    drawn = texts.random_vocabularies(np.random.default_rng(5))
    together = [word for words in drawn.values() for word in words]
    assert len(together) == len(set(together)) == texts.RANDOM_VOCABULARIES * texts.OWN_WORDS
    assert len(set(texts.WORDS)) == len(texts.WORDS) >= 500


def sounds(espeak, words):
    return {p[2].lstrip("',%=") for p in voices.say(espeak, PLAIN, " ".join(words)).phonemes} - {
        "_"
    }


def test_the_word_list_holds_every_english_sound(espeak):
    heard = sounds(espeak, texts.WORDS)
    consonants = {*"pbtdkgmnNfvTDszSZhlwj", "tS", "dZ"}
    vowels = {"i:", "I", "E", "a", "0", "O:", "U", "u:", "V", "3:", "eI", "aI", "OI", "oU", "aU"}
    assert consonants | vowels <= heard, (consonants | vowels) - heard


def test_distinct_vocabularies_share_few_sounds(espeak):
    heard = [sounds(espeak, words) for words in texts.DISTINCT.values()]
    for a, b in itertools.combinations(heard, 2):
        assert len(a & b) / len(a | b) <= 0.25, (a, b)


# ---- microphone and room


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_a_recording_has_the_level_asked_for_and_never_clips(seed):
    room = rooms.draw_room(np.random.default_rng(seed))
    speech = (np.random.default_rng(1).standard_normal(16_000) * np.hanning(16_000)).astype(
        np.float32
    )
    heard = rooms.record(speech, room)
    assert heard.dtype == np.float32
    assert heard.shape == speech.shape
    assert np.abs(heard).max() <= 1
    assert 20 * np.log10(np.sqrt(np.mean(heard.astype(float) ** 2))) == pytest.approx(
        room.level, abs=0.01
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_recording_has_the_signal_to_noise_ratio_asked_for(seed):
    """The speech is one sine, so everything else in the recording is noise."""
    room = replace(rooms.draw_room(np.random.default_rng(seed)), echo_seconds=0.0)
    phase = 2 * np.pi * 1000 * np.arange(16_000) / SAMPLE_RATE
    mixed = rooms.record(np.sin(phase).astype(np.float32), room).astype(float)
    basis = np.stack([np.sin(phase), np.cos(phase)], 1)[200:-200]
    inside = mixed[200:-200]
    fit = basis @ np.linalg.lstsq(basis, inside, rcond=None)[0]
    assert 10 * np.log10(np.sum(fit**2) / np.sum((inside - fit) ** 2)) == pytest.approx(
        room.snr, abs=0.3
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_room_does_not_delay_the_direct_sound(seed):
    room = replace(rooms.draw_room(np.random.default_rng(seed)), snr=60.0)
    speech = np.random.default_rng(9).standard_normal(16_000).astype(np.float32)
    heard = rooms.record(speech, room)
    lags = np.arange(-400, 401)
    strength = [np.dot(speech[500:-500], heard[500 + k : len(heard) - 500 + k]) for k in lags]
    assert lags[int(np.argmax(strength))] == 0


# ---- trials


@given(
    speakers=st.integers(2, 8),
    tracks=st.integers(1, 9),
    most=st.integers(4, 300),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 50),
)
@settings(max_examples=60)
def test_trials_are_what_their_kind_says(speakers, tracks, most, kind, seed):
    rng = np.random.default_rng(seed)
    says = ["free", "distinct0", "distinct1", "random0", "random3"]
    rows = [
        {"id": f"{s}_{t}", "speaker": s, "sex": "fm"[s % 2], "vocabulary": says[rng.integers(5)]}
        for s in range(speakers)
        for t in range(tracks)
    ]
    by_id = {row["id"]: row for row in rows}
    drawn = draw_trials(rows, kind, np.random.default_rng(seed), most)
    assert drawn == draw_trials(rows, kind, np.random.default_rng(seed), most)
    assert len(drawn) <= most
    assert len({frozenset((d["a"], d["b"])) for d in drawn}) == len(drawn)
    assert sum(d["target"] for d in drawn) * 2 == len(drawn)
    for d in drawn:
        a, b = by_id[d["a"]], by_id[d["b"]]
        assert a is not b
        assert d["target"] == (a["speaker"] == b["speaker"])
        assert d["same_sex"] == (a["sex"] == b["sex"])
        if kind == "free":
            assert a["vocabulary"] == b["vocabulary"] == d["group"] == "free"
        else:
            assert (a["vocabulary"] == b["vocabulary"]) == (bool(d["target"]) == (kind == "easy"))
            assert a["vocabulary"][:-1] == b["vocabulary"][:-1] == d["group"]
