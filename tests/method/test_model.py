"""Shapes, sizes, and the claim that a pass over a track equals a pass over each window alone."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dsel.audio import FRONT_ENDS, instance_norm, log_mel
from dsel.model import (
    MapConv2d,
    ModelConfig,
    TwoStream,
    face_windows,
    parameter_count,
    receptive_field,
    whole_frames,
)
from dsel.timing import WINDOW_FRAMES, WINDOW_MELS, WINDOW_SAMPLES, mels_for, samples_for
from dsel.utils.errors import BadInput


def network(**changes):
    torch.manual_seed(0)
    model = TwoStream(ModelConfig.laptop(**changes)).eval()
    with torch.no_grad():  # running statistics that are not the trivial 0 and 1
        for module in model.modules():
            if hasattr(module, "running_mean") and module.running_mean is not None:
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    return model


def faces(B, T, size=48, seed=0):
    return torch.randint(
        0,
        256,
        (B, T, size, size, 3),
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.uint8,
    )


def sound(B, T, seed=0):
    return 0.1 * torch.randn(B, samples_for(T), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "config", [ModelConfig.laptop(), ModelConfig.laptop(D=7, grey=False), ModelConfig.paper()]
)
@pytest.mark.parametrize("T", [5, 8])
def test_shapes(config, T):
    model, size = TwoStream(config).eval(), config.face_size
    with torch.inference_mode():
        for stream in (model.face(faces(2, T, size)), model.audio(sound(2, T))):
            assert {head: tuple(e.shape) for head, e in stream.items()} == {
                "content": (2, T - 4, config.D),
                "identity": (2, T - 4, config.D),
            }


def test_sizes_are_what_the_configurations_promise():
    laptop, paper = (TwoStream(config) for config in (ModelConfig.laptop(), ModelConfig.paper()))
    for trunk, heads in (
        (laptop.face_trunk, laptop.face_heads),
        (laptop.audio_trunk, laptop.audio_heads),
    ):
        assert parameter_count(trunk) + parameter_count(heads) < 1_000_000
    convs = [m for m in paper.audio_trunk.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size) for c in convs] == [
        (96, (5, 7)), (256, (5, 5)), (384, (3, 3)), (256, (3, 3)), (256, (3, 3)), (512, (4, 1)),
    ]  # fmt: skip
    convs = [m for m in paper.face_trunk.modules() if isinstance(m, torch.nn.Conv2d)]
    assert convs[0].in_channels == 3 * 5  # the 5 x 7 x 7 kernel, its 5 frames as channels
    assert [(c.out_channels, c.kernel_size) for c in convs][-1] == (512, (6, 6))


def test_the_first_face_layer_is_a_3d_convolution():
    model = network(grey=False)
    conv = model.face_trunk.layers[0]
    weight = conv.weight.reshape(32, WINDOW_FRAMES, 3, 5, 5).transpose(
        1, 2
    )  # (out, colour, time, height, width)
    video = torch.randn(
        2, 9, 3, 48, 48, generator=torch.Generator().manual_seed(1)
    )  # (B, T, C, H, W)
    ours = conv(face_windows(video)).reshape(2, 5, 32, 24, 24)
    theirs = torch.nn.functional.conv3d(
        video.transpose(1, 2), weight, stride=(1, 2, 2), padding=(0, 2, 2)
    ).transpose(1, 2)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_face_windows_alone_equal_the_pass_over_the_track():
    model, x = network(), faces(2, 12)
    with torch.inference_mode():
        whole = model.face(x)["content"]  # (B, N, D)
        for t in range(8):
            alone = model.face(x[:, t : t + 5])["content"][:, 0]
            torch.testing.assert_close(whole[:, t], alone, rtol=1e-4, atol=1e-5)


def test_audio_windows_alone_equal_the_pass_over_the_track_on_the_same_mel_frames():
    """The laptop trunk sees 20 mel frames and does not pad in time.

    So the 20 mel frames of a window are all it needs.
    """
    model = network()
    assert receptive_field(model.config.audio, 1) == (WINDOW_MELS, 4)
    mel = instance_norm(log_mel(sound(2, 12)))
    with torch.inference_mode():
        whole = model.audio_trunk(mel[:, None])[:, :, 0]  # (B, C, N)
        for t in range(8):
            alone = model.audio_trunk(mel[:, None, :, mels_for(t) : mels_for(t) + WINDOW_MELS])[
                :, :, 0
            ]
            torch.testing.assert_close(whole[:, :, t : t + 1], alone, rtol=1e-4, atol=1e-5)


def test_what_leaks_into_a_window_of_sound():
    """A window needs 120 samples more on either side; with track norm, the whole track."""
    x = sound(1, 20)
    for norm, far_leak in ((False, False), (True, True)):
        model = network(track_norm=norm)
        with torch.inference_mode():
            before = model.audio(x)["content"][0, 8]  # window 8: frames 8 to 12
            near, far = x.clone(), x.clone()
            near[:, samples_for(13) + 10] += 0.5  # 10 samples after its end: within the overhang
            far[:, samples_for(16) :] *= 4  # well after it
            assert not torch.allclose(model.audio(near)["content"][0, 8], before, atol=1e-5)
            assert (
                torch.allclose(model.audio(far)["content"][0, 8], before, atol=1e-5) is not far_leak
            )


def test_paper_audio_windows_reach_beyond_their_own_0_2_seconds():
    """The authors' trunk pads in time and sees 37 mel frames, so a window depends on others."""
    field, jump = receptive_field(ModelConfig.paper().audio, 1)
    assert (field, jump) == (37, 4)
    assert field > WINDOW_MELS


def test_receptive_field_formula_agrees_with_the_gradient():
    for config in (ModelConfig.laptop(), ModelConfig.paper()):
        trunk = TwoStream(config).eval().audio_trunk
        mel = torch.randn(1, 1, 40, mels_for(30), requires_grad=True)
        out = trunk(mel)
        out[0, :, 0, out.shape[-1] // 2].pow(2).sum().backward()
        touched = mel.grad[0, 0].abs().sum(0).nonzero()[:, 0]
        reach = (touched.max() - touched.min() + 1).item()
        field = receptive_field(config.audio, 1)[0]
        assert field - 2 <= reach <= field  # a max pool may pass no gradient to its outermost step


def test_a_window_of_sound_is_exactly_3200_samples_of_the_track():
    model, x = network(track_norm=False), sound(1, 9)
    with torch.inference_mode():
        assert model.audio(x[:, :WINDOW_SAMPLES])["identity"].shape[1] == 1


def test_eval_mode_makes_tracks_independent_and_train_mode_does_not():
    model, x = network(), sound(3, 8)
    with torch.inference_mode():
        torch.testing.assert_close(
            model.audio(x)["identity"][:1], model.audio(x[:1])["identity"], rtol=1e-4, atol=1e-5
        )
        model.train()
        assert not torch.allclose(
            model.audio(x)["identity"][:1], model.audio(x[:1])["identity"], atol=1e-3
        )


def test_only_the_wanted_heads_are_computed():
    assert set(network().face(faces(1, 5), ("identity",))) == {"identity"}


def enlarged_mouth(frames):
    """Cut rows 18 to 47 and columns 9 to 38 out of 48 x 48 pixels and enlarge them: with loops.

    Bilinear: the middle of a new pixel d lies at (d + 1/2) 30/48 - 1/2 of the old ones.
    """
    old = frames[:, :, 18:48, 9:39]  # (B, T, 30, 30, 3)
    at = [min(max((d + 0.5) * 30 / 48 - 0.5, 0), 29) for d in range(48)]
    rows = [(int(x), min(int(x) + 1, 29), x - int(x)) for x in at]
    tall = torch.stack([(1 - w) * old[:, :, i] + w * old[:, :, j] for i, j, w in rows], 2)
    return torch.stack([(1 - w) * tall[:, :, :, i] + w * tall[:, :, :, j] for i, j, w in rows], 3)


@pytest.mark.parametrize("grey", [True, False])
def test_a_content_head_that_sees_the_mouth_is_one_that_is_shown_it(grey):
    both, plain = network(content_crop="mouth", grey=grey), network(grey=grey)
    plain.load_state_dict(both.state_dict())
    frames = faces(2, 7).double() / 255
    with torch.inference_mode():
        found = both.double().face(frames)
        whole = plain.double().face(frames)
        shown = plain.face(enlarged_mouth(frames))
        alone = [both.face(frames, (head,))[head] for head in ("content", "identity")]
    torch.testing.assert_close(found["content"], shown["content"])
    torch.testing.assert_close(found["identity"], whole["identity"])
    assert (found["content"] - whole["content"]).abs().max() > 1e-3
    for head, single in zip(("content", "identity"), alone, strict=True):
        torch.testing.assert_close(found[head], single)


def test_the_forehead_reaches_the_identity_head_alone_if_content_sees_the_mouth():
    model, frames = network(content_crop="mouth"), faces(1, 5)
    changed = frames.clone()
    changed[:, :, :16] = 255 - changed[:, :, :16]
    with torch.inference_mode():
        before, after = model.face(frames), model.face(changed)
    torch.testing.assert_close(before["content"], after["content"])
    assert (before["identity"] - after["identity"]).abs().max() > 1e-3


def test_older_configurations_show_both_heads_the_face_and_another_crop_is_refused():
    before = ModelConfig.laptop().to_dict()
    assert before.pop("content_crop") == "face"
    assert ModelConfig.from_dict(before) == ModelConfig.laptop()
    assert ModelConfig.from_dict({**before, "content_crop": "mouth"}).content_crop == "mouth"
    with pytest.raises(BadInput, match="content_crop 'nose': must be face or mouth"):
        ModelConfig.named("laptop", content_crop="nose")


def test_autocast_leaves_the_front_end_in_float32():
    model, x = network(front_end="track"), sound(1, 8)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        mel = model.front_end(x)
    torch.testing.assert_close(mel, instance_norm(log_mel(x)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("bad", [(2, 4, 48, 48, 3), (2, 8, 47, 48, 3), (2, 8, 48, 48, 1)])
def test_wrong_faces_are_refused(bad):
    with pytest.raises(ValueError, match="frames must be"):
        network().face(torch.zeros(bad, dtype=torch.uint8))


@pytest.mark.parametrize("bad", [(2, 3199), (2, 2560), (3200,)])
def test_wrong_sound_is_refused(bad):
    with pytest.raises(ValueError, match="waveform must be"):
        network().audio(torch.zeros(bad))


def test_a_sound_of_any_length_is_cut_to_whole_frames_and_says_so():
    model, x = network(front_end="none"), sound(2, 9)
    longer = torch.cat([x, torch.rand(2, 399)], dim=1)
    with pytest.warns(UserWarning, match="last 399 samples"), torch.inference_mode():
        cut = model.audio(longer)
    with torch.inference_mode():
        torch.testing.assert_close(cut["identity"], model.audio(x)["identity"], rtol=0, atol=0)
    assert whole_frames(longer)[1] == 399


def test_gradients_reach_the_input_after_inference_mode():
    """A saliency map works after inference.

    A constant in a cache would have become an inference tensor at the first call.
    """
    model = network()
    frames = torch.rand(1, 6, 48, 48, 3)
    with torch.inference_mode():
        model.audio(sound(1, 6))
        model.face(frames)
    waveform, frames = sound(1, 6).requires_grad_(), frames.requires_grad_()
    (model.audio(waveform)["identity"].sum() + model.face(frames)["content"].sum()).backward()
    assert waveform.grad.abs().sum() > 0
    assert frames.grad.abs().sum() > 0


class Stream(torch.nn.Module):
    """One stream as a module of its own, for torch.export."""

    def __init__(self, model, name):
        super().__init__()
        self.model, self.name = model, name

    def forward(self, x):
        return getattr(self.model, self.name)(x)


@pytest.mark.heavy
@pytest.mark.parametrize("stream", ["audio", "face"])
def test_streams_are_exported_before_their_first_call(stream):
    """In a process of its own, where nothing has been computed before."""
    code = f"""
import torch, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_model import Stream
from dsel.model import ModelConfig, TwoStream
torch.manual_seed(0)
model = TwoStream(ModelConfig.laptop()).eval()
x = torch.rand(1, 6400) if {stream!r} == "audio" else torch.rand(1, 10, 48, 48, 3)
exported = torch.export.export(Stream(model, {stream!r}), (x,)).module()
got, want = exported(x), getattr(model, {stream!r})(x)
for head in want:
    assert type(want[head]) is torch.Tensor
    torch.testing.assert_close(got[head], want[head], atol=1e-5, rtol=1e-4)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr[-2000:]


def test_constants_are_not_saved():
    assert not [name for name in network().state_dict() if "bank" in name or "luma" in name]


def test_config_is_frozen_refuses_unknown_keys_and_survives_a_round_trip():
    for config in (ModelConfig.laptop(), ModelConfig.paper(D=16)):
        assert ModelConfig.from_dict(config.to_dict()) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig.laptop().D = 3
    with pytest.raises(BadInput, match="unknown key 'depth'"):
        ModelConfig.named("laptop", depth=3)
    with pytest.raises(BadInput, match="must be laptop or paper"):
        ModelConfig.named("huge")
    with pytest.raises(BadInput, match="'depth' is unknown"):
        ModelConfig.from_dict({**ModelConfig.laptop().to_dict(), "depth": 3})


@pytest.mark.heavy
def test_the_package_runs_on_a_bare_machine():
    """The method, train and evaluate import torch, NumPy and tqdm, and nothing else heavy."""
    code = (
        "import sys; import dsel.model, dsel.losses, dsel.reference, dsel.timing, dsel.audio;"
        "import dsel.train, dsel.evaluate;"
        "heavy = {'av', 'plotly', 'ipywidgets', 'umap', 'sklearn', 'cv2', 'espeakng_loader'};"
        "heavy |= {'torchaudio', 'scipy', 'PIL'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
        == "[]"
    )


def plain_form(model, frames, waveform):
    """Compute embeddings plainly: convolutions everywhere, ReLU before the pool, (B, C, N)."""

    def trunk(layers, x):
        for layer in layers:
            if isinstance(layer, torch.nn.Conv2d):
                x = torch.nn.functional.conv2d(x, layer.weight, None, layer.stride, layer.padding)
            elif isinstance(layer, torch.nn.BatchNorm2d):
                x = layer(x).relu()
            elif isinstance(layer, torch.nn.MaxPool2d):
                x = layer(x)
        return x

    def heads(stream, x):  # (B, C, N)
        out = {}
        for name, (first, norm, _, last) in stream.items():
            hidden = norm(torch.nn.functional.conv1d(x, first.weight)).relu()
            out[name] = torch.nn.functional.conv1d(hidden, last.weight, last.bias).transpose(1, 2)
        return out

    windows = frames.unfold(1, WINDOW_FRAMES, 1).permute(0, 1, 5, 4, 2, 3)  # (B, N, 5, C, H, W)
    if model.config.grey:
        windows = (windows * windows.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(
            3, keepdim=True
        )
    windows = ((windows - 0.45) / 0.25).flatten(2, 3)
    face = (
        trunk(model.face_trunk.layers, windows.flatten(0, 1))
        .reshape(*windows.shape[:2], -1)
        .transpose(1, 2)
    )
    audio = trunk(model.audio_trunk.layers, model.front_end(waveform)[:, None])[:, :, 0]
    return heads(model.face_heads, face), heads(model.audio_heads, audio)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(ModelConfig.laptop(), id="laptop"),
        pytest.param(ModelConfig.paper(D=16, hidden=32), id="paper", marks=pytest.mark.heavy),
    ],
)
def test_the_fast_form_is_the_plain_form_in_value_and_gradient(config):
    """float64, so that no rounding decides which of two nearly equal numbers a max pool takes."""
    torch.manual_seed(0)
    model = TwoStream(config).double().to(memory_format=torch.channels_last).train()
    shape = (
        (1, 6, config.face_size, config.face_size, 3)
        if config.name == "paper"
        else (3, 7, 48, 48, 3)
    )
    frames = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    waveform = sound(shape[0], shape[1]).double()
    results = []
    for embed in (
        lambda: (model.face(frames), model.audio(waveform)),
        lambda: plain_form(model, frames, waveform),
    ):
        embeddings = [stream[head] for stream in embed() for head in sorted(stream)]
        model.zero_grad()
        sum(
            (e * torch.linspace(-1, 1, e.numel(), dtype=e.dtype).view_as(e).sin()).sum()
            for e in embeddings
        ).backward()
        results.append((embeddings, [p.grad.clone() for p in model.parameters()]))
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-8, atol=1e-10)


def test_matrix_products_stand_for_convolutions_only_where_they_are_the_same():
    x = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for kernel, stride, pad in (
        ((4, 1), 1, 0),
        ((4, 6), 1, 0),
        ((4, 1), (1, 2), 0),
        ((4, 3), 1, 0),
        ((4, 6), 1, 1),
        ((3, 1), 1, 0),
    ):
        conv = MapConv2d(3, 5, kernel, stride, pad, bias=False).double()
        want = torch.nn.functional.conv2d(x, conv.weight, None, stride, pad)
        torch.testing.assert_close(conv(x), want)
        torch.testing.assert_close(conv(x.contiguous(memory_format=torch.channels_last)), want)
    assert set(MapConv2d(3, 5, (4, 1)).state_dict()) == set(
        torch.nn.Conv2d(3, 5, (4, 1)).state_dict()
    )


def test_windows_lie_in_memory_as_the_convolution_reads_them():
    assert face_windows(torch.rand(2, 7, 1, 8, 8)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", FRONT_ENDS)
@pytest.mark.parametrize("name", ["laptop", "paper"])
def test_every_front_end_gives_the_trunks_the_length_they_need(name, kind):
    model = TwoStream(ModelConfig.named(name, front_end=kind)).eval()
    with torch.inference_mode():
        assert model.audio(sound(2, 9))["identity"].shape[:2] == (2, 5)


@pytest.mark.parametrize(("old", "new"), [(True, "track"), (False, "none")])
def test_track_norm_is_still_understood(old, new):
    """Configurations from before `front_end`: in checkpoints, in calls and on the command line."""
    before = {
        key: value for key, value in ModelConfig.laptop().to_dict().items() if key != "front_end"
    }
    for config in (
        ModelConfig.from_dict({**before, "track_norm": old}),
        ModelConfig.laptop(track_norm=old),
        ModelConfig.named("laptop", track_norm=old),
    ):
        assert config == ModelConfig.laptop(front_end=new)
    assert "track_norm" not in ModelConfig.laptop(track_norm=old).to_dict()
    with pytest.raises(BadInput, match="front_end"):
        ModelConfig.laptop(track_norm=old, front_end=new)


def test_an_unknown_front_end_is_refused_with_the_known_ones():
    with pytest.raises(
        BadInput, match="front_end 'loud': must be one of track, level, none, authors"
    ):
        ModelConfig.named("laptop", front_end="loud")
