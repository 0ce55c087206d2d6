"""Two streams, face and audio; in each a trunk shared by both tasks, then a content head and an identity head.

A trunk runs once over a whole track, fully convolutional in time, and gives one vector for each of its N windows.
`ModelConfig.laptop()` is small and every window sees its own 0.2 s alone; `ModelConfig.paper()` follows the authors' code.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsel.audio import FrontEnd, check_front_end
from dsel.timing import SAMPLES_PER_FRAME, WINDOW_FRAMES, WINDOW_SAMPLES
from dsel.utils.errors import BadInput

HEADS = ("content", "identity")
# Devices that get maps laid out row by row: Apple's GPUs. With the channels last in memory, torch's
# BatchNorm has wrong gradients there before 2.14 (pytorch#175189) and is wrong on a part of a tensor
# (#174345), and pooling ends the process (#175190).
ROW_BY_ROW = ("mps",)
GREY = (0.299, 0.587, 0.114)  # luma of red, green, blue (ITU-R BT.601)


@dataclass(frozen=True)
class Conv:
    """One layer of a trunk: convolution, BatchNorm, ReLU, then a max pool if `pool` is given. Pairs are (height, width)
    in the face trunk and (mel band, mel frame) in the audio trunk."""

    out: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    pool: tuple[int, int] | None = None
    pool_stride: tuple[int, int] | None = None
    pool_pad: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class ModelConfig:
    """Everything that shapes the networks.

    face, audio: the layers of the two trunks; the first face layer sees 5 frames, all others one.
    face_size: pixels of a face, height = width. grey: look at brightness alone.
    hidden: width of the heads' inner layer. D: numbers an embedding.
    front_end: how the log-mel is normalised, 'track', 'level', 'none' or 'authors'; see `dsel.audio.front_end`.
    Configurations from before it say `track_norm`: True stands for 'track', False for 'none'.
    """

    name: str
    face: tuple[Conv, ...]
    audio: tuple[Conv, ...]
    face_size: int
    grey: bool
    hidden: int
    D: int
    front_end: str

    def __post_init__(self):
        check_front_end(self.front_end)

    @classmethod
    def laptop(cls, **changes) -> ModelConfig:
        """Under 1 M parameters a stream, 48 x 48 grey faces; each window sees nothing but its own 20 mel frames, except
        through `front_end`. (Source: ours.)"""
        same, half = (1, 1), (2, 2)
        face = (
            Conv(32, (5, 5), half, (2, 2), pool=(2, 2)),  # 48 -> 24 -> 12
            Conv(64, (3, 3), same, (1, 1), pool=(2, 2)),  # 6
            Conv(128, (3, 3), same, (1, 1)),
            Conv(128, (3, 3), same, (1, 1), pool=(2, 2)),  # 3
            Conv(256, (3, 3)),  # 1
        )
        audio = (
            Conv(32, (5, 4), half, (2, 0)),  # bands 40 -> 20, time 4T -> 2T - 1
            Conv(64, (3, 5), half, (1, 0)),  # 10, T - 2
            Conv(128, (3, 3), (2, 1), (1, 0)),  # 5, T - 4 = N
            Conv(128, (3, 1), (2, 1), (1, 0)),  # 3
            Conv(256, (3, 1)),  # 1
        )
        defaults = _defaults("laptop", face, audio, 48, True, 256, 128) | {"front_end": "level"}
        return cls(**{**defaults, **_modern(changes)})

    @classmethod
    def paper(cls, **changes) -> ModelConfig:
        """VGG-M trunks on 224 x 224 colour faces, D = 1024. (Source: authors' code.)"""
        three = (Conv(384, (3, 3), pad=(1, 1)), Conv(256, (3, 3), pad=(1, 1)))
        face = (
            Conv(96, (7, 7), (2, 2), pool=(3, 3), pool_stride=(2, 2)),  # 224 -> 109 -> 54
            Conv(256, (5, 5), (2, 2), (1, 1), pool=(3, 3), pool_stride=(2, 2), pool_pad=(1, 1)),  # 26 -> 13
            Conv(256, (3, 3), pad=(1, 1)),
            Conv(256, (3, 3), pad=(1, 1)),
            Conv(256, (3, 3), pad=(1, 1), pool=(3, 3), pool_stride=(2, 2)),  # 6
            Conv(512, (6, 6)),  # 1
        )
        audio = (
            Conv(96, (5, 7), pad=(2, 2), pool=(1, 3), pool_stride=(1, 2)),  # bands 40, time 4T - 2 -> 2T - 2
            Conv(256, (5, 5), (2, 1), (1, 1), pool=(3, 3), pool_stride=(2, 1)),  # 19 -> 9, 2T - 6
            *three,
            Conv(256, (3, 3), pad=(1, 1), pool=(3, 3), pool_stride=(2, 2)),  # 4, T - 4 = N
            Conv(512, (4, 1)),  # 1
        )
        return cls(**{**_defaults("paper", face, audio, 224, False, 512, 1024), **_modern(changes)})

    @classmethod
    def named(cls, name: str, **changes) -> ModelConfig:
        """'laptop' or 'paper', with changes. Raises BadInput for another name or an unknown key."""
        if name not in ("laptop", "paper"):
            raise BadInput(f"config {name!r}: must be laptop or paper")
        known, changes = {field.name for field in fields(cls)}, _modern(changes)
        if set(changes) - known:
            raise BadInput(f"config {name}: unknown key {min(set(changes) - known)!r}; known are {', '.join(sorted(known))}")
        return getattr(cls, name)(**changes)

    def to_dict(self) -> dict:
        """Plain lists, numbers and strings, for checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> ModelConfig:
        """The inverse of `to_dict`. Raises BadInput for an unknown or a missing key."""
        known, values = {field.name for field in fields(cls)}, _modern(values)
        if set(values) != known:
            wrong = min(set(values) ^ known)
            raise BadInput(f"model config: key {wrong!r} is {'unknown' if wrong in values else 'missing'}")
        layers = {name: tuple(_conv(layer) for layer in values[name]) for name in ("face", "audio")}
        return cls(**{**values, **layers})


class TwoStream(nn.Module):
    """Face stream and audio stream.

    .face(frames)    uint8 or float in [0, 1], (B, T, H, W, 3) -> {"content": (B, N, D), "identity": (B, N, D)}
    .audio(waveform) float32 (B, 640 T) in [-1, 1]             -> the same; N = T - 4
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        colours = 1 if config.grey else 3
        self.sound_input = FrontEnd(config.front_end)
        self.register_buffer("luma", torch.tensor(GREY), persistent=False)  # (3,)
        self.face_trunk = Trunk(config.face, colours * WINDOW_FRAMES)
        self.audio_trunk = Trunk(config.audio, 1)
        self.face_heads = nn.ModuleDict({head: _head(config.face[-1].out, config) for head in HEADS})
        self.audio_heads = nn.ModuleDict({head: _head(config.audio[-1].out, config) for head in HEADS})

    def face(self, frames: Tensor, heads: tuple[str, ...] = HEADS) -> dict[str, Tensor]:
        """Embeddings of the face windows: (B, T, H, W, 3) -> (B, N, D) a head. Raises ValueError for a wrong shape."""
        return _embed(self.face_heads, self.face_features(frames), heads)

    def audio(self, waveform: Tensor, heads: tuple[str, ...] = HEADS) -> dict[str, Tensor]:
        """Embed the audio windows: (B, S) -> (B, N, D) a head, N = S // 640 - 4.

        Any S of at least 3200 samples, one window, is taken. Samples after the last whole frame of 640 are left out, and a
        warning says how many: `whole_frames` does it beforehand. Raises ValueError for another shape.
        """
        return _embed(self.audio_heads, self.audio_features(waveform), heads)

    def face_features(self, frames: Tensor) -> Tensor:
        """Output of the face trunk: (B, T, H, W, 3) -> (B, C, N)."""
        size = self.config.face_size
        if frames.ndim != 5 or frames.shape[2:] != (size, size, 3) or frames.shape[1] < WINDOW_FRAMES:
            raise ValueError(f"frames must be (B, T >= {WINDOW_FRAMES}, {size}, {size}, 3), not {tuple(frames.shape)}")
        windows = face_windows(_picture(frames, self.luma if self.config.grey else None))  # (B N, 5 colours, H, W)
        return self.face_trunk(windows).reshape(len(frames), -1, self.config.face[-1].out).transpose(1, 2)

    def audio_features(self, waveform: Tensor) -> Tensor:
        """Run the audio trunk: (B, S) -> (B, C, N)."""
        if waveform.ndim != 2 or waveform.shape[1] < WINDOW_SAMPLES:
            need = f"(B, S) with S >= {WINDOW_SAMPLES}"
            raise ValueError(f"waveform must be {need}, not {tuple(waveform.shape)}")
        if waveform.shape[1] % SAMPLES_PER_FRAME:
            waveform, left_out = whole_frames(waveform)
            warnings.warn(f"the last {left_out} samples fill no frame of {SAMPLES_PER_FRAME} and are left out", stacklevel=3)
        return self.audio_trunk(self.front_end(waveform)[:, None])[:, :, 0]

    def front_end(self, waveform: Tensor) -> Tensor:
        """What the audio trunk sees: (B, 640 T) -> (B, 40, 4 T), in float32 even under autocast."""
        with torch.autocast(waveform.device.type, enabled=False):
            return self.sound_input(waveform)


def whole_frames(waveform: Tensor) -> tuple[Tensor, int]:
    """Leave out what follows the last whole frame: (..., S) -> (..., 640 T), and how many samples that were. (Ours.)

    Padding with zeros instead would give the last window a silence that nobody recorded.
    """
    left_out = waveform.shape[-1] % SAMPLES_PER_FRAME
    return waveform[..., : waveform.shape[-1] - left_out], left_out


class Trunk(nn.Module):
    """The layers of a `Conv` list: (B, channels, height, width) -> (B, out, height', width')."""

    def __init__(self, layers: tuple[Conv, ...], channels: int):
        super().__init__()
        parts = []
        for layer in layers:
            parts += [MapConv2d(channels, layer.out, layer.kernel, layer.stride, layer.pad, bias=False)]
            parts += [nn.BatchNorm2d(layer.out)]
            if layer.pool:  # before the ReLU, with which a maximum commutes: fewer numbers to clip
                parts += [nn.MaxPool2d(layer.pool, layer.pool_stride, layer.pool_pad)]
            parts += [nn.ReLU(inplace=True)]
            channels = layer.out
        self.layers = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(laid_out(x))
        return x


class MapConv2d(nn.Conv2d):
    """`nn.Conv2d`, computed as a matrix product where its kernel covers the whole height of the map.

    (B, C, K, W) with a kernel (K, 1), or (B, C, K, L) with a kernel (K, L), is the product of rows of C K (or C K L) numbers
    with the same weights; the libraries' convolutions are many times slower there, backward above all. Otherwise nothing
    changes; weights and their names are those of `nn.Conv2d` always. (Source: ours.)
    """

    def forward(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        high, wide = self.kernel_size
        if self.padding != (0, 0) or high != H or wide not in (1, W) or (wide == 1 and self.stride[1] != 1):
            return super().forward(x)
        # rows in channels_last order, so that such a map is read as it lies in memory: (B W', H wide C)
        rows = x.permute(0, 3, 2, 1).reshape(B * W, H * C) if wide == 1 else x.permute(0, 2, 3, 1).reshape(B, -1)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # (out, H wide C); wide == 1 has no wide axis to order
        return F.linear(rows, weight, self.bias).reshape(B, W if wide == 1 else 1, -1).transpose(1, 2)[:, :, None]


class WindowConv1d(nn.Conv1d):
    """`nn.Conv1d` of width 1 that also takes rows, one a window: (R, C) -> (R, out), a matrix product. (Source: ours.)"""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight[:, :, 0], self.bias) if x.ndim == 2 else super().forward(x)


def face_windows(picture: Tensor) -> Tensor:
    """All windows of 5 frames, their frames stacked as channels: (B, T, C, H, W) -> (B N, 5 C, H, W).

    A 2-d convolution over it is the 3-d convolution over 5 frames of the paper.
    """
    windows = picture.unfold(1, WINDOW_FRAMES, 1).permute(0, 1, 3, 4, 5, 2)  # (B, N, H, W, 5, C), a view
    return windows.flatten(4, 5).flatten(0, 1).permute(0, 3, 1, 2)  # one copy, laid out as channels_last


def laid_out(x: Tensor) -> Tensor:
    """Lay a map (B, C, H, W) and its gradient out as its device computes right: as is, or by rows."""
    if x.device.type not in ROW_BY_ROW:
        return x
    x = _row_by_row(x)
    if x.requires_grad:
        x.register_hook(_row_by_row)
    return x


def parameter_count(module: nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(parameter.numel() for parameter in module.parameters())


def receptive_field(layers: tuple[Conv, ...], axis: int) -> tuple[int, int]:
    """How many input steps one output sees, and how many lie between neighbouring outputs, along axis 0 or 1."""
    field, jump = 1, 1
    for layer in layers:
        field, jump = field + (layer.kernel[axis] - 1) * jump, jump * layer.stride[axis]
        if layer.pool:
            stride = layer.pool_stride or layer.pool
            field, jump = field + (layer.pool[axis] - 1) * jump, jump * stride[axis]
    return field, jump


def output_size(layers: tuple[Conv, ...], axis: int, size: int) -> int:
    """Compute how many outputs a trunk gives for `size` inputs along axis 0 or 1; 0 or less if they are too few."""
    for layer in layers:
        size = (size + 2 * layer.pad[axis] - layer.kernel[axis]) // layer.stride[axis] + 1
        if layer.pool:
            stride = layer.pool_stride or layer.pool
            size = (size + 2 * layer.pool_pad[axis] - layer.pool[axis]) // stride[axis] + 1
    return size


def _head(channels: int, config: ModelConfig) -> nn.Sequential:
    """Two fully connected layers on each window: (B, C, N) -> (B, D, N). (Source: notes, authors' code.)"""
    inner = [WindowConv1d(channels, config.hidden, 1, bias=False), nn.BatchNorm1d(config.hidden), nn.ReLU(inplace=True)]
    return nn.Sequential(*inner, WindowConv1d(config.hidden, config.D, 1))


def _embed(stream: nn.ModuleDict, features: Tensor, heads: tuple[str, ...]) -> dict[str, Tensor]:
    """(B, C, N) -> (B, N, D) a head. The heads see a window a row: matrix products, and BatchNorm over rows."""
    B, C, N = features.shape
    rows = features.transpose(1, 2).reshape(B * N, C)
    return {head: stream[head](rows).reshape(B, N, -1) for head in heads}


def _picture(frames: Tensor, luma: Tensor | None) -> Tensor:
    """(B, T, H, W, 3), uint8 or [0, 1] -> (B, T, C, H, W), about zero mean and unit spread; grey where luma (3,) is given."""
    x = frames.float() / 255 if frames.dtype == torch.uint8 else frames
    if luma is not None:  # the buffer has 24 bits; float64 takes all of them
        x = (x @ (x.new_tensor(GREY) if x.dtype == torch.float64 else luma.to(x.dtype)))[..., None]  # (B, T, H, W, 1)
    x = (x - 0.45) / 0.25
    kind = x.device.type
    if torch.is_autocast_enabled(kind):  # as the first convolution would, but before every frame is copied into 5 windows
        x = x.to(torch.get_autocast_dtype(kind))
    return x.permute(0, 1, 4, 2, 3)


def _defaults(name, face, audio, face_size, grey, hidden, D) -> dict:
    return {
        "name": name,
        "face": face,
        "audio": audio,
        "face_size": face_size,
        "grey": grey,
        "hidden": hidden,
        "D": D,
        "front_end": "track",
    }


def _modern(values: dict) -> dict:
    """Translate `track_norm` of older configurations to `front_end`. Raises BadInput if both are given."""
    if "track_norm" not in values:
        return values
    values = dict(values)
    if "front_end" in values:
        raise BadInput("model config: track_norm is the old name of front_end; give front_end alone")
    normalised = values.pop("track_norm")
    return {**values, "front_end": "track" if normalised else "none"}


def _row_by_row(x: Tensor) -> Tensor:
    """Put W fastest in memory. Where H = W = 1, torch tells one layout from the other by strides."""
    plain = x.is_contiguous() and not x.is_contiguous(memory_format=torch.channels_last)
    return x if plain else x.clone(memory_format=torch.contiguous_format)


def _conv(values) -> Conv:
    pairs = {key: tuple(value) if isinstance(value, list | tuple) else value for key, value in values.items()}
    return Conv(**pairs)
