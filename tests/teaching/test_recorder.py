"""Recording and uploading in pieces: what arrives was sent, or it is refused in one line."""

import hashlib
import json
from pathlib import Path

import pytest

pytest.importorskip("anywidget", reason="recording needs the extra 'faces'")

from dsel.prepare.decode import decode_sound, pictures
from dsel.teaching import own_video as yourvideo
from dsel.teaching import recorder as recorders
from tools.stills import CHROMIUM


@pytest.fixture
def widget(tmp_path):
    """A recorder whose answers are kept instead of sent."""
    found = recorders.Recorder(tmp_path)
    found.answers = []
    object.__setattr__(found, "send", found.answers.append)
    return found


def deliver(widget, *messages):
    """Give messages (content, bytes or None) to a recorder; return its answers."""
    before = len(widget.answers)
    for content, data in messages:
        widget._receive(widget, content, [] if data is None else [memoryview(data)])
    return widget.answers[before:]


def test_pieces_become_a_file(widget, tmp_path):
    a, b = bytes(range(256)) * 7, b"tail"
    size = len(a) + len(b)
    answers = deliver(
        widget,
        ({"begin": "talk.mp4"}, None),
        ({"piece": len(a)}, a),
        ({"piece": size}, b),
        ({"end": size}, None),
    )
    assert answers[:3] == [{}, {}, {}]
    assert "take 1" in answers[3]["say"]
    (path,) = yourvideo.takes(widget, tmp_path)
    assert path.read_bytes() == a + b
    assert path.name == "talk.mp4"
    deliver(widget, ({"begin": "talk.mp4"}, None), ({"piece": 1}, b"x"), ({"end": 1}, None))
    assert [path.read_bytes() for path in yourvideo.takes(widget, tmp_path)] == [a + b, b"x"]


def test_a_file_that_lacks_a_piece_is_refused(widget):
    answers = deliver(
        widget, ({"begin": "a.mp4"}, None), ({"piece": 5}, b"12345"), ({"end": 9}, None)
    )
    assert answers[-1]["stop"] is True
    assert "5 of 9 bytes" in answers[-1]["say"]
    assert widget.takes == []
    assert deliver(widget, ({"begin": "a.mp4"}, None), ({"end": 0}, None))[-1]["stop"] is True


def test_a_piece_of_nothing_and_a_file_beyond_the_most_are_refused(widget, monkeypatch):
    assert "again" in deliver(widget, ({"piece": 1}, b"x"))[0]["say"]
    monkeypatch.setattr(recorders, "MOST", 3)
    answers = deliver(widget, ({"begin": "a.mp4"}, None), ({"piece": 4}, b"1234"))
    assert "a.mp4" in answers[-1]["say"]
    assert deliver(widget, ({"end": 4}, None))[0]["stop"] is True


@pytest.mark.parametrize("name", ["../../evil.mp4", "C:\\films\\evil.mp4", "/etc/evil.mp4"])
def test_a_take_stays_in_its_folder(widget, tmp_path, name):
    deliver(widget, ({"begin": name}, None), ({"piece": 1}, b"x"), ({"end": 1}, None))
    (path,) = yourvideo.takes(widget, tmp_path)
    assert path == tmp_path / "take-1" / "evil.mp4"


# --- In a browser ---------------------------------------------------------------------------------

PAGE = """<meta charset="utf-8"><div id="here"></div><script type="module">
import widget from "/recorder.js";
const listeners = [];
const model = {
  on: (_name, act) => listeners.push(act),
  send: async (content, _callbacks, buffers = []) => {
    const body = new Blob([JSON.stringify(content), "\\n", ...buffers]);
    const answer = await (await fetch("/message", { method: "POST", body })).json();
    listeners.forEach((act) => act(answer));
  },
};
widget.render({ model, el: document.getElementById("here") });
</script>"""


@pytest.fixture(scope="module")
def chromium(engine):
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *fake])
    yield browser
    browser.close()


@pytest.fixture
def page(chromium, widget):
    """A page with the widget; its messages go to `widget`, which is the far end."""
    source = Path(recorders.__file__).with_suffix(".js").read_text(encoding="utf-8")
    view, sizes = chromium.new_page(), []

    def answer(route):
        body = route.request.post_data_buffer
        text, _, data = body.partition(b"\n")
        sizes.append(len(body))
        (found,) = deliver(widget, (json.loads(text), data if data else None))
        route.fulfill(json=found)

    view.route("http://localhost/", lambda r: r.fulfill(body=PAGE, content_type="text/html"))
    view.route(
        "http://localhost/recorder.js",
        lambda r: r.fulfill(body=source, content_type="text/javascript"),
    )
    view.route("http://localhost/message", answer)
    view.goto("http://localhost/")
    view.sizes = sizes
    yield view
    view.close()


@pytest.mark.browser
def test_a_recording_of_the_fake_camera_is_a_video_with_sound(page, widget, tmp_path):
    page.click("text=Record")
    page.wait_for_timeout(2500)
    assert page.evaluate(
        "() => { const s = document.querySelector('video').srcObject.getAudioTracks()[0]"
        ".getSettings(); return [s.echoCancellation, s.noiseSuppression, s.autoGainControl]; }"
    ) == [False, False, False]
    page.click("text=Stop")
    page.wait_for_selector("text=take 1", timeout=20_000)
    (path,) = yourvideo.takes(widget, tmp_path)
    assert path.suffix in (".webm", ".mp4")
    # A video that moves. A busy machine keeps fewer of the camera's 20 pictures a second.
    assert sum(1 for _ in pictures(path)) > 5
    sound = decode_sound(path, tmp_path / "sound.f32")
    assert sound.samples > 16_000
    assert len(page.sizes) > 3  # pieces while it is recorded, not one message at the end


@pytest.mark.browser
def test_45_megabytes_arrive_in_small_pieces(page, widget, tmp_path):
    file = tmp_path / "large.mp4"
    file.write_bytes(bytes(range(256)) * (45_000_000 // 256))
    page.set_input_files("input[type=file]", str(file))
    page.wait_for_selector("text=take 1", timeout=60_000)
    (path,) = yourvideo.takes(widget, tmp_path)
    ours, theirs = (hashlib.sha1(x.read_bytes()).hexdigest() for x in (path, file))
    assert ours == theirs
    assert max(page.sizes) < 1_000_000  # what Colab takes


@pytest.mark.browser
def test_without_a_camera_a_line_says_so_and_uploading_stays(page):
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => "
        "{ throw new DOMException('', 'NotFoundError'); }; }"
    )
    page.click("text=Record")
    page.wait_for_selector("text=No camera or microphone here. Upload a file instead.")
    assert page.is_visible("text=Upload a file")
    page.evaluate("() => Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
    page.click("text=Record")
    page.wait_for_selector("text=must come from localhost or over https")
