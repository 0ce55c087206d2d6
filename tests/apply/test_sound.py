"""A sound becomes a vector: any file, any rate, any length; what cannot be embedded is refused in
one line.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dsel
from dsel.apply.sound import embed_files, mixed_down, pieces, sound_files
from dsel.corpus.clips import write_clip
from dsel.model import ModelConfig, TwoStream
from dsel.utils.errors import BadInput

av = pytest.importorskip("av", reason="sound files are read with PyAV")


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return TwoStream(ModelConfig.laptop(front_end="none")).eval()


def tone(seconds=1.0, rate=16_000, hertz=220.0):
    """A voice-like sound: harmonics whose loudness goes up and down."""
    t = np.arange(int(seconds * rate)) / rate
    x = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 12))
    return 0.1 * x * (1 + 0.5 * np.sin(2 * np.pi * 3 * t))


def write_sound(path, samples, rate, codec="pcm_s16le"):
    """Write (S,) or (channels, S) to a file."""
    samples = np.atleast_2d(samples)
    layout = "mono" if len(samples) == 1 else "stereo"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        data = np.ascontiguousarray((32767 * samples).astype(np.int16).T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(data, "s16", layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_file_and_array_give_the_same_vector(networks, tmp_path):
    path = write_sound(tmp_path / "a.wav", tone(), 16_000)
    ours, theirs = dsel.embed(path, networks), dsel.embed(tone(), networks)
    assert ours.shape == theirs.shape == (128,)
    assert ours.dtype == np.float32
    assert cosine(ours, theirs) > 0.9999


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_the_rate_does_not_matter_where_the_sound_is_the_same(networks, tmp_path, rate):
    low = tone(hertz=110.0, rate=rate)  # all of it under 4 kHz
    path = write_sound(tmp_path / "a.wav", low, rate)
    base = dsel.embed(tone(hertz=110.0), networks)
    assert cosine(dsel.embed(path, networks), base) > 0.98
    assert cosine(dsel.embed(low, networks, rate=rate), base) > 0.98


def test_stereo_int16_and_both_orientations(networks):
    x = tone()
    base = dsel.embed(x, networks)
    both = np.stack([x, x])
    for other in (both, both.T, (x * 32768).astype(np.int16)):
        assert cosine(dsel.embed(other, networks), base) > 0.999


def test_a_list_gives_a_row_each(networks):
    one, two = tone(), tone(hertz=150.0)
    rows = dsel.embed([one, two], networks)
    assert rows.shape == (2, 128)
    np.testing.assert_array_equal(rows[1], dsel.embed(two, networks))


def test_the_content_head_is_another_vector(networks):
    assert cosine(dsel.embed(tone(), networks), dsel.embed(tone(), networks, head="content")) < 0.9
    with pytest.raises(BadInput, match="identity"):
        dsel.embed(tone(), networks, head="speaker")


@given(st.integers(1, 700_000))
@settings(max_examples=40)
def test_pieces_hold_every_window_once_and_none_is_long(samples):
    frames = max(5, -(-samples // 640))
    cut = pieces(np.arange(samples, dtype=np.float32) % 1000)
    assert all(len(p) % 640 == 0 and 5 * 640 <= len(p) <= 104 * 640 for p in cut)
    assert sum(len(p) // 640 - 4 for p in cut) == frames - 4


def test_a_long_sound_gives_the_mean_of_its_windows(networks):
    x = np.concatenate([tone(3.0, hertz=f) for f in (120.0, 180.0, 240.0)])
    with torch.inference_mode():
        windows = networks.audio(torch.from_numpy(x).float()[None], ("identity",))["identity"][0]
    np.testing.assert_allclose(dsel.embed(x, networks), windows.mean(0).numpy(), atol=2e-3)


def test_channels_that_cancel_are_not_averaged_away():
    x = tone(0.5)
    np.testing.assert_array_equal(mixed_down(np.stack([x, -x])), x)
    np.testing.assert_allclose(mixed_down(np.stack([x, 0.5 * x])), 0.75 * x)


@pytest.mark.parametrize(
    ("sound", "says"),
    [
        (np.zeros(16_000), "silent"),
        (np.ones(3_000), "0.2 s"),
        (np.full(16_000, np.nan), "NaN"),
        (np.array(["a"]), "array"),
        (np.zeros((2, 3, 4)), "array"),
        ("missing.wav", "no such file"),
    ],
)
def test_what_cannot_be_embedded_is_refused_in_one_line(networks, sound, says):
    with pytest.raises(BadInput, match=says) as refused:
        dsel.embed(sound, networks)
    assert "\n" not in str(refused.value)


def test_files_of_a_folder_broken_ones_named(networks, tmp_path):
    write_sound(tmp_path / "a.wav", tone(), 16_000)
    (tmp_path / "b.wav").write_bytes(b"RIFF not a sound")
    (tmp_path / "notes.txt").write_text("no sound")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (30, 48, 48, 3), np.uint8)
    write_clip(tmp_path / "c.mp4", frames, tone(1.2).astype(np.float32))
    found = {
        path.name: (vector, why)
        for path, vector, why in embed_files(sound_files(tmp_path), networks, progress=False)
    }
    assert sorted(found) == ["a.wav", "b.wav", "c.mp4"]
    assert found["a.wav"][0].shape == found["c.mp4"][0].shape == (128,)
    assert found["b.wav"][0] is None
    assert "b.wav" in found["b.wav"][1]
    with pytest.raises(BadInput, match="no sound or video"):
        sound_files(tmp_path / "nowhere")
