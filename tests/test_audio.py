"""The front end equals torchaudio to the last bit, and lies where timing.py says."""

import subprocess
import sys

import pytest
import torch

from dsel.audio import OVERHANG, import_torchaudio, instance_norm, log_mel
from dsel.timing import FPS, mels_for, samples_for

# torchaudio's wheel is built for CUDA and cannot load its compiled part beside every torch. What is compared is written in
# Python, so the compiled part is replaced by a stub; in a process of its own, where nothing else sees the stub.
COMPARE = """
import sys, types
stub = types.ModuleType("torchaudio._extension")
stub._IS_TORCHAUDIO_EXT_AVAILABLE = stub._IS_ALIGN_AVAILABLE = False
stub.fail_if_no_align, stub._check_cuda_version = (lambda f: f), (lambda: None)
sys.modules["torchaudio._extension"] = stub
import torch, torchaudio
import torch.nn.functional as F
from dsel import audio
waveform = 0.1 * torch.randn(3, 640 * 21, generator=torch.Generator().manual_seed(0))
padded = F.pad(waveform[:, None], (176, 176), mode="reflect")[:, 0]
mel = dict(n_fft=512, win_length=400, hop_length=160, n_mels=40, f_min=0.0, f_max=8000.0, center=False)
theirs = torch.log(torchaudio.transforms.MelSpectrogram(16000, **mel)(padded) + 1e-6)
cepstra = torchaudio.transforms.MFCC(16000, 20, melkwargs=mel, log_mels=True)(padded)
print((theirs - audio.log_mel(waveform)).abs().max().item(), (cepstra - audio.mfcc(waveform)).abs().max().item())
print(theirs.std().item(), tuple(theirs.shape))
"""


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
        torch.testing.assert_close(energy[k - 1], energy[k + 1], rtol=1e-3, atol=0)  # symmetric about its centre


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
    loudest = [log_mel(torch.sin(2 * torch.pi * hz * time)[None]).mean(-1).argmax().item() for hz in (200, 1000, 4000)]
    mel = [2595 * torch.log10(torch.tensor(1 + hz / 700)).item() for hz in (200, 1000, 4000, 8000)]
    for band, m in zip(loudest, mel, strict=False):
        assert abs((band + 1) * mel[-1] / 41 - m) <= mel[-1] / 41


def test_instance_norm_takes_a_fixed_microphone_away_up_to_the_floor():
    waveform = 0.3 * torch.randn(2, samples_for(20), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(instance_norm(log_mel(waveform)), instance_norm(log_mel(0.25 * waveform)), rtol=1e-3, atol=1e-3)
    flat = instance_norm(log_mel(waveform))
    torch.testing.assert_close(flat.mean(-1), torch.zeros(2, 40), atol=1e-5, rtol=0)


def test_torchaudio_is_never_needed():
    module = import_torchaudio()
    assert module is None or hasattr(module, "datasets")
