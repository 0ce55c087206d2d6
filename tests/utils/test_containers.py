"""What `av.open` takes differs between versions of PyAV: an old, a new and this one are asked."""

import io

import av
import numpy as np
import pytest
from packaging.version import Version

from dsel.corpus.clips import read_clip, remux_shifted, write_clip
from dsel.prepare.decode import opened
from dsel.utils.containers import HANDLED, WISHES, open_to_read, with_known


def old_open(file, mode=None, *, metadata_encoding="utf-8", metadata_errors="strict"):
    """As PyAV 17 and 18 have it."""
    return file, mode, metadata_errors


def new_open(file, mode=None, *, timeout=None):
    """As PyAV 19 has it."""
    return file, mode


def test_an_old_call_gets_the_wish_and_a_new_one_does_not():
    assert with_known(old_open, "x", **WISHES) == ("x", None, "ignore")
    assert with_known(new_open, "x", **WISHES) == ("x", None)


def test_of_several_wishes_those_that_are_known_are_kept():
    def call(file, *, b=0):
        return file, b

    assert with_known(call, "x", a=1, b=2, c=3) == ("x", 2)


@pytest.mark.parametrize(
    "message",
    ["'int' object is not subscriptable", "f() got an unexpected keyword argument 'other'"],
)
def test_any_other_type_error_is_passed_on(message):
    calls = []

    def broken(file, **options):
        calls.append(options)
        raise TypeError(message)

    with pytest.raises(TypeError, match=r"subscriptable|other"):
        with_known(broken, "x", **WISHES)
    assert calls == [WISHES]


def test_the_installed_av_open_is_asked_too(tmp_path):
    """It is compiled, and inspect.signature finds nothing: its refusal must read as is expected."""
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'no_such_thing'"):
        av.open("x", no_such_thing=1)
    path = write_clip(tmp_path / "x.mp4", *clip())
    for source in (str(path), io.BytesIO(path.read_bytes())):
        with open_to_read(source) as container:
            assert len(container.streams.video) == 1
    with pytest.raises(av.FFmpegError):
        open_to_read(str(tmp_path / "none.mp4"))


def test_the_installed_pyav_is_one_that_was_tried():
    here = Version(av.__version__)
    assert any(
        here.major == Version(oldest).major and here >= Version(oldest) for oldest in HANDLED
    )


def clip() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((5, 32, 32, 3), np.uint8), np.zeros(3200, np.float32)


def test_a_title_in_another_encoding_is_no_reason_to_refuse_a_film(tmp_path):
    """A camera's or an old program's Latin-1: bytes that are no UTF-8."""
    path = write_clip(tmp_path / "x.mp4", *clip())
    with av.open(str(path)) as source, av.open(str(tmp_path / "titled.mp4"), "w") as out:
        out.metadata["title"] = "Cafe au lait"
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    data = (tmp_path / "titled.mp4").read_bytes()
    assert b"Cafe" in data
    (tmp_path / "titled.mp4").write_bytes(data.replace(b"Cafe", b"Caf\xe9"))
    with opened(tmp_path / "titled.mp4") as container:
        assert "au lait" in container.metadata["title"]
    frames, _ = read_clip(tmp_path / "titled.mp4")
    assert len(frames) == 5
    remux_shifted(tmp_path / "titled.mp4", tmp_path / "moved.mp4", 1)
