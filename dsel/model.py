"""Two streams, face and audio: in each a trunk for both tasks, then a content and an identity head.

A trunk runs once over a whole track. It is convolutional in time and gives one vector for each of
the N windows. `ModelConfig.laptop()` is small, and a window sees only its own 0.2 s.
`ModelConfig.paper()` follows the authors' code.

Letters: B tracks, T frames and N = T - 4 windows per track, S audio samples, D numbers per
embedding, C channels, H x W pixels.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsel.audio import FrontEnd, check_front_end
from dsel.timing import SAMPLES_PER_FRAME, WINDOW_FRAMES, WINDOW_SAMPLES
from dsel.utils.errors import BadInput

HEADS = ("content", "identity")
# Devices that get maps laid out row by row: Apple's GPUs. With the channels last in memory, torch's
# BatchNorm has wrong gradients there before 2.14 (pytorch#175189), it is wrong on a part of a
# tensor (#174345), and pooling ends the process (#175190).
ROW_BY_ROW = ("mps",)
GREY = (0.299, 0.587, 0.114)  # luma of red, green, blue (ITU-R BT.601)
CROPS = ("face", "mouth")
MOUTH = (0.375, 0.1875, 0.625)  # top, left and side of the mouth's square, in sides of a face


@dataclass(frozen=True)
class Conv:
    """One layer of a trunk: convolution, BatchNorm, a max pool if `pool` is given, and ReLU.

    A pair is (height, width) in the face trunk, and (mel bands, mel frames) in the audio trunk.

    Args:
        out: number of output channels.
        kernel, stride, pad: of the convolution.
        pool, pool_stride, pool_pad: of the max pool; a pool_stride of None is the size of the pool.
    """

    out: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    pool: tuple[int, int] | None = None
    pool_stride: tuple[int, int] | None = None
    pool_pad: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the networks.

    Args:
        name: 'laptop' or 'paper', whichever it was made from.
        face, audio: the layers of the two trunks. The first face layer sees 5 frames at once.
        face_size: height and width of a face in pixels.
        grey: use the brightness of a picture alone.
        hidden: width of the inner layer of the heads.
        D: numbers per embedding.
        front_end: how the log-mel is normalised, see `dsel.audio.front_end`. Older configurations
            have `track_norm` instead: True stands for 'track', False for 'none'.
        content_crop: what the content head sees: all of the 'face', or the 'mouth' (the square
            MOUTH, enlarged to face_size). The face trunk then runs on both. (Ours.)
    Raises:
        BadInput: an unknown front_end or content_crop.

    >>> config = ModelConfig.laptop(D=64)
    >>> config.D, config.face_size, config.front_end
    (64, 48, 'level')
    >>> ModelConfig.from_dict(config.to_dict()) == config
    True
    """

    name: str
    face: tuple[Conv, ...]
    audio: tuple[Conv, ...]
    face_size: int
    grey: bool
    hidden: int
    D: int
    front_end: str
    content_crop: str = "face"

    def __post_init__(self) -> None:
        check_front_end(self.front_end)
        if self.content_crop not in CROPS:
            raise BadInput(f"content_crop {self.content_crop!r}: must be {' or '.join(CROPS)}")

    @classmethod
    def laptop(cls, **changes: Any) -> ModelConfig:
        """Make the small networks: under 1 M parameters per stream, 48 x 48 grey faces. (Ours.)

        A window sees only its own 20 mel frames, and what `front_end` tells it of its track.
        """
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
        sizes: dict[str, Any] = {"face_size": 48, "grey": True, "hidden": 256, "D": 128}
        return replace(cls("laptop", face, audio, **sizes, front_end="level"), **_modern(changes))

    @classmethod
    def paper(cls, **changes: Any) -> ModelConfig:
        """Make the networks of the paper: VGG-M trunks, 224 x 224 colour faces, D = 1024.

        (Source: authors' code.)
        """
        three = (Conv(384, (3, 3), pad=(1, 1)), Conv(256, (3, 3), pad=(1, 1)))
        face = (
            Conv(96, (7, 7), (2, 2), pool=(3, 3), pool_stride=(2, 2)),  # 224 -> 109 -> 54
            Conv(256, (5, 5), (2, 2), (1, 1), (3, 3), (2, 2), (1, 1)),  # 26 -> 13
            Conv(256, (3, 3), pad=(1, 1)),
            Conv(256, (3, 3), pad=(1, 1)),
            Conv(256, (3, 3), pad=(1, 1), pool=(3, 3), pool_stride=(2, 2)),  # 6
            Conv(512, (6, 6)),  # 1
        )
        audio = (
            # bands 40, time 4T - 2 -> 2T - 2
            Conv(96, (5, 7), pad=(2, 2), pool=(1, 3), pool_stride=(1, 2)),
            Conv(256, (5, 5), (2, 1), (1, 1), pool=(3, 3), pool_stride=(2, 1)),  # 19 -> 9, 2T - 6
            *three,
            Conv(256, (3, 3), pad=(1, 1), pool=(3, 3), pool_stride=(2, 2)),  # 4, T - 4 = N
            Conv(512, (4, 1)),  # 1
        )
        sizes: dict[str, Any] = {"face_size": 224, "grey": False, "hidden": 512, "D": 1024}
        return replace(cls("paper", face, audio, **sizes, front_end="track"), **_modern(changes))

    @classmethod
    def named(cls, name: str, **changes: Any) -> ModelConfig:
        """Make the configuration 'laptop' or 'paper' with some fields changed.

        Raises:
            BadInput: another name, or an unknown field.
        """
        if name not in ("laptop", "paper"):
            raise BadInput(f"config {name!r}: must be laptop or paper")
        names, changes = {field.name for field in fields(cls)}, _modern(changes)
        if set(changes) - names:
            unknown = min(set(changes) - names)
            raise BadInput(
                f"config {name}: unknown key {unknown!r}; known are {', '.join(sorted(names))}"
            )
        return getattr(cls, name)(**changes)

    def to_dict(self) -> dict:
        """Convert to plain tuples, numbers and strings, for checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> ModelConfig:
        """Convert back from `to_dict`. Raises BadInput for an unknown or a missing key."""
        names = {field.name for field in fields(cls)}
        values = {"content_crop": "face", **_modern(values)}  # older configurations lack it
        if set(values) != names:
            wrong = min(set(values) ^ names)
            state = "unknown" if wrong in values else "missing"
            raise BadInput(f"model config: key {wrong!r} is {state}")
        layers = {name: tuple(_conv(layer) for layer in values[name]) for name in ("face", "audio")}
        return cls(**{**values, **layers})


class TwoStream(nn.Module):
    """The face stream and the audio stream.

    `face` and `audio` each return {"content": (B, N, D), "identity": (B, N, D)}.

    >>> model = TwoStream(ModelConfig.laptop()).eval()
    >>> frames = torch.zeros(2, 25, 48, 48, 3, dtype=torch.uint8)  # one second, two tracks
    >>> model.face(frames)["content"].shape
    torch.Size([2, 21, 128])
    >>> model.audio(torch.zeros(2, 16_000))["identity"].shape
    torch.Size([2, 21, 128])
    """

    luma: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        colours = 1 if config.grey else 3
        self.sound_input = FrontEnd(config.front_end)
        self.register_buffer("luma", torch.tensor(GREY), persistent=False)  # (3,)
        self.face_trunk = Trunk(config.face, colours * WINDOW_FRAMES)
        self.audio_trunk = Trunk(config.audio, 1)
        face, audio = config.face[-1].out, config.audio[-1].out  # channels
        self.face_heads = nn.ModuleDict({head: _head(face, config) for head in HEADS})
        self.audio_heads = nn.ModuleDict({head: _head(audio, config) for head in HEADS})

    def face(self, frames: Tensor, heads: tuple[str, ...] = HEADS) -> dict[str, Tensor]:
        """Embed the face windows: (B, T, H, W, 3) -> (B, N, D) per head, N = T - 4.

        Args:
            frames: uint8, or float in [0, 1]. H = W = `face_size`, T >= 5.
            heads: only these.
        Raises:
            ValueError: another shape.
        """
        if self.config.content_crop == "face":
            return _embed(self.face_heads, self.face_features(frames), heads)
        features = self.features_per_head(frames, heads).items()
        return {head: _embed(self.face_heads, x, (head,))[head] for head, x in features}

    def audio(self, waveform: Tensor, heads: tuple[str, ...] = HEADS) -> dict[str, Tensor]:
        """Embed the audio windows: (B, S) -> (B, N, D) per head, N = S // 640 - 4.

        Samples after the last whole frame of 640 are left out, and a warning says how many. Call
        `whole_frames` first to do it yourself.

        Args:
            waveform: float in [-1, 1], 16 kHz, S >= 3200 (one window).
            heads: only these.
        Raises:
            ValueError: another shape.
        """
        return _embed(self.audio_heads, self.audio_features(waveform), heads)

    def face_features(self, frames: Tensor, crops: tuple[str, ...] = ("face",)) -> Tensor:
        """Run the face trunk: (B, T, H, W, 3) -> (B, C, N) per crop, one after the other.

        All crops are one batch, so that BatchNorm learns the statistics with which it is used.

        Args:
            frames: as for `face`.
            crops: of CROPS.
        Raises:
            ValueError: another shape.
        """
        size, shape = self.config.face_size, tuple(frames.shape)
        if len(shape) != 5 or shape[2:] != (size, size, 3) or shape[1] < WINDOW_FRAMES:
            need = f"(B, T >= {WINDOW_FRAMES}, {size}, {size}, 3)"
            raise ValueError(f"frames must be {need}, not {shape}")
        picture = _picture(frames, self.luma if self.config.grey else None)
        if crops != ("face",):
            picture = torch.cat([mouth(picture) if c == "mouth" else picture for c in crops])
        features = self.face_trunk(face_windows(picture))  # (B N, C, 1, 1)
        return features.reshape(len(picture), -1, self.config.face[-1].out).transpose(1, 2)

    def features_per_head(
        self, frames: Tensor, heads: tuple[str, ...] = HEADS
    ) -> dict[str, Tensor]:
        """Run the face trunk on the crop of each head: (B, T, H, W, 3) -> {head: (B, C, N)}.

        Raises ValueError as `face_features`.
        """
        if self.config.content_crop == "face":
            return dict.fromkeys(heads, self.face_features(frames))
        crops = tuple("mouth" if head == "content" else "face" for head in heads)
        return dict(zip(heads, self.face_features(frames, crops).chunk(len(heads)), strict=True))

    def audio_features(self, waveform: Tensor) -> Tensor:
        """Run the audio trunk: (B, S) -> (B, C, N). Raises ValueError for another shape."""
        if waveform.ndim != 2 or waveform.shape[1] < WINDOW_SAMPLES:
            need = f"(B, S) with S >= {WINDOW_SAMPLES}"
            raise ValueError(f"waveform must be {need}, not {tuple(waveform.shape)}")
        if waveform.shape[1] % SAMPLES_PER_FRAME:
            waveform, left_out = whole_frames(waveform)
            rest = f"the last {left_out} samples fill no frame of {SAMPLES_PER_FRAME}"
            warnings.warn(f"{rest} and are left out", stacklevel=3)
        return self.audio_trunk(self.front_end(waveform)[:, None])[:, :, 0]

    def front_end(self, waveform: Tensor) -> Tensor:
        """Compute the input of the audio trunk, without autocast: (B, 640 T) -> (B, 40, 4 T)."""
        with torch.autocast(waveform.device.type, enabled=False):
            return self.sound_input(waveform)


def whole_frames(waveform: Tensor) -> tuple[Tensor, int]:
    """Leave out the samples after the last whole frame: (..., S) -> (..., 640 T). (Ours.)

    Zeros in their place would give the last window a silence that was never recorded.

    Returns:
        The waveform, and how many samples were left out.
    """
    left_out = waveform.shape[-1] % SAMPLES_PER_FRAME
    return waveform[..., : waveform.shape[-1] - left_out], left_out


class Trunk(nn.Module):
    """The layers of one stream: (B, channels, height, width) -> (B, out, height', width')."""

    def __init__(self, layers: tuple[Conv, ...], channels: int) -> None:
        super().__init__()
        parts = []
        for layer in layers:
            shape = layer.kernel, layer.stride, layer.pad
            parts += [MapConv2d(channels, layer.out, *shape, bias=False), nn.BatchNorm2d(layer.out)]
            if layer.pool:  # before the ReLU: the result is the same, with fewer numbers to clip
                parts += [nn.MaxPool2d(layer.pool, layer.pool_stride, layer.pool_pad)]
            parts += [nn.ReLU(inplace=True)]
            channels = layer.out
        self.layers = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        """Run all layers."""
        for layer in self.layers:
            x = layer(laid_out(x))
        return x


class MapConv2d(nn.Conv2d):
    """`nn.Conv2d`, as a matrix product where the kernel covers the whole height of the map. (Ours.)

    (B, C, K, W) with a kernel (K, 1), or (B, C, K, L) with a kernel (K, L), is a product of rows of
    C K (or C K L) numbers with the same weights. The convolutions of the libraries are many times
    slower there, above all in the backward pass. For other kernels nothing changes. The weights and
    their names are always those of `nn.Conv2d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve: (B, C, H, W) -> (B, out, H', W')."""
        B, C, H, W = x.shape
        high, wide = self.kernel_size
        narrow = wide == 1 and self.stride[1] == 1
        if self.padding != (0, 0) or high != H or not (narrow or (wide == W and wide > 1)):
            return super().forward(x)
        # (B W', H wide C), in channels_last order, so that such a map is read as it lies in memory
        rows = x.permute(0, 3, 2, 1) if narrow else x.permute(0, 2, 3, 1)
        rows = rows.reshape(B * W, H * C) if narrow else rows.reshape(B, H * W * C)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # (out, H wide C)
        columns = F.linear(rows, weight, self.bias).reshape(B, W if narrow else 1, -1)
        return columns.transpose(1, 2)[:, :, None]


class WindowConv1d(nn.Conv1d):
    """`nn.Conv1d` of width 1 that also takes one row per window: (R, C) -> (R, out). (Ours.)"""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, N) -> (B, out, N), or multiply rows (R, C) -> (R, out)."""
        return F.linear(x, self.weight[:, :, 0], self.bias) if x.ndim == 2 else super().forward(x)


def mouth(picture: Tensor) -> Tensor:
    """Enlarge the square around the mouth to the whole picture: (B, T, C, H, W), the same shape.

    It is where the crop of `dsel prepare` and the toy have the mouth. (Source: ours.)
    """
    B, T, C, H, W = picture.shape
    top, left, side = (round(part * H) for part in MOUTH)
    square = picture[..., top : top + side, left : left + side].flatten(0, 1)
    large = F.interpolate(square, (H, W), mode="bilinear", align_corners=False)
    return large.reshape(B, T, C, H, W)


def face_windows(picture: Tensor) -> Tensor:
    """Stack the 5 frames of every window as channels: (B, T, C, H, W) -> (B N, 5 C, H, W).

    A 2-d convolution over the result is the paper's 3-d convolution over 5 frames.
    """
    windows = picture.unfold(1, WINDOW_FRAMES, 1)  # (B, N, C, H, W, 5), a view
    windows = windows.permute(0, 1, 3, 4, 5, 2)  # (B, N, H, W, 5, C)
    stacked = windows.flatten(4, 5).flatten(0, 1)  # (B N, H, W, 5 C), the one copy
    return stacked.permute(0, 3, 1, 2)  # laid out as channels_last


def laid_out(x: Tensor) -> Tensor:
    """Return a map (B, C, H, W) in a layout with which its device computes correctly.

    On the devices of ROW_BY_ROW that is row by row, for the map and for its gradient.
    """
    if x.device.type not in ROW_BY_ROW:
        return x
    x = _row_by_row(x)
    if x.requires_grad:
        x.register_hook(_row_by_row)
    return x


def parameter_count(module: nn.Module) -> int:
    """Count the numbers that are learnt.

    >>> model = TwoStream(ModelConfig.laptop())
    >>> parameter_count(model.face_trunk) < 1_000_000
    True
    """
    return sum(parameter.numel() for parameter in module.parameters())


def receptive_field(layers: tuple[Conv, ...], axis: int) -> tuple[int, int]:
    """Compute what one output sees along axis 0 or 1.

    Args:
        layers: of a trunk.
        axis: 0 or 1 of the pairs in `Conv`.
    Returns:
        How many inputs one output sees, and how many inputs lie between neighbouring outputs.

    >>> receptive_field(ModelConfig.laptop().audio, 1)  # mel frames: one window, one video frame
    (20, 4)
    """
    field, jump = 1, 1
    for layer in layers:
        field, jump = field + (layer.kernel[axis] - 1) * jump, jump * layer.stride[axis]
        if layer.pool:
            stride = layer.pool_stride or layer.pool
            field, jump = field + (layer.pool[axis] - 1) * jump, jump * stride[axis]
    return field, jump


def output_size(layers: tuple[Conv, ...], axis: int, size: int) -> int:
    """Compute how many outputs a trunk gives along axis 0 or 1.

    Args:
        layers: of the trunk.
        axis: 0 or 1 of the pairs in `Conv`.
        size: number of inputs along the axis.
    Returns:
        The number of outputs; 0 or less means that the inputs are too few.

    >>> output_size(ModelConfig.laptop().audio, 1, 80)  # mel frames of 20 video frames: 16 windows
    16
    """
    for layer in layers:
        size = (size + 2 * layer.pad[axis] - layer.kernel[axis]) // layer.stride[axis] + 1
        if layer.pool:
            stride = layer.pool_stride or layer.pool
            size = (size + 2 * layer.pool_pad[axis] - layer.pool[axis]) // stride[axis] + 1
    return size


def _head(channels: int, config: ModelConfig) -> nn.Sequential:
    """Make a head, two fully connected layers per window: (B, C, N) -> (B, D, N).

    (Source: notes, authors' code.)
    """
    return nn.Sequential(
        WindowConv1d(channels, config.hidden, 1, bias=False),
        nn.BatchNorm1d(config.hidden),
        nn.ReLU(inplace=True),
        WindowConv1d(config.hidden, config.D, 1),
    )


def _embed(stream: nn.ModuleDict, features: Tensor, heads: tuple[str, ...]) -> dict[str, Tensor]:
    """Run the heads of a stream: (B, C, N) -> (B, N, D) per head.

    They see one row per window, so their layers are matrix products, and BatchNorm is over rows.
    """
    B, C, N = features.shape
    rows = features.transpose(1, 2).reshape(B * N, C)
    return {head: stream[head](rows).reshape(B, N, -1) for head in heads}


def _picture(frames: Tensor, luma: Tensor | None) -> Tensor:
    """Bring frames to about zero mean and unit spread: (B, T, H, W, 3) -> (B, T, C, H, W).

    frames are uint8, or float in [0, 1]. With luma (3,), the weights of the colours, they become
    grey (C = 1).
    """
    x = frames.float() / 255 if frames.dtype == torch.uint8 else frames
    if luma is not None:  # the buffer is float32; float64 needs all digits
        luma = x.new_tensor(GREY) if x.dtype == torch.float64 else luma.to(x.dtype)
        x = (x @ luma)[..., None]  # (B, T, H, W, 1)
    x = (x - 0.45) / 0.25
    device = x.device.type
    if torch.is_autocast_enabled(device):  # here, before each frame is copied into 5 windows
        x = x.to(torch.get_autocast_dtype(device))
    return x.permute(0, 1, 4, 2, 3)


def _modern(values: dict) -> dict:
    """Translate `track_norm` of older configurations to `front_end`.

    Raises:
        BadInput: both are given.
    """
    if "track_norm" not in values:
        return values
    values = dict(values)
    if "front_end" in values:
        raise BadInput("model config: track_norm is an old name of front_end; give front_end only")
    normalised = values.pop("track_norm")
    return {**values, "front_end": "track" if normalised else "none"}


def _row_by_row(x: Tensor) -> Tensor:
    """Return the same numbers with W fastest in memory.

    If H = W = 1, both layouts have the same order, and torch tells them apart by their strides.
    """
    plain = x.is_contiguous() and not x.is_contiguous(memory_format=torch.channels_last)
    return x if plain else x.clone(memory_format=torch.contiguous_format)


def _conv(values: dict[str, Any]) -> Conv:
    """Make a layer from its fields, in which a file may hold lists."""
    pairs: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Conv(**pairs)
