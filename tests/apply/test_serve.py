"""The live page's server: right types, the headers of isolation, nothing outside its folder."""

import threading
import urllib.error
import urllib.request

import pytest

from dsel.apply.serve import server
from dsel.cli import main
from dsel.utils.errors import BadInput


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "live"
    (folder / "people").mkdir(parents=True)
    for name in ("index.html", "people.json", "main.js", "x.mjs", "x.wasm", "x.onnx.gz", "x.mp4"):
        (folder / name).write_text("{}")
    (folder.parent / "secret").write_text("secret")
    running = server(folder)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://localhost:{running.server_address[1]}"
    running.shutdown()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("", "text/html"),
        ("main.js", "text/javascript"),
        ("x.mjs", "text/javascript"),
        ("x.wasm", "application/wasm"),
        ("people.json", "application/json"),
        ("x.mp4", "video/mp4"),
        ("x.onnx.gz", "application/octet-stream"),
    ],
)
def test_files_have_their_type_and_the_headers(address, name, kind):
    with urllib.request.urlopen(f"{address}/{name}") as answer:
        assert answer.headers["Content-Type"].split(";")[0] == kind
        assert answer.headers["Content-Encoding"] is None
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"


@pytest.mark.parametrize("path", ["/people/", "/../secret", "/%2e%2e/secret", "/nothing"])
def test_nothing_else_is_shown(address, path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address + path)


def test_a_missing_page_and_a_taken_port_are_one_line(tmp_path, address, capsys):
    assert main(["live", str(tmp_path)]) == 2
    assert "make live" in capsys.readouterr().err
    (tmp_path / "index.html").write_text("")
    (tmp_path / "people.json").write_text("{}")
    with pytest.raises(BadInput, match="--port"):
        server(tmp_path, int(address.rsplit(":", 1)[1]))
