"""Networks as ONNX give what torch gives, say what they take, and refuse what would be wrong."""

import json
import sys

import numpy as np
import pytest
import torch

import dsel
from dsel.apply import export as module
from dsel.apply.export import export, write_streams
from dsel.cli import main
from dsel.model import ModelConfig, TwoStream
from dsel.utils.errors import BadInput

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'dsel[export]'")
onnx = pytest.importorskip("onnx", reason="pip install 'dsel[export]'")
pytest.importorskip("onnxscript", reason="pip install 'dsel[export]'")
pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("onnx")
    assert main(["export", "laptop", "--out", str(out)]) == 0
    return out


def run(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(
        zip(
            ["content", "identity"],
            session.run(None, {session.get_inputs()[0].name: x}),
            strict=True,
        )
    )


@pytest.mark.parametrize("frames", [5, 6, 31, 200])
def test_any_number_of_frames_gives_what_torch_gives(folder, frames):
    networks, rng = dsel.load("laptop"), np.random.default_rng(frames)
    sound = rng.normal(scale=0.05, size=(1, 640 * frames)).astype(np.float32)
    faces = rng.integers(0, 256, (1, frames, 48, 48, 3), np.uint8)
    with torch.inference_mode():
        for found, expected in (
            (run(folder / "audio.onnx", sound), networks.audio(torch.from_numpy(sound))),
            (run(folder / "face.onnx", faces), networks.face(torch.from_numpy(faces))),
        ):
            for head in ("content", "identity"):
                assert found[head].shape == (1, frames - 4, 128)
                np.testing.assert_allclose(found[head], expected[head].numpy(), atol=1e-4)


def test_the_card_says_what_the_files_are(folder):
    card = json.loads((folder / "model.json").read_text())
    released = json.loads(
        (module.Path(dsel.__file__).parents[1] / "data/models/laptop.json").read_text()
    )
    assert card["sha256"] == released["sha256"]
    assert card["card"]["evaluation"] == released["evaluation"]
    for stream in ("audio", "face"):
        said, graph = card["onnx"][stream], onnx.load(folder / f"{stream}.onnx")
        assert said["opset"] == next(o.version for o in graph.opset_import if o.domain == "")
        assert said["bytes"] == (folder / f"{stream}.onnx").stat().st_size
        assert said["input"]["name"] == graph.graph.input[0].name
        dims = graph.graph.input[0].type.tensor_type.shape.dim
        assert [bool(d.dim_param) for d in dims] == ["T" in str(x) for x in said["input"]["shape"]]
        assert said["difference from torch"]["real"] <= 1e-4
        assert f"`{stream}.onnx`" in (folder / "README.md").read_text()


@pytest.mark.parametrize("front_end", ["track", "none", "authors"])
def test_every_front_end_can_be_written(tmp_path, front_end, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(module, "STREAMS", {"audio": "samples"})
    write_streams(TwoStream(ModelConfig.laptop(front_end=front_end)), tmp_path)
    assert (tmp_path / "audio.onnx").is_file()


def test_a_content_head_that_sees_the_mouth_can_be_written(tmp_path, monkeypatch):
    torch.manual_seed(0)
    networks = TwoStream(ModelConfig.laptop(content_crop="mouth"))
    monkeypatch.setattr(module, "STREAMS", {"face": "frames"})
    write_streams(networks, tmp_path)  # eval mode from here on
    frames = np.random.default_rng(0).integers(0, 256, (1, 9, 48, 48, 3), np.uint8)
    with torch.inference_mode():
        expected = networks.face(torch.from_numpy(frames))
    for head, found in run(tmp_path / "face.onnx", frames).items():
        np.testing.assert_allclose(found, expected[head].numpy(), atol=1e-4)


def test_a_graph_that_differs_from_torch_is_not_left_behind(tmp_path, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(module, "STREAMS", {"audio": "samples"})
    monkeypatch.setattr(module, "_runner", lambda path: lambda x: [np.zeros((1, 1, 128))] * 2)
    with pytest.raises(BadInput, match="differs from torch"):
        write_streams(TwoStream(ModelConfig.laptop()), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    assert main(["export", "nobody", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "file").write_text("")
    assert main(["export", "laptop", "--out", str(tmp_path / "file")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BadInput, match=r"dsel\[export\]"):
        export("laptop", tmp_path / "out")
