"""Mouth shapes: every sound has one, lips close where they must, and the mouth is in sync."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsel.timing import FPS, SAMPLE_RATE
from dsel.toy.mouth import CHANNELS, VISEME_OF, VISEMES, from_sound, trajectory, viseme_of

OPENING, ROUNDING, TEETH, TONGUE, JAW, TUCK = map(
    CHANNELS.index, ("opening", "rounding", "teeth", "tongue", "jaw", "tuck")
)
SOUNDS = [
    "p",
    "b",
    "m",
    "f",
    "v",
    "T",
    "D",
    "t",
    "s",
    "S",
    "k",
    "h",
    "r",
    "w",
    "l",
    "a",
    "aI",
    "i:",
    "O:",
    "u:",
    "@",
]


@st.composite
def utterances(draw):
    """Draw timed phonemes of 20 to 300 ms with some pauses, and the number of frames they fill."""
    at, phonemes = draw(st.floats(0, 0.5)), []
    for name in draw(st.lists(st.sampled_from(SOUNDS), min_size=1, max_size=15)):
        at += draw(st.sampled_from([0.0, 0.0, 0.0, 0.15]))
        length = draw(st.floats(0.02, 0.3))
        phonemes.append((at, at + length, name))
        at += length
    return phonemes, int(at * FPS) + 3


def shown(phoneme, length=0.3, channel=None):
    """Return the mouth in the middle of a long sound, or one channel of it."""
    row = trajectory([(0.0, length, phoneme)], 10)[int(length / 2 * FPS)]
    return row if channel is None else row[channel]


def test_tables_are_complete():
    assert set(VISEME_OF.values()) <= set(VISEMES)
    assert set(VISEMES) == set(VISEME_OF.values())
    for targets in VISEMES.values():
        assert len(targets) == len(CHANNELS)
        assert all(0 <= value <= 1 for value in targets)


@given(st.text(max_size=8))
def test_any_mnemonic_has_a_viseme(text):
    assert viseme_of(text) in VISEMES


def test_stress_and_length_marks_do_not_matter():
    assert viseme_of("'p") == viseme_of(",p") == viseme_of("p") == "closed"
    assert viseme_of("'i:") == viseme_of("i:") == "spread"
    assert viseme_of("'aI@") == viseme_of("a")
    assert viseme_of("tS") == "postalveolar"
    assert viseme_of("_:") == viseme_of("") == "rest"


@given(utterances())
@settings(max_examples=60)
def test_a_trajectory_has_its_shape_and_range(drawn):
    phonemes, frames = drawn
    mouth = trajectory(phonemes, frames)
    assert mouth.shape == (frames, len(CHANNELS))
    assert mouth.dtype == np.float32
    assert mouth.min() >= 0
    assert mouth.max() <= 1


@given(utterances())
@settings(max_examples=100)
def test_lips_close_for_every_p_b_m(drawn):
    phonemes, frames = drawn
    mouth, centre = trajectory(phonemes, frames), (np.arange(frames) + 0.5) / FPS
    for start, end, name in phonemes:
        if name in ("p", "b", "m"):
            inside = np.flatnonzero((centre >= start) & (centre <= end))
            if not len(inside):  # shorter than a frame: the frame nearest to its middle
                inside = [np.abs(centre - (start + end) / 2).argmin()]
            assert (mouth[inside, OPENING] < 1e-6).all(), (name, start, end)


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_no_phonemes_is_a_mouth_at_rest(frames):
    assert np.allclose(
        trajectory([], frames), np.array(VISEMES["rest"], np.float32)[None].repeat(frames, 0)
    )


def test_what_makes_a_sound_visible():
    assert shown("T", channel=TONGUE) > 0.95 > 0.5 > shown("s", channel=TONGUE)
    assert shown("f", channel=TUCK) == pytest.approx(1)
    assert shown("f", channel=TEETH) == pytest.approx(1)
    assert shown("w", channel=ROUNDING) > 0.9 > 0.3 > shown("i:", channel=ROUNDING)
    assert shown("A:", channel=JAW) > 0.9 > 0.3 > shown("s", channel=JAW)
    assert (
        shown("A:", channel=OPENING)
        > shown("E", channel=OPENING)
        > shown("i:", channel=OPENING)
        > 0.2
    )


def test_lips_round_ahead_of_the_vowel_they_prepare():
    """Coarticulation: the t before u: is rounder than the t before i:."""
    before_u, before_i = (
        trajectory([(0.08, 0.16, "t"), (0.16, 0.4, vowel)], 12)[3] for vowel in ("u:", "i:")
    )
    assert before_u[ROUNDING] > before_i[ROUNDING] + 0.1


def test_a_diphthong_moves():
    mouth = trajectory([(0.0, 0.4, "aI")], 10)
    assert mouth[2, OPENING] > mouth[7, OPENING] + 0.2


def lag_ms(signal, oracle, fine=8):
    """Return by how many ms `signal` comes after `oracle`, both at 25 Hz.

    It is the peak of the cross-correlation of the two curves, upsampled `fine` times.
    """
    t = np.arange(len(signal) * fine) / fine
    a, b = (np.interp(t, np.arange(len(v)), v - v.mean()) for v in (signal, oracle))
    shifts = np.arange(-8 * fine, 8 * fine + 1)
    score = [
        np.dot(a[max(0, k) : len(a) + min(0, k)], b[max(0, -k) : len(b) - max(0, k)])
        for k in shifts
    ]
    return 1000 * shifts[int(np.argmax(score))] / fine / FPS


def test_the_lag_meter_finds_a_planted_lag():
    noise = np.convolve(np.random.default_rng(0).normal(size=600), np.ones(5), "same")
    assert lag_ms(np.roll(noise, 3), noise) == pytest.approx(120, abs=5)
    assert lag_ms(np.roll(noise, -2), noise) == pytest.approx(-80, abs=5)


@pytest.mark.parametrize("vowel", ["A:", "a", "O:", "i:"])
def test_the_mouth_neither_leads_nor_lags(vowel):
    """Compare with an oracle without dominance: open during vowels, closed during consonants."""
    rng = np.random.default_rng(1)
    at, phonemes = 0.2, []
    while at < 60:
        for name, length in (("b", rng.uniform(0.05, 0.12)), (vowel, rng.uniform(0.08, 0.25))):
            phonemes.append((at, at + length, name))
            at += length
    fine = np.arange(0, 61, 0.001)
    step = np.zeros_like(fine)
    for start, end, name in phonemes:
        step[(fine >= start) & (fine < end)] = name == vowel
    oracle = (
        step[: 61 * 1000 // 40 * 40].reshape(-1, 40).mean(1)
    )  # the share of each frame that is vowel
    mouth = trajectory(phonemes, len(oracle))
    assert abs(lag_ms(mouth[:, OPENING], oracle)) <= 5
    assert np.corrcoef(mouth[:, OPENING], oracle)[0, 1] > 0.8


def test_shifting_the_sound_shifts_the_mouth():
    phonemes = [(0.1, 0.2, "m"), (0.2, 0.37, "a"), (0.37, 0.45, "s"), (0.45, 0.7, "O:")]
    later = [(start + 0.2, end + 0.2, name) for start, end, name in phonemes]
    np.testing.assert_allclose(trajectory(phonemes, 30)[:25], trajectory(later, 30)[5:], atol=1e-5)


def test_from_sound_opens_with_the_voice_and_not_with_noise():
    rng = np.random.default_rng(2)
    t = np.arange(SAMPLE_RATE * 4) / SAMPLE_RATE
    on = (t % 0.5) < 0.25
    voice = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20)) * 0.2
    mouth = from_sound((voice * on + 1e-4 * rng.normal(size=len(t))).astype(np.float32), 100)
    oracle = on.reshape(100, -1).mean(1)
    assert mouth.shape == (100, len(CHANNELS))
    assert mouth.dtype == np.float32
    assert np.corrcoef(mouth[:, OPENING], oracle)[0, 1] > 0.9
    assert abs(lag_ms(mouth[:, OPENING], oracle)) <= 10
    hiss = np.diff(rng.normal(size=len(t) + 1)) * 0.1 * on
    teeth = from_sound((hiss + 1e-4 * rng.normal(size=len(t))).astype(np.float32), 100)
    assert teeth[on.reshape(100, -1).all(1), TEETH].mean() > 0.6
    assert teeth[:, OPENING].max() < 0.4


def test_from_sound_does_not_care_about_gain():
    """The gain of the microphone must not change the picture."""
    rng = np.random.default_rng(3)
    sound = (
        np.convolve(rng.normal(size=32000), np.ones(20), "same")
        * np.sin(np.arange(32000) / 900) ** 2
        * 0.01
    )
    np.testing.assert_allclose(from_sound(sound, 50), from_sound(sound * 8, 50), atol=0.02)


@pytest.mark.parametrize("frames", [0, 1, 7])
def test_from_silence_is_a_mouth_at_rest(frames):
    mouth = from_sound(np.zeros(frames * 640, np.float32), frames)
    assert mouth.shape == (frames, len(CHANNELS))
    assert (mouth[:, OPENING] == 0).all()


ESPEAK = """
import ctypes, sys, espeakng_loader
from pathlib import Path

lib = ctypes.CDLL(espeakng_loader.get_library_path())
class Event(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("id", ctypes.c_uint), ("text", ctypes.c_int),
                ("length", ctypes.c_int), ("audio", ctypes.c_int), ("sample", ctypes.c_int),
                ("user", ctypes.c_void_p), ("name", ctypes.c_char * 8)]
seen = set()
def listen(samples, count, event):
    i = 0
    while event[i].type:
        if event[i].type == 7:
            seen.add(event[i].name.decode())
        i += 1
    return 0
Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event)
)
callback = Callback(listen)
data = str(Path(espeakng_loader.get_data_path()).parent).encode()
lib.espeak_Initialize(2, 0, data, 1 | 0x8000)
lib.espeak_SetSynthCallback(callback)
voices = "en en-us en-gb-x-rp en-gb-scotland en-gb-x-gbclan en-gb-x-gbcwmd en-029 en-us-nyc"
for voice in voices.split():
    lib.espeak_SetVoiceByName(voice.encode())
    text = sys.argv[1].encode()
    lib.espeak_Synth(text, len(text) + 1, 0, 1, 0, 1, None, None)
    lib.espeak_Synchronize()
print("\\n".join(sorted(seen)))
"""
TEXT = (
    "The quick brown fox jumps over the lazy dog. Measure the treasure with vision. Judge "
    "church, thing, this, bother. Fire hour tower player lower poor pure tour here there "
    "near hair sure cure. Boy coin. My high eye. Cow house now. Go home boat. Say day. Cut "
    "love. Bird nurse her. About sofa comma. City little bottle button. Put foot. Food "
    "blue. Hot lot. Thought caught. Father palm start. Bath dance. Trap cat. Dress. Kit. "
    "Fleece. Loch. Yes. When which. Sing. Seven thousand walked through Edinburgh. Water "
    "butter. Rural squirrel. Beige. Uh-huh. Iron idea theatre cruel."
)


@pytest.mark.heavy
def test_every_english_sound_of_espeak_is_known():
    """Every mnemonic can be cut into entries of VISEME_OF, and vowels open the mouth."""
    pytest.importorskip("espeakng_loader", reason="the voices are an optional extra")
    spoken = subprocess.run(
        [sys.executable, "-c", ESPEAK, TEXT], capture_output=True, text=True, check=True, timeout=60
    )
    mnemonics = [name for name in spoken.stdout.split("\n") if name]
    assert len(mnemonics) > 60
    for name in mnemonics:
        rest = name.lstrip("',%=")
        while rest:
            longest = max((k for k in VISEME_OF if rest.startswith(k)), key=len, default=None)
            assert longest, f"{name}: {rest} is in no group"
            rest = rest[len(longest) :]
        if name.lstrip("',%=")[:1] in tuple("aeiouAEIOUV@03"):
            assert shown(name, channel=OPENING) > 0.1, name
