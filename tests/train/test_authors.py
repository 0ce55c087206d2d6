"""A checkpoint of the authors' code becomes our networks, with the same embeddings.

The oracle is written from the description of their network, with torch.nn.functional alone. It
imports nothing of dsel. Its log-mel is written anew in NumPy, in float64.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dsel.train.authors import import_authors
from dsel.train.released import load_model
from dsel.utils.errors import BadInput

D = 24  # outputs of a head here; theirs has 1024
AUDIO = [  # in, out, kernel, stride, padding, then (pool, its stride)
    (1, 96, (5, 7), (1, 1), (2, 2), ((1, 3), (1, 2))),
    (96, 256, (5, 5), (2, 1), (1, 1), ((3, 3), (2, 1))),
    (256, 384, (3, 3), (1, 1), (1, 1), None),
    (384, 256, (3, 3), (1, 1), (1, 1), None),
    (256, 256, (3, 3), (1, 1), (1, 1), ((3, 3), (2, 2))),
    (256, 512, (4, 1), (1, 1), (0, 0), None),
]
LIP = [  # the first layer sees 5 frames, the others one; pools: (k, stride, padding) in the picture
    (3, 96, (5, 7, 7), (1, 2, 2), (0, 0, 0), (3, 2, 0)),
    (96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1), (3, 2, 1)),
    (256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1), None),
    (256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1), None),
    (256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1), (3, 2, 0)),
    (256, 512, (1, 6, 6), (1, 1, 1), (0, 0, 0), None),
]


def numbers(layers):
    """Return the places of the convolutions in their nn.Sequential.

    Each is followed by BatchNorm, ReLU, and in some cases a pool.
    """
    at = 0
    for layer in layers:
        yield at, layer
        at += 4 if layer[-1] else 3


def random_checkpoint(seed=0):
    """Make a state dict as their code saves it; random weights keep activations of order 1."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g)

    def norm(name, n):
        return {
            f"{name}.weight": 1 + 0.2 * draw(n),
            f"{name}.bias": 0.2 * draw(n),
            f"{name}.running_mean": 0.3 * draw(n),
            f"{name}.running_var": 0.5 + draw(n).abs(),
            f"{name}.num_batches_tracked": torch.tensor(7),
        }

    state = {}
    for trunk, layers in (("netcnnaud", AUDIO), ("netcnnlip", LIP)):
        for k, (inside, out, kernel, *_) in numbers(layers):
            size = inside * int(np.prod(kernel))
            scale = 1 / (60 if trunk == "netcnnlip" and k == 0 else 1)  # pixels go up to 255
            state[f"__S__.{trunk}.{k}.weight"] = (
                scale * draw(out, inside, *kernel) * (2 / size) ** 0.5
            )
            state[f"__S__.{trunk}.{k}.bias"] = 0.5 * draw(out)
            state |= norm(f"__S__.{trunk}.{k + 1}", out)
    for head in ("netfcaud", "netfcspk", "netfclip", "netfcface"):
        state[f"__S__.{head}.0.weight"], state[f"__S__.{head}.0.bias"] = (
            draw(512, 512, 1) / 16,
            draw(512),
        )
        state |= norm(f"__S__.{head}.1", 512)
        state[f"__S__.{head}.3.weight"], state[f"__S__.{head}.3.bias"] = (
            draw(D, 512, 1) / 16,
            draw(D),
        )
    state |= {
        f"__L__.{name}": torch.tensor(x)
        for name, x in (("wI", 13.0), ("bI", -4.0), ("wC", 8.5), ("bC", -6.0))
    }
    return state


def batch_norm(state, name, x):
    mean, var, weight, bias = (
        state[f"{name}.{kind}"].to(x) for kind in ("running_mean", "running_var", "weight", "bias")
    )
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt() * weight.view(
        shape
    ) + bias.view(shape)


def head(state, name, x):
    x = F.conv1d(x, state[f"__S__.{name}.0.weight"].to(x), state[f"__S__.{name}.0.bias"].to(x))
    x = F.relu(batch_norm(state, f"__S__.{name}.1", x))
    return F.conv1d(x, state[f"__S__.{name}.3.weight"].to(x), state[f"__S__.{name}.3.bias"].to(x))


def their_audio(state, mel):
    """(B, 40, M) normalised log-mel -> content and identity, (B, D, N)."""
    x = mel[:, None]
    for k, (_, _, _, stride, padding, pool) in numbers(AUDIO):
        x = F.conv2d(
            x,
            state[f"__S__.netcnnaud.{k}.weight"].to(x),
            state[f"__S__.netcnnaud.{k}.bias"].to(x),
            stride,
            padding,
        )
        x = F.relu(batch_norm(state, f"__S__.netcnnaud.{k + 1}", x))
        x = F.max_pool2d(x, *pool) if pool else x
    x = x.flatten(2)
    return head(state, "netfcaud", x), head(state, "netfcspk", x)


def their_video(state, pixels, temporal_stride=1):
    """(B, 3 BGR, T, 224, 224) in 0..255 -> content and identity, (B, D, N)."""
    x = pixels
    for k, (_, _, _, stride, padding, pool) in numbers(LIP):
        stride = (temporal_stride, *stride[1:]) if k == 0 else stride
        x = F.conv3d(
            x,
            state[f"__S__.netcnnlip.{k}.weight"].to(x),
            state[f"__S__.netcnnlip.{k}.bias"].to(x),
            stride,
            padding,
        )
        x = F.relu(batch_norm(state, f"__S__.netcnnlip.{k + 1}", x))
        if pool:
            size, step, pad = pool
            x = F.max_pool3d(x, (1, size, size), (1, step, step), (0, pad, pad))
    x = x.flatten(2)
    return head(state, "netfclip", x), head(state, "netfcface", x)


def their_mel(sound):
    """Compute power, HTK filters and log, normalise per band, and drop both ends.

    int16-scaled samples (S,) -> (40, frames - 2).
    """
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.pad(sound.astype(np.float64), 256, mode="reflect")
    frames = np.stack([padded[k : k + 512] * window for k in range(0, len(padded) - 511, 160)])
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2  # (frames, 257)
    top = 2595 * np.log10(1 + 8000 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, 42) / 2595) - 1)
    hz = np.linspace(0, 8000, 257)[:, None]
    rise, fall = (
        (hz - corners[:-2]) / np.diff(corners)[:-1],
        (corners[2:] - hz) / np.diff(corners)[1:],
    )
    mel = np.log(power @ np.maximum(0, np.minimum(rise, fall)) + 1e-6).T  # (40, frames)
    mel = (mel - mel.mean(1, keepdims=True)) / np.sqrt(mel.var(1, keepdims=True) + 1e-5)
    return mel[:, 1:-1]


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authors")
    state = random_checkpoint()
    torch.save(state, folder / "theirs.model")
    return state, import_authors(folder / "theirs.model", folder / "run")


def relative(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def test_audio_stream_gives_their_embeddings(imported):
    state, run = imported
    frames = 12
    samples = (
        np.random.default_rng(1).normal(0, 3000, 640 * frames + 240).round().clip(-32768, 32767)
    )
    sound = samples[: 640 * frames]
    beyond = np.pad(
        sound, (0, 240), mode="reflect"
    )  # our batch ends with its last frame; see `authors_mel`
    content, identity = their_audio(state, torch.from_numpy(their_mel(beyond))[None])
    with torch.inference_mode():
        ours = load_model(run, "cpu").audio(torch.from_numpy(sound / 32767).float()[None])
    assert ours["content"].shape == (1, frames - 4, D)
    assert relative(ours["content"].double().transpose(1, 2), content) < 1e-5
    assert relative(ours["identity"].double().transpose(1, 2), identity) < 1e-5


def test_trunk_and_heads_agree_to_the_rounding(imported):
    """The same normalised log-mel into both: no front end in the way."""
    state, run = imported
    model, mel = load_model(run, "cpu").double(), torch.randn(2, 40, 40, dtype=torch.float64)
    content, identity = their_audio(state, mel)
    with torch.inference_mode():
        features = model.audio_trunk(mel[:, None])[:, :, 0]
        ours = [
            model.audio_heads[name](features.transpose(1, 2).flatten(0, 1))
            for name in ("content", "identity")
        ]
    for mine, their in zip(ours, (content, identity), strict=True):
        assert relative(mine.reshape(2, -1, D).transpose(1, 2), their) < 1e-6


def test_face_stream_gives_their_embeddings_and_every_second_one_is_stride_2(imported):
    state, run = imported
    frames = torch.randint(
        0, 256, (1, 7, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
    )
    bgr = frames.flip(-1).permute(0, 4, 1, 2, 3).float()
    content, identity = their_video(state, bgr)
    with torch.inference_mode():
        ours = load_model(run, "cpu").face(frames)
    assert relative(ours["content"].transpose(1, 2), content) < 1e-5
    assert relative(ours["identity"].transpose(1, 2), identity) < 1e-5
    halved, _ = their_video(state, bgr, temporal_stride=2)
    assert relative(ours["content"].transpose(1, 2)[..., ::2], halved) < 1e-5


def test_their_scales_become_ours(imported):
    _, run = imported
    loss = torch.load(run / "checkpoint.pt", weights_only=True)["loss"]
    assert loss["content_similarity.log_w"].exp().item() == pytest.approx(8.5)
    assert loss["identity_similarity.log_w"].exp().item() == pytest.approx(13.0)
    assert loss["content_similarity.b"].item() == -6.0
    assert loss["identity_similarity.b"].item() == -4.0


def without(name):
    return {key: value for key, value in random_checkpoint().items() if key != name}


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (lambda: without("__S__.netcnnaud.4.bias"), "no __S__.netcnnaud.4.bias"),
        (lambda: random_checkpoint() | {"__L__.wC": torch.tensor(-1.0)}, "wC is -1"),
        (
            lambda: random_checkpoint() | {"__S__.netfcspk.0.bias": torch.full((512,), torch.nan)},
            "NaN",
        ),
        (
            lambda: (
                random_checkpoint() | {"__S__.netcnnaud.18.weight": torch.zeros(512, 256, 2, 1)}
            ),
            "SyncNetModelFBank",
        ),
        (
            lambda: random_checkpoint() | {"__S__.netcnnlip.0.weight": torch.zeros(96, 3, 7, 7)},
            "first face layer",
        ),
        (lambda: [1, 2], "no weights by name"),
        (lambda: {"a": "text"}, "no weights by name"),
    ],
)
def test_what_is_no_such_checkpoint_is_refused_in_one_line(tmp_path, state, says):
    torch.save(state(), tmp_path / "x.model")
    with pytest.raises(BadInput, match=says) as refused:
        import_authors(tmp_path / "x.model", tmp_path / "run")
    assert "x.model" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_missing_broken_or_second_file_is_refused(imported, tmp_path):
    with pytest.raises(BadInput, match=r"github\.com/joonson/syncnet_trainer"):
        import_authors(tmp_path / "nothing.model", tmp_path / "run")
    (tmp_path / "cut.model").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(BadInput, match="download it again"):
        import_authors(tmp_path / "cut.model", tmp_path / "run")
    with pytest.raises(BadInput, match="already holds a run"):
        import_authors(tmp_path / "cut.model", imported[1])
