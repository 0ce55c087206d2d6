"""The front end equals torchaudio to the last bit, and lies where timing.py says."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsel.audio import (
    FRONT_ENDS,
    OVERHANG,
    front_end,
    import_torchaudio,
    instance_norm,
    log_mel,
)
from dsel.timing import FPS, mels_for, samples_for
from dsel.utils.errors import BadInput

# In a process of its own. Where the compiled part of torchaudio cannot be loaded, a stand-in
# takes its place.
COMPARE = """
import torch
from dsel.audio import import_torchaudio
torchaudio = import_torchaudio()
import torch.nn.functional as F
from dsel import audio
waveform = 0.1 * torch.randn(3, 640 * 21, generator=torch.Generator().manual_seed(0))
padded = F.pad(waveform[:, None], (176, 176), mode="reflect")[:, 0]
frames = dict(n_fft=512, win_length=400, hop_length=160, center=False)
mel = dict(**frames, n_mels=40, f_min=0.0, f_max=8000.0)
theirs = torch.log(torchaudio.transforms.MelSpectrogram(16000, **mel)(padded) + 1e-6)
cepstra = torchaudio.transforms.MFCC(16000, 20, melkwargs=mel, log_mels=True)(padded)
pairs = (theirs, audio.log_mel(waveform)), (cepstra, audio.mfcc(waveform))
print(*((a - b).abs().max().item() for a, b in pairs))
print(theirs.std().item(), tuple(theirs.shape))
"""


@pytest.mark.heavy
def test_equals_torchaudio():
    pytest.importorskip("importlib.metadata").version("torchaudio")
    found = subprocess.run([sys.executable, "-c", COMPARE], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-2000:]
    differences, shape = found.stdout.splitlines()[-2:]
    mel, mfcc = map(float, differences.split())
    assert mel == 0.0
    assert mfcc < 1e-4  # two orders of summation in float32, values up to about 50
    assert shape.endswith("(3, 40, 84)")


def test_four_mel_frames_a_video_frame_each_centred_in_its_10_ms():
    for k in (17, 18, 19, 20):  # a click in the middle of mel frame k
        waveform = torch.zeros(1, samples_for(10))
        waveform[0, 160 * k + 80] = 1.0
        mel = log_mel(waveform)
        assert mel.shape == (1, 40, mels_for(10))
        energy = mel.exp().sum(1)[0]
        assert energy.argmax() == k
        torch.testing.assert_close(
            energy[k - 1], energy[k + 1], rtol=1e-3, atol=0
        )  # symmetric about its centre


def test_a_mel_frame_hears_120_samples_beyond_its_own():
    waveform = 0.1 * torch.randn(1, samples_for(12), generator=torch.Generator().manual_seed(1))
    louder, first = waveform.clone(), samples_for(6)
    louder[:, first:] *= 2
    changed = (log_mel(louder) - log_mel(waveform)).abs().amax(1)[0] > 1e-6
    assert OVERHANG == 120
    assert not changed[: 4 * 6 - 1].any()
    assert changed[4 * 6 - 1 :].all()  # the frame before reaches into it


def test_a_tone_lands_in_its_band():
    time = torch.arange(samples_for(FPS)) / 16000
    loudest = [
        log_mel(torch.sin(2 * torch.pi * hz * time)[None]).mean(-1).argmax().item()
        for hz in (200, 1000, 4000)
    ]
    mel = [2595 * torch.log10(torch.tensor(1 + hz / 700)).item() for hz in (200, 1000, 4000, 8000)]
    for band, m in zip(loudest, mel, strict=False):
        assert abs((band + 1) * mel[-1] / 41 - m) <= mel[-1] / 41


def test_instance_norm_takes_a_fixed_microphone_away_up_to_the_floor():
    waveform = 0.3 * torch.randn(2, samples_for(20), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        instance_norm(log_mel(waveform)),
        instance_norm(log_mel(0.25 * waveform)),
        rtol=1e-3,
        atol=1e-3,
    )
    flat = instance_norm(log_mel(waveform))
    torch.testing.assert_close(flat.mean(-1), torch.zeros(2, 40), atol=1e-5, rtol=0)


BROKEN = """
import sys
sys.path.insert(0, {folder!r})
from dsel.audio import import_torchaudio
print(import_torchaudio())
"""


@pytest.mark.heavy  # three times a new Python
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "None"),
        (
            {
                "__init__.py": "from . import _extension",
                "_extension.py": "raise OSError('libcudart')",
            },
            "module",
        ),
        ({"__init__.py": "raise OSError('libcudart.so: cannot open')"}, "None"),
    ],
)
def test_torchaudio_is_never_needed(tmp_path, files, expected):
    """Missing, without its compiled part, or broken: a module or None, and no exception."""
    package = tmp_path / "torchaudio"
    if files:
        package.mkdir()
        for name, text in files.items():
            (package / name).write_text(text)
    else:
        (tmp_path / "torchaudio.py").write_text("raise ModuleNotFoundError('torchaudio')")
    code = BROKEN.format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert expected in done.stdout


NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "01_data_alignment.ipynb"


@pytest.mark.parametrize("installed", [True, False])
def test_the_comparison_in_notebook_01_runs_with_torchaudio_and_without(installed, capsys):
    found = import_torchaudio() if installed else None
    if installed and found is None:
        pytest.skip("torchaudio is not installed")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    (cell,) = [cell for cell in cells if cell["id"] == "torchaudio"]
    sound = 0.1 * np.random.default_rng(0).standard_normal(samples_for(25)).astype(np.float32)
    names = {"torch": torch, "log_mel": log_mel, "waveform": sound, "Markdown": str}
    names |= {"import_torchaudio": lambda: found}
    exec("".join(cell["source"]), names)
    shown = capsys.readouterr().out
    if installed:
        assert shown == f"{40 * mels_for(25)} numbers from {names['ours'].min():.2f} to " + (
            f"{names['ours'].max():.2f}; largest difference: 0.0\n"
        )
        assert names["comparison"].count("| 0 |") == 5
    else:
        assert "not installed" in shown
        assert names["comparison"] is None


# --- Front ends -----------------------------------------------------------------------------------


def noise(seed, tracks=2, frames=9, loudness=0.1):
    return loudness * torch.randn(
        tracks, samples_for(frames), generator=torch.Generator().manual_seed(seed)
    )


def mel_bank(bands=40, fft=512, rate=16000):
    """Compute triangles on the HTK mel scale number by number: (fft / 2 + 1, bands)."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = [700 * (10 ** (k * top / (bands + 1) / 2595) - 1) for k in range(bands + 2)]
    bank = np.zeros((fft // 2 + 1, bands))
    for bin_ in range(fft // 2 + 1):
        hz = bin_ * rate / fft
        for band in range(bands):
            low, middle, high = corners[band : band + 3]
            bank[bin_, band] = max(
                0.0, min((hz - low) / (middle - low), (high - hz) / (high - middle))
            )
    return bank


def authors_by_hand(sound):
    """Compute the authors' input of a track: int16-scaled samples (640 T + 240,) -> (40, 4 T).

    float64 NumPy. Theirs is torchaudio.transforms.MelSpectrogram(16000, n_fft=512, win_length=400,
    hop_length=160, f_min=0, f_max=8000, n_mels=40),
    + 1e-6, log, InstanceNorm1d(40), [1:-1].
    """
    hann = np.array([0.5 - 0.5 * np.cos(2 * np.pi * n / 400) for n in range(400)])
    window = np.concatenate([np.zeros(56), hann, np.zeros(56)])
    padded = np.pad(sound, 256, mode="reflect")
    frames = [padded[160 * k : 160 * k + 512] * window for k in range(1 + len(sound) // 160)]
    power = np.stack([np.abs(np.fft.rfft(frame)) ** 2 for frame in frames])  # (frames, 257)
    mel = np.log(power @ mel_bank() + 1e-6).T  # (40, frames)
    mel = (mel - mel.mean(axis=1, keepdims=True)) / np.sqrt(mel.var(axis=1, keepdims=True) + 1e-5)
    return mel[:, 1:-1]


@pytest.mark.parametrize("frames", [5, 20])
def test_the_authors_front_end_equals_numpy(frames):
    waveform = noise(3, frames=frames)
    found = front_end(waveform, "authors")
    assert found.shape == (2, 40, mels_for(frames))
    for track, ours in zip(waveform.double().numpy(), found, strict=True):
        read = (
            np.concatenate([track, track[-2 : -2 - 240 : -1]]) * 32767
        )  # what lies beyond the last frame is mirrored
        np.testing.assert_allclose(ours.numpy(), authors_by_hand(read), atol=1e-4)


def test_an_authors_mel_frame_lies_80_samples_later():
    """A click excites the frame whose centre it is: 160 k + 80 in ours, 160 k + 160 in theirs."""
    for k in (15, 18):
        for kind, middle in (("none", 80), ("authors", 160)):
            waveform = noise(4, 1, 10, loudness=1e-3)
            waveform[0, 160 * k + middle] += 0.5
            assert front_end(waveform, kind).mean(1)[0].argmax() == k


def test_fixed_and_track_are_what_they_always_were():
    waveform = noise(5)
    assert torch.equal(front_end(waveform, "none"), (log_mel(waveform) + 5.0) / 4.0)
    assert torch.equal(front_end(waveform, "track"), instance_norm(log_mel(waveform)))
    with pytest.raises(
        BadInput, match="front_end 'loud': must be one of track, level, none, authors"
    ):
        front_end(waveform, "loud")


@given(seed=st.integers(0, 2**31), gain=st.floats(0.1, 8.0))
@settings(max_examples=40)
def test_level_takes_loudness_away_and_keeps_the_spectrum(seed, gain):
    waveform = noise(seed, frames=6)
    level = front_end(waveform, "level")
    torch.testing.assert_close(
        level.mean((1, 2)), torch.zeros(2), atol=1e-5, rtol=0
    )  # one number a track
    # The floor is far below the power of this noise even in the quietest case: 1e-6 against
    # 0.1^2 * 0.1^2 * 150.
    torch.testing.assert_close(front_end(gain * waveform, "level"), level, atol=2e-2, rtol=0)
    fixed = front_end(waveform, "none")
    difference = fixed - level  # the same number in every band and frame of a track
    torch.testing.assert_close(
        difference, difference[:, :1, :1].expand_as(difference), atol=1e-5, rtol=0
    )


@given(seed=st.integers(0, 2**31), kind=st.sampled_from(FRONT_ENDS))
@settings(max_examples=20)
def test_tracks_of_a_batch_do_not_touch_each_other(seed, kind):
    waveform = noise(seed, 3, 6)
    whole = front_end(waveform, kind)
    torch.testing.assert_close(whole[1:2], front_end(waveform[1:2], kind), atol=1e-4, rtol=1e-4)
    assert whole.shape == (3, 40, mels_for(6))
