"""Write trained networks as ONNX, which runs without torch: in a browser, on a phone, in C++.

    dsel export five_terms --out build/five_terms

    audio.onnx    samples (1, 640 T) float32, 16 kHz  ->  content, identity (1, T - 4, D) float32
    face.onnx     frames (1, T, H, H, 3) uint8        ->  content, identity (1, T - 4, D) float32
    model.json    what they are, what they take, their hashes, and how far they are from torch
    README.md     the same in words

The log-mel is inside audio.onnx. T, the number of video frames, is dynamic; it is at least 5. Both
graphs are compared with torch, by onnxruntime, before they are written. (Source: ours.)
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dsel.corpus.cache import resize
from dsel.model import HEADS, TwoStream
from dsel.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, WINDOW_FRAMES, samples_for
from dsel.train.released import load_model, read_source, sha256
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic, check_folder, sweep, write_json, write_text
from dsel.utils.markdown import table
from dsel.utils.readers import read_json

OPSET = 18  # of ONNX; the first with what the log-mel and the windows need is 17
TOLERANCE = 1e-4  # largest difference from torch, where vectors have lengths around 1 to 10
LENGTHS = (
    WINDOW_FRAMES,
    FPS,
    77,
)  # frames of the random inputs: the shortest, the example's, an odd one
STREAMS = {"audio": "samples", "face": "frames"}  # stream -> name of its input


@dataclass(frozen=True)
class Exported:
    """One stream that was written.

    Args:
        file: path of the .onnx file.
        bytes: its size.
        random, real: largest difference from torch on random input and on a clip of the corpus
            mini.
    """

    file: Path
    bytes: int
    random: float
    real: float


class Stream(nn.Module):
    """One stream of the networks, with a tuple in place of a dictionary, as ONNX needs it."""

    def __init__(self, networks: TwoStream, name: str):
        super().__init__()
        self.networks, self.name = networks, name

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Embed: the input of `TwoStream.face` or `.audio` -> (content, identity)."""
        found = getattr(self.networks, self.name)(x)
        return tuple(found[head] for head in HEADS)


def export(run, out) -> list[Exported]:
    """Write both streams of trained networks as ONNX, with their card.

    Args:
        run: a run folder, a file of weights (.pt), or the name of released networks.
        out: the folder to write to.
    Returns:
        What was written, the audio stream first.
    Raises:
        BadInput: there are no such networks, a package is missing, or a graph does not compute what
            torch computes.
    """
    check_folder(out)
    networks, (state, weights) = load_model(run, "cpu"), read_source(run)
    sweep(out)
    written = write_streams(networks, out)
    card = weights.with_suffix(".json")
    content = {
        "networks": Path(run).name,
        "weights": weights.name,
        "sha256": sha256(weights),
        "step": state.get("step"),
        "config": networks.config.to_dict(),
        "onnx": {part.file.stem: describe(part, networks) for part in written},
        "card": read_json(card, remedy="remove it", entries={}) if card.is_file() else None,
    }
    write_json(Path(out) / "model.json", content)
    write_text(Path(out) / "README.md", card_text(content))
    return written


def write_streams(networks: TwoStream, out) -> list[Exported]:
    """Write audio.onnx and face.onnx into a folder, each after it was compared with torch.

    Raises:
        BadInput: as `export`.
    """
    _packages()
    networks, out = networks.eval(), Path(out)
    return [_written(networks, name, out / f"{name}.onnx") for name in STREAMS]


def describe(part: Exported, networks: TwoStream) -> dict:
    """Say what one file takes and gives, for model.json."""
    size, audio = networks.config.face_size, part.file.stem == "audio"
    shape = [1, f"{SAMPLES_PER_FRAME} T"] if audio else [1, "T", size, size, 3]
    kind = "float32 in [-1, 1], 16 kHz, mono" if audio else "uint8, red green blue"
    return {
        "file": part.file.name,
        "sha256": sha256(part.file),
        "bytes": part.bytes,
        "opset": OPSET,
        "input": {"name": STREAMS[part.file.stem], "shape": shape, "type": kind},
        "outputs": {head: [1, f"T - {WINDOW_FRAMES - 1}", networks.config.D] for head in HEADS},
        "dynamic": {"T": f"number of video frames, {FPS} a second, at least {WINDOW_FRAMES}"},
        "difference from torch": {"random": part.random, "real": part.real, "limit": TOLERANCE},
    }


def card_text(content: dict) -> str:
    """Write the card of exported networks in words (Markdown)."""
    head = ["file", "bytes", "input", "outputs", "opset", "from torch: random, real"]
    rows = [_card_row(stream) for stream in content["onnx"].values()]
    lines = [
        f"# Networks `{content['networks']}` as ONNX",
        "",
        "Two streams, made by [dsel](https://arxiv.org/abs/2002.08742) from talking faces without "
        "labels. Each turns 0.2 s into two vectors: *content*, what is said, and *identity*, who "
        "speaks. Vectors are compared by their cosine.",
        "",
        table(head, rows, align="lrllrl"),
        "",
        f"T is the number of video frames, {FPS} a second. It is dynamic and at least "
        f"{WINDOW_FRAMES}; frame f is what is seen during samples {SAMPLES_PER_FRAME} f to "
        f"{SAMPLES_PER_FRAME} (f + 1) of {SAMPLE_RATE} a second. Output t belongs to frames t to "
        f"t + {WINDOW_FRAMES - 1}. A larger difference from torch than {TOLERANCE:.0e} is refused.",
        "",
        "**Use.** Teaching and research. Never decide by them who somebody is.",
        "",
        f"**Source.** `{content['weights']}`, SHA-256 `{content['sha256']}`; everything that its "
        "card says about data and metrics is in `model.json`.",
        "",
        "**Licence.** MIT, as dsel, unless the card names another one for the weights.",
    ]
    return "\n".join(lines) + "\n"


def _card_row(stream: dict) -> list:
    """Describe one ONNX file of `model.json` as a row of the card."""
    given, far = stream["input"], stream["difference from torch"]
    shape = ", ".join(map(str, given["shape"]))
    heads = ", ".join(f"`{head}`" for head in stream["outputs"])
    size = ", ".join(map(str, next(iter(stream["outputs"].values()))))
    return [
        f"`{stream['file']}`",
        stream["bytes"],
        f"`{given['name']}` ({shape}), {given['type']}",
        f"{heads} ({size})",
        stream["opset"],
        f"{far['random']:.1e}, {far['real']:.1e}",
    ]


def _packages() -> None:
    """Raise BadInput if a package of the extra `export` is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BadInput(f"{error.name} is not installed: pip install 'dsel[export]'") from error


def _written(networks: TwoStream, name: str, path: Path) -> Exported:
    """Write one stream, unless its graph computes something else than torch."""
    stream = Stream(networks, name).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part:
        try:
            with _quiet(), torch.inference_mode(False):
                _graph(stream, _random(networks, name, FPS)).save(str(part))
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError) as error:
            why = str(error).strip().splitlines() or [type(error).__name__]
            raise BadInput(
                f"the {name} stream cannot be written as ONNX (opset {OPSET}): {why[0]}"
            ) from error
        run = _runner(part)
        inputs = [_random(networks, name, frames) for frames in LENGTHS]
        random = max(_difference(stream, run, x) for x in inputs)
        real = _difference(stream, run, _real(networks, name))
        if not max(random, real) <= TOLERANCE:
            raise BadInput(
                f"{path}: the exported graph differs from torch by {max(random, real):.1e}, more "
                f"than {TOLERANCE:.0e}; it is not written. Export networks that are trained, and "
                "report this with your versions of torch and onnxruntime"
            )
    return Exported(path, path.stat().st_size, random, real)


def _graph(stream: Stream, example: Tensor):
    """Trace a stream into an ONNX program; T is dynamic."""
    frames = torch.export.Dim("T", min=WINDOW_FRAMES)
    sound = stream.name == "audio"
    stream(example)  # once for real: what is computed once and kept is kept as numbers
    return torch.onnx.export(
        stream,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes={"x": {1: SAMPLES_PER_FRAME * frames if sound else frames}},
        input_names=[STREAMS[stream.name]],
        output_names=list(HEADS),
        external_data=False,
        verbose=False,
    )


@contextmanager
def _quiet():
    """Keep the exporter from writing about what nobody can change here."""
    loud = logging.getLogger("torch.onnx")
    level = loud.level
    loud.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        loud.setLevel(level)


def _runner(path: Path):
    """Load a graph: a function from an input to [content, identity]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda x: session.run(list(HEADS), {name: x.numpy()})


def _difference(stream: Stream, run, x: Tensor) -> float:
    """Compute the largest difference between a graph and torch on one input."""
    with torch.inference_mode():
        expected = stream(x)
    pairs = zip(expected, run(x), strict=True)
    return max(float(np.abs(a.numpy() - b).max()) for a, b in pairs)


def _random(networks: TwoStream, name: str, frames: int) -> Tensor:
    """Draw noise as the input of a stream; the same for the same number of frames."""
    rng, size = np.random.default_rng(frames), networks.config.face_size
    if name == "audio":
        noise = rng.normal(scale=0.1, size=(1, samples_for(frames)))
        return torch.from_numpy(noise.clip(-1, 1).astype(np.float32))
    return torch.from_numpy(rng.integers(0, 256, (1, frames, size, size, 3), np.uint8))


def _real(networks: TwoStream, name: str) -> Tensor:
    """Read the first test clip of the corpus mini as the input of a stream."""
    import dsel.corpus

    corpus = dsel.corpus.open("mini")
    frames, waveform = corpus.clip(corpus.split("test")[0])
    if name == "audio":
        return torch.from_numpy(waveform)[None]
    return torch.from_numpy(resize(frames, networks.config.face_size))[None]
