"""No training on an Apple GPU with wrong gradients. There is none here: the CPU stands for it."""

import sys

import pytest
import torch
import torch.nn.functional as F
from conftest import make_noise_corpus

import dsel.model
from dsel.model import Conv, ModelConfig, Trunk, TwoStream, laid_out
from dsel.train import TrainConfig, Trainer
from dsel.train.device import batch_norm_error, choose_layout, trusted

MPS, CPU = torch.device("mps"), torch.device("cpu")


@pytest.fixture
def like_apple(monkeypatch):
    """The CPU gets its maps as Apple's GPUs do."""
    monkeypatch.setattr(dsel.model, "ROW_BY_ROW", ("cpu",))


def plain_strides(x: torch.Tensor) -> bool:
    return x.stride() == torch.empty(x.shape).stride()


class Misread(torch.autograd.Function):
    """BatchNorm that takes a map with channels last for one that lies row by row (pytorch#175189).

    Only its backward pass does. Otherwise it is right: normalise over all but the channels, in
    float64, by hand.
    """

    @staticmethod
    def forward(ctx, x, gain, shift):
        ctx.last = not x.is_contiguous()
        ctx.save_for_backward(x, gain)
        hat, _ = Misread.normal(x)
        return (hat * gain[:, None, None] + shift[:, None, None]).float()

    @staticmethod
    def normal(x):
        x = x.double()
        spread = (x.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
        return (x - x.mean((0, 2, 3), keepdim=True)) / spread, spread

    @staticmethod
    def backward(ctx, grad):
        x, gain = ctx.saved_tensors
        if ctx.last:
            N, C, H, W = x.shape
            x = x.contiguous().view(N, H, W, C).permute(0, 3, 1, 2)
        hat, spread = Misread.normal(x)
        axes, mean = (0, 2, 3), {"dim": (0, 2, 3), "keepdim": True}
        inner = grad * gain[:, None, None]
        into = (inner - inner.mean(**mean) - hat * (inner * hat).mean(**mean)) / spread
        return into.float(), (grad * hat).sum(axes).float(), grad.sum(axes)


def misread(x, mean, var, gain, shift, training):
    return Misread.apply(x, gain, shift)


def test_the_check_sees_a_map_that_is_misread_and_nothing_else(monkeypatch):
    assert batch_norm_error(CPU) == 0
    assert batch_norm_error(CPU, misread) > 0.5  # where maps come with channels last
    monkeypatch.setattr(dsel.model, "ROW_BY_ROW", ("cpu",))
    assert (
        batch_norm_error(CPU, misread) < 1e-5
    )  # row by row it is right, and what is left is rounding
    assert (
        batch_norm_error(
            CPU, lambda x, *rest, training: 1.05 * F.batch_norm(x, *rest, training=training)
        )
        > 0.04
    )


def test_an_apple_gpu_is_used_where_its_gradients_are_right_and_the_cpu_with_a_line_where_not(
    capsys,
):
    assert trusted(MPS, lambda device: 1e-6) == MPS
    assert capsys.readouterr().err == ""
    for wrong in (0.5, float("nan"), float("inf")):
        assert trusted(MPS, lambda device, wrong=wrong: wrong) == CPU
        (line,) = capsys.readouterr().err.splitlines()
        assert "training on the CPU" in line
        assert torch.__version__ in line


def test_a_device_that_cannot_compute_it_is_not_used(capsys):
    def broken(device):
        raise RuntimeError("view size is not compatible\nsecond line")

    assert trusted(MPS, broken) == CPU
    (line,) = capsys.readouterr().err.splitlines()
    assert "view size is not compatible)" in line


def test_other_devices_are_not_asked():
    def never(device):
        raise AssertionError

    for device in (CPU, torch.device("cuda", 0)):
        assert trusted(device, never) == device


def test_a_training_told_to_use_such_a_gpu_runs_on_the_cpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("dsel.train.device.batch_norm_error", lambda device: 0.9)
    corpus = make_noise_corpus(tmp_path / "corpus", speakers=2, test=0)
    config = TrainConfig.laptop(B=2, N=4, extra=0, steps=1, device="mps", tensorboard=False)
    trainer = Trainer(corpus, ModelConfig.laptop(), config, tmp_path / "run", progress=False)
    assert trainer.device == CPU
    assert len(trainer.fit()) == 1
    assert "training on the CPU" in capsys.readouterr().err


def test_weights_lie_row_by_row_for_apple_and_with_channels_last_elsewhere():
    assert choose_layout(MPS) == torch.contiguous_format
    assert choose_layout(CPU) == choose_layout(torch.device("cuda", 0)) == torch.channels_last


@pytest.mark.parametrize(
    "shape", [(2, 3, 4, 5), (2, 3, 1, 1), (2, 1, 4, 5), (1, 3, 4, 1), (2, 3, 1, 5)]
)
def test_any_map_comes_out_row_by_row_and_so_does_its_gradient(like_apple, shape):
    """Where H = W = 1 any strides are 'contiguous', and only they tell torch what is meant."""
    start = torch.randn(shape, dtype=torch.float64)
    _, C, H, W = shape
    last = torch.empty_strided(shape, (C * H * W, 1, W * C, C), dtype=torch.float64).copy_(start)
    for x in (start, last, start.transpose(1, 3).contiguous().transpose(1, 3)):
        leaf = x.requires_grad_()
        out = laid_out(leaf * 2)
        assert plain_strides(out)
        torch.testing.assert_close(out, 2 * start.detach())
        found = []
        out.register_hook(lambda g, found=found: found.append(g))
        odd = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
        torch.autograd.backward(out, odd)
        assert plain_strides(found[0])
        torch.testing.assert_close(leaf.grad, 2 * odd)


def test_elsewhere_a_map_is_left_as_it_is():
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert laid_out(x) is x


def test_every_layer_of_the_networks_sees_and_gets_back_maps_row_by_row(like_apple):
    """Input and gradient of every convolution, BatchNorm, pool and ReLU of both trunks."""
    torch.manual_seed(0)
    model = TwoStream(ModelConfig.laptop()).to(memory_format=choose_layout(MPS)).train()
    seen, back = [], []

    def look(module, inputs):
        seen.append((type(module).__name__, plain_strides(inputs[0])))

    def look_back(module, grads):
        back.append((type(module).__name__, plain_strides(grads[0])))

    for trunk in (model.face_trunk, model.audio_trunk):
        for layer in trunk.layers:
            if isinstance(layer, torch.nn.ReLU):
                layer.inplace = False  # a full backward hook looks at its output
            layer.register_forward_pre_hook(look)
            layer.register_full_backward_pre_hook(look_back)
    face = model.face(torch.rand(2, 8, 48, 48, 3).requires_grad_())
    audio = model.audio((0.1 * torch.randn(2, 640 * 8)).requires_grad_())
    sum((e * torch.randn_like(e)).sum() for e in (*face.values(), *audio.values())).backward()
    assert len(seen) == len(back) == len(model.face_trunk.layers) + len(model.audio_trunk.layers)
    assert {name for name, _ in seen} == {"MapConv2d", "BatchNorm2d", "MaxPool2d", "ReLU"}
    assert all(plain for _, plain in seen), seen
    assert all(plain for _, plain in back), back


def test_the_layout_changes_no_number(monkeypatch):
    layers = (
        Conv(6, (3, 3), pad=(1, 1), pool=(2, 2)),
        Conv(7, (3, 3)),
        Conv(8, (2, 2)),
        Conv(5, (1, 1)),
    )

    def found(devices):
        monkeypatch.setattr(dsel.model, "ROW_BY_ROW", devices)
        torch.manual_seed(0)
        trunk = Trunk(layers, 3).double().train()
        x = (
            torch.randn(4, 3, 8, 8, dtype=torch.float64)
            .contiguous(memory_format=torch.channels_last)
            .requires_grad_()
        )
        out = trunk(x)
        (
            out * torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)
        ).sum().backward()
        return [out.detach(), x.grad, *(p.grad for p in trunk.parameters())]

    for one, other in zip(found(()), found(("cpu",)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs an Apple GPU")
def test_a_real_apple_gpu_has_right_gradients_row_by_row():
    assert batch_norm_error(MPS) < 1e-3, (torch.__version__, sys.version)
