"""Augmentation: what each change does to sound and picture, and what it leaves alone."""

import numpy as np
import pytest
import torch

from dsel.model import ModelConfig
from dsel.timing import SAMPLE_RATE
from dsel.train import TrainConfig, Trainer
from dsel.train.augment import ECHO, add_noise, add_room, blur, compress, slow_down
from dsel.utils.errors import BadInput

SOUND, PICTURE = (add_room, add_noise), (blur, compress)


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def voices(tracks=6, samples=6400):
    return 0.1 * torch.randn(tracks, samples, generator=generator(0))


def faces(tracks=6, size=16):
    return torch.rand(tracks, 3, size, size, 3, generator=generator(0))


@pytest.mark.parametrize("change", [*SOUND, *PICTURE])
def test_strength_0_changes_nothing_and_a_draw_can_be_repeated(change):
    x = voices() if change in SOUND else faces()
    torch.testing.assert_close(change(x, generator(), 0.0), x, atol=1e-5, rtol=0)
    once, again = change(x, generator()), change(x, generator())
    assert torch.equal(once, again)
    assert once.shape == x.shape
    assert (once - x).abs().mean() > 1e-4


@pytest.mark.parametrize("change", [*SOUND, *PICTURE])
def test_processes_that_share_a_batch_draw_the_same(change):
    x = voices() if change in SOUND else faces()
    whole = change(x, generator())
    parts = [
        change(x[rows], generator(), 1.0, (6, rows))
        for rows in (torch.arange(4), torch.arange(4, 6))
    ]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_a_room_is_heard_after_a_click_and_never_before():
    click = torch.zeros(8, 2 * ECHO)
    click[:, 1000] = 1.0
    heard = add_room(click, generator())
    assert heard[:, :1000].abs().max() < 1e-4
    energy = (heard[:, 1001:] ** 2).sum(1)  # of the echoes; the click's is about 1
    assert (10 * energy.log10()).min() > -19
    assert (10 * energy.log10()).max() < -5
    early, late = heard[:, 1001:2000].pow(2).mean(1), heard[:, 6000:7000].pow(2).mean(1)
    assert (early > 10 * late).all()


def test_noise_is_as_loud_as_its_ratio_says():
    sound = voices(200, 3200)
    noise = add_noise(sound, generator()) - sound
    ratio = 20 * (sound.norm(dim=1) / noise.norm(dim=1)).log10()
    assert ratio.min() > 9.9
    assert ratio.max() < 30.1
    assert ratio.std() > 3
    half = add_noise(sound, generator(), 0.5) - sound
    torch.testing.assert_close(half, noise / 2, atol=1e-5, rtol=1e-4)


def test_a_slower_track_stays_in_step():
    """A flash and a click at the same instant are still at the same instant."""
    T, at = 40, 24
    frames = torch.zeros(16, T, 2, 2, 3, dtype=torch.uint8)
    frames[:, at] = 255
    sound = torch.zeros(16, 640 * T)
    sound[:, 640 * at + 320] = 1.0
    shown, heard = slow_down(frames, sound, generator())
    flash = shown.float().mean((2, 3, 4)).argmax(1)  # the first frame that shows it
    click = heard.argmax(1) / 640
    assert ((click - flash >= -0.01) & (click - flash < 2.0)).all()
    moved = click - (at + 0.5)
    assert moved.min() > -0.01  # never faster
    assert moved.max() > 0.5
    assert moved.max() < at * 0.1 / 0.9 + 0.1
    same = slow_down(frames, sound, generator(), 0.0)
    assert torch.equal(same[0], frames)
    assert torch.equal(same[1], sound)


def test_a_tone_gets_deeper_by_as_much_as_a_track_is_slower():
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = torch.sin(2 * torch.pi * 400 * time).repeat(12, 1)
    _, heard = slow_down(torch.zeros(12, 25, 1, 1, 3), tone, generator())
    pitch = torch.fft.rfft(heard * torch.hann_window(SAMPLE_RATE)).abs().argmax(1)  # Hz
    assert pitch.min() >= 359
    assert pitch.max() <= 400
    assert pitch.float().std() > 3


def test_blur_keeps_the_mean_and_takes_the_edges():
    edge = torch.zeros(8, 1, 16, 16, 3)
    edge[:, :, :, 8:] = 1.0
    soft = blur(edge, generator())
    torch.testing.assert_close(soft.mean((1, 2, 3, 4)), edge.mean((1, 2, 3, 4)))
    step = (soft[:, 0, 8, 8] - soft[:, 0, 8, 7]).mean(1)
    assert (step < 1).all()
    assert step.std() > 0.05


@pytest.mark.parametrize("size", [16, 21])  # 21: blocks reach beyond the picture
def test_compression_keeps_slow_changes_and_loses_fine_ones(size):
    place = torch.arange(size)
    slow = (place / size)[:, None].expand(size, size)
    fine = 0.02 * ((place[:, None] + place) % 2 - 0.5)
    picture = (slow + fine)[None, None, :, :, None].repeat(8, 2, 1, 1, 3)
    after = compress(picture, generator(), 3.0)
    assert (after - slow[:, :, None]).abs().mean() < 0.05
    left = (after * fine[:, :, None]).mean((1, 2, 3, 4)) - (slow * fine).mean()
    assert (left / fine.pow(2).mean()).median() < 0.3


def test_dct_blocks_are_those_of_scipy():
    """Every wave of scipy's DCT is a whole number of steps, and the nearest one."""
    fft = pytest.importorskip("scipy.fft")
    picture = torch.rand(1, 1, 8, 8, 3, generator=generator(0), dtype=torch.float64)
    lost = compress(picture, generator(), 20.0)
    waves = fft.dctn(picture[0, 0, :, :, 0].numpy(), norm="ortho")
    kept = fft.dctn(lost[0, 0, :, :, 0].numpy(), norm="ortho")
    i = np.arange(8)
    sizes = (1 + i[:, None] + i).astype(float)
    unit = np.abs(kept / sizes)
    unit = unit[unit > 1e-6].min()
    np.testing.assert_allclose(kept / (unit * sizes), np.round(kept / (unit * sizes)), atol=1e-3)
    assert (np.abs(waves - kept) <= 0.5 * unit * sizes * 1.001 + 1e-6).all()


def test_a_training_takes_all_of_them_and_none_of_them_by_default(noise_corpus, tmp_path):
    small = {"B": 3, "N": 6, "extra": 2, "steps": 2, "warmup": 1, "precision": "float32"}
    small |= {"device": "cpu", "log_every": 1, "save_every": 1}
    names = ("room", "noise", "speed", "blur", "compression")
    seen = {}
    for strength in (0.0, 1.0):
        config = TrainConfig.checked(**small, **dict.fromkeys(names, strength))
        run = tmp_path / f"{strength:g}"
        trainer = Trainer(noise_corpus, ModelConfig.laptop(), config, run, progress=False)
        seen[strength] = trainer.objective.augment(trainer.batches.at(0), 0)
        assert torch.isfinite(trainer.train_step(trainer.batches.at(0))["loss"])
    for name in ("faces", "sound"):
        plain, worn = getattr(seen[0.0], name), getattr(seen[1.0], name)
        assert plain.shape == worn.shape
        assert (plain - worn).abs().mean() > 1e-3
    assert TrainConfig.laptop() == TrainConfig.laptop(**dict.fromkeys(names, 0.0))
    with pytest.raises(BadInput, match="blur"):
        TrainConfig.checked(blur=-1.0)
