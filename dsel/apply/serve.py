"""Serve the live page to a browser of this computer, with nothing but the standard library.

Its files are made by `make live` in a clone of the repository. A camera is given only to pages from
localhost or https, so opening the files themselves is not enough. The two headers make the page
"cross-origin isolated": only then may WebAssembly use several cores. (Source: ours.)
"""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from dsel.utils.errors import BadInput

FOLDER = Path("build/live")  # where `make live` writes
NEEDED = ("index.html", "people.json")
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Handler(SimpleHTTPRequestHandler):
    """Answer with files of one folder, their types, and the headers."""

    extensions_map: ClassVar[dict[str, str]] = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".json": "application/json",
        ".wasm": "application/wasm",
        ".mp4": "video/mp4",
        ".gz": "application/octet-stream",  # the page unpacks these itself
    }

    def end_headers(self) -> None:
        """Add the headers to every answer."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """Show no listing of a folder."""
        self.send_error(404)

    def log_message(self, format: str, *values: Any) -> None:
        """Keep the terminal quiet."""


def server(folder: str | Path = FOLDER, port: int = 0) -> ThreadingHTTPServer:
    """Make a server of the live page on localhost; it does not run yet.

    Args:
        folder: written by `make live`.
        port: its number; 0: any that is free.
    Raises:
        BadInput: the page is not there, or the port is taken.
    """
    folder = Path(folder)
    if not all((folder / name).is_file() for name in NEEDED):
        remedy = "run 'make live' in a clone of the repository first, or name its folder"
        raise BadInput(f"{folder}: no live page there; {remedy}")
    handler = partial(Handler, directory=str(folder))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        remedy = "choose another one with --port, or 0 for any"
        raise BadInput(f"port {port}: cannot be used ({error}); {remedy}") from error


def serve(
    folder: str | Path = FOLDER,
    port: int = 0,
    *,
    browser: bool = True,
    tell: Callable[[str], None] = print,
) -> None:
    """Serve the live page until Ctrl-C.

    Args:
        folder, port: as in `server`.
        browser: also open it.
        tell: is given the address.
    Raises:
        BadInput: as `server`.
    """
    with server(folder, port) as running:
        address = f"http://localhost:{running.server_address[1]}/"
        tell(f"{address}  (stop with Ctrl-C)")
        if browser:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            running.serve_forever()
