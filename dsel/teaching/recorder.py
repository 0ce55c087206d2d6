"""Record oneself in a notebook, or upload a video of any size (notebook 10).

The browser sends the recording while it is made, and a file, in pieces of 256 KiB, as binary
buffers of custom messages, and waits for an answer after each. (A trait that holds bytes arrives
empty, and a message over 10 MiB, on Colab over 1 MB, is dropped without a word.) Echo cancellation,
noise suppression and gain control are off, since they change the voice. (Source: ours.)
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import anywidget
import traitlets

from dsel.teaching.widgets.base import CONTROLS
from dsel.utils.errors import BadInput

__all__ = ["MOST", "Recorder"]

MOST = 2 << 30  # bytes of a video


class Recorder(anywidget.AnyWidget):
    """Show two buttons, Record and Upload; what arrives whole is a file in `takes`.

    Args:
        folder: where the files are written.

    Where there is no camera, or no permission, a line says so and uploading stays.
    """

    _esm = Path(__file__).with_suffix(".js")
    takes = traitlets.List(traitlets.Unicode(), help="paths of the finished files, in order")

    def __init__(self, folder, **traits) -> None:
        super().__init__(**traits)
        self.folder, self._path, self._file = Path(folder), None, None
        self.on_msg(self._receive)

    def _repr_mimebundle_(self, **options):
        """Say in words where the buttons will be, for a page without a kernel."""
        found = super()._repr_mimebundle_(**options)
        data, metadata = found if isinstance(found, tuple) else (found, {})
        return (data | {"text/plain": CONTROLS} if data else data), metadata

    def _receive(self, _widget, content: dict, buffers: list) -> None:
        """Take one message of the browser, and answer it."""
        try:
            self.send(self._taken(content, buffers))
        except (OSError, BadInput) as error:
            self._close()
            self.send({"say": f"{error}", "stop": True})

    def _taken(self, content: dict, buffers: list) -> dict:
        if "begin" in content:
            return self._begin(str(content["begin"]))
        if self._file is None:
            raise BadInput("nothing was begun; record or upload again")
        if "piece" in content:
            self._file.write(buffers[0])
            if self._file.tell() > MOST:
                raise BadInput(f"{self._path.name}: more than {MOST >> 30} GiB; cut it first")
            return {}
        return self._end(int(content["end"]))

    def _begin(self, name: str) -> dict:
        name = PurePosixPath(name.replace("\\", "/")).name or "video"
        self._close()
        path = self.folder / f"take-{len(self.takes) + 1}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._file = path, path.open("wb")
        return {}

    def _end(self, size: int) -> dict:
        there, path = self._file.tell(), self._path
        self._close()
        if there != size or not size:
            raise BadInput(f"{path.name}: {there} of {size} bytes arrived; send it again")
        self.takes = [*self.takes, str(path)]
        return {"say": f"{path.name}: {size / 1e6:.1f} MB arrived, take {len(self.takes)}"}

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None
