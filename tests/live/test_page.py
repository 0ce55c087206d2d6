"""The live page in headless Chromium: what it shows is what Python computes from the same film."""

import base64
import json
import re
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import dsel
import dsel.corpus
from dsel.apply.serve import server
from dsel.apply.sound import samples_of
from dsel.corpus.clips import write_clip
from dsel.evaluate.sync import calibration, find_offset, sync_offset
from dsel.losses import matching_loss
from dsel.prepare import clips_from_video
from dsel.prepare.run import prepare
from dsel.teaching.own_video import phone_video
from tools import live
from tools.stills import CHROMIUM

av = pytest.importorskip("av", reason="films are made with PyAV")
pytest.importorskip("cv2", reason="pip install 'dsel[faces]'")
pytestmark = [pytest.mark.browser, pytest.mark.heavy]
NETWORK = "laptop"
LIMIT = 25e6  # bytes of everything that is served
# What a crop may differ: the browser turns YCbCr into colours in its own way, so that the detector
# sees another picture, and its box moves by a pixel or some; on a drawn face by more than on a real
# one. Given the same picture, box and crop are the same (test_modules.py).
DRAWN, REAL = 6.0, 4.0  # of 255, mean over a clip
FAR = 0.9  # least mean cosine between the content vectors of both crops


@pytest.fixture(scope="module")
def address():
    """The page, built once for a released network; it needs npm."""
    from dsel.utils.errors import BadInput

    pytest.importorskip("onnxruntime", reason="pip install 'dsel[export]'")
    pytest.importorskip("espeakng_loader", reason="pip install 'dsel[speech]'")
    try:
        folder = live.build(live.ROOT / "build" / "live-test", [NETWORK])
    except BadInput as error:
        pytest.skip(f"the page cannot be built here: {error}")
    running = server(folder)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://localhost:{running.server_address[1]}/"
    running.shutdown()


class Visitor:
    """A visitor's browser on the page, with the requests that left the machine and the errors."""

    def __init__(self, engine, address, *options, width=1280, permissions=()):
        self.chromium = engine.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required", *options],
        )
        self.context = self.chromium.new_context(
            viewport={"width": width, "height": 900}, permissions=list(permissions)
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(240_000)
        self.away, self.errors = [], []
        self.page.on("request", self._request)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)
        self.until("globalThis.talk?.ready")
        assert self.page.evaluate("talk.ready")

    def _request(self, request):
        if not re.match(r"(?:data|blob|about):|http://localhost[:/]", request.url):
            self.away.append(request.url)

    def until(self, expression: str) -> None:
        """Wait until something is true. (playwright's own way needs eval.)"""
        end = time.monotonic() + 240
        while not self.page.evaluate(f"!!({expression})"):
            assert time.monotonic() < end, expression
            time.sleep(0.05)

    def give(self, path) -> str:
        """Choose a file, wait for the answer, and return what the page says."""
        self.page.evaluate("document.getElementById('status').textContent = ''")
        self.page.set_input_files("#file", str(path))
        return self.answer()

    def answer(self) -> str:
        self.until(
            "document.querySelector('#status.bad')"
            " || document.getElementById('status').textContent.startsWith('Done')"
        )
        return self.page.text_content("#status")

    def bytes(self, what: str, kind) -> np.ndarray:
        """Fetch an array of the last take."""
        script = f"""async () => {{ const x = talk.takes.at(-1).{what};
          const r = new FileReader(), done = new Promise(ok => r.onload = ok);
          r.readAsDataURL(new Blob([x])); await done; return r.result.split(',')[1]; }}"""
        return np.frombuffer(base64.b64decode(self.page.evaluate(script)), kind)

    def close(self):
        self.chromium.close()


@pytest.fixture(scope="module")
def visitor(engine, address):
    one = Visitor(engine, address)
    yield one
    assert one.away == []
    assert one.errors == []
    one.close()


@pytest.fixture(scope="module")
def clips():
    """Clips of two women and a man of the corpus mini: {name: (frames, waveform)}"""
    corpus = dsel.corpus.open("mini")
    return {name: corpus.clip(name) for name in ("te0000_00", "te0000_03", "te0001_00")}


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def caught(film, tmp_path, monkeypatch):
    """The crops that `prepare` cuts out, before they are compressed, and their sound."""
    seen = []
    monkeypatch.setattr(
        clips_from_video,
        "write_clip",
        lambda path, *arrays: seen.append(arrays) or write_clip(path, *arrays),
    )
    prepare([film], tmp_path / "prepared", workers=0, progress=False)
    return seen[0]


def check_equal(visitor, frames, waveform, limit=DRAWN):
    """The page's frames, sound, vectors and figures are those of Python on what `prepare` found."""
    T = len(frames)
    mine = visitor.bytes("frames", np.uint8).reshape(-1, 96, 96, 3)
    assert len(mine) == T
    assert np.abs(mine.astype(float) - frames).mean() < limit
    sound = visitor.bytes("sound", "<f4")
    assert len(sound) == 640 * T
    assert np.corrcoef(sound, waveform)[0, 1] > 0.999
    networks, found = dsel.load(NETWORK), {}
    with torch.inference_mode():
        small = torch.from_numpy(visitor.bytes("small", np.uint8).reshape(1, T, 48, 48, 3).copy())
        found = {
            "face": networks.face(small),
            "audio": networks.audio(torch.from_numpy(sound.copy())[None]),
        }
        theirs = networks.face(torch.from_numpy(dsel.corpus.resize(frames, 48))[None])["content"][0]
    for stream in ("face", "audio"):
        for head in ("content", "identity"):
            vectors = visitor.bytes(f"vectors.{NETWORK}.{stream}.{head}", "<f4").reshape(-1, 128)
            np.testing.assert_allclose(vectors, found[stream][head][0].numpy(), atol=1e-4)
    assert (unit(found["face"]["content"][0].numpy()) * unit(theirs.numpy())).sum(1).mean() > FAR
    late, confidence, curve = sync_offset(
        *(found[s]["content"][0].numpy() for s in ("face", "audio")), reach=min(15, (T - 5) // 2)
    )
    sync = visitor.page.evaluate("({...talk.sync, curve: [...talk.sync.curve]})")
    pair = [found[s]["content"][0].numpy() for s in ("face", "audio")]
    told = find_offset([pair], calibration(NETWORK))
    assert (sync["late"], sync["reach"]) == (told.late, told.reach)
    assert sync["right"] == pytest.approx(told.right, abs=0.02)
    if sync["reach"] == 15:
        assert sync["late"] == late
        assert sync["confidence"] == pytest.approx(confidence, abs=1e-3)
        np.testing.assert_allclose(sync["curve"], curve, atol=1e-3)
    w = live.content_scale(NETWORK)
    C = torch.from_numpy(
        unit(found["face"]["content"][0].numpy()) @ unit(found["audio"]["content"][0].numpy()).T
    )
    assert visitor.page.evaluate("talk.loss.loss") == pytest.approx(
        float(matching_loss(w * C)), abs=5e-3
    )


def test_everything_is_small_and_comes_with_its_licences(address):
    folder = live.ROOT / "build" / "live-test"
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < LIMIT
    for package in json.loads(live.LOCK.read_text()):
        assert list((folder / "vendor").glob(f"{package['name']}.*"))


def test_a_film_gives_what_prepare_and_python_give(visitor, clips, tmp_path, monkeypatch):
    film = phone_video(tmp_path / "phone.mp4", [clips["te0000_00"]], fps=30)
    assert visitor.give(film).startswith("Done")
    check_equal(visitor, *caught(film, tmp_path, monkeypatch))


def test_a_real_film_gives_what_prepare_and_python_give(visitor, tmp_path, monkeypatch):
    source = live.REAL / "s3"
    if not source.is_dir():
        pytest.skip("no recordings in ../shared/real")
    film = tmp_path / "real.mp4"
    with av.open(str(next(source.glob("*.mpg")))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    sound = samples_of(next(source.glob("*.mpg")))
    sound = np.pad(sound, (0, 640 * len(frames)))[: 640 * len(frames)]
    write_clip(film, np.stack(frames), sound, crf=12)
    assert visitor.give(film).startswith("Done")
    check_equal(visitor, *caught(film, tmp_path, monkeypatch), limit=REAL)


@pytest.mark.parametrize("late", [-9, -3, 6])
def test_a_planted_offset_is_found(visitor, clips, tmp_path, late):
    film = phone_video(
        tmp_path / "late.mp4", [clips["te0000_00"], clips["te0000_03"]], late=late, fps=25
    )
    assert visitor.give(film).startswith("Done")
    assert abs(visitor.page.evaluate("talk.sync.late") - late) <= 1
    before = visitor.page.evaluate("talk.loss.loss")
    visitor.page.fill("#shift", str(late))
    assert visitor.page.evaluate("talk.loss.loss") < before


def test_a_drawn_person_is_known_and_the_toggles_fail(visitor):
    button = visitor.page.locator("#people button").first
    name = button.text_content().strip()
    visitor.page.evaluate("document.getElementById('status').textContent = ''")
    button.click()
    assert visitor.answer().startswith("Done")
    voices = visitor.page.evaluate("talk.who.voices")
    assert voices[0]["name"] == name
    sure = visitor.page.evaluate("talk.sync.confidence")
    assert abs(visitor.page.evaluate("talk.sync.late")) <= 1
    turns = [("check", "#swapped"), ("uncheck", "#swapped")]
    turns += [("select_option", "#network", name) for name in ("untrained", NETWORK)]
    for k, (how, *what) in enumerate(turns):
        getattr(visitor.page, how)(*what)
        visitor.until(f"(talk.sync.confidence {'===' if k % 2 else '!=='} {sure})")
        if k % 2 == 0:
            assert visitor.page.evaluate("talk.sync.confidence") < 0.5 * sure
            assert visitor.page.evaluate("talk.sync.right") < 0.8


def test_two_speakers_are_told_apart(visitor, clips, tmp_path):
    for name in ("te0000_00", "te0000_03", "te0001_00"):
        assert visitor.give(
            phone_video(tmp_path / f"{name}.mp4", [clips[name]], fps=25)
        ).startswith("Done")
    pairs = visitor.page.evaluate("talk.who.pairs.slice(1).slice(-3)")
    one, two, three = (
        p["score"] for p in pairs[-3:]
    )  # 00-03 of one person, then each with another
    assert one > two
    assert one > three


def silent(path, clips):
    frames, waveform = clips["te0000_00"]
    return phone_video(path, [(frames, np.zeros_like(waveform))])


def faceless(path, clips):
    frames, waveform = clips["te0000_00"]
    return phone_video(path, [(np.full_like(frames, 128), waveform)])


def mute(path, clips):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 96
        for image in clips["te0000_00"][0]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (silent, "silence"),
        (faceless, "No face"),
        (mute, "no sound"),
        (lambda path, clips: (path.write_bytes(b"") and path) or path, "0 bytes"),
        (lambda path, clips: path.write_text("words" * 99) and path, "not a film"),
    ],
)
def test_what_cannot_be_used_says_why(visitor, clips, tmp_path, make, says):
    assert says in visitor.give(make(tmp_path / "bad.mp4", clips))
    assert visitor.page.locator("#status.bad").count() == 1


def test_it_works_offline_once_it_is_open_and_in_korean(visitor, clips, tmp_path):
    visitor.context.set_offline(True)
    try:
        film = phone_video(tmp_path / "offline.mp4", [clips["te0001_00"]], fps=25)
        assert visitor.give(film).startswith("Done")
        visitor.page.select_option("#network", "untrained")
        visitor.page.select_option("#language", "ko")
        visitor.until("/[가-힣]/.test(document.getElementById('step_said').textContent)")
        visitor.page.click("#hear")
    finally:
        visitor.context.set_offline(False)
        visitor.page.select_option("#network", "best")
        visitor.page.select_option("#language", "en")


def fake_devices(folder: Path, film: Path) -> list[str]:
    """Make the files that Chromium plays as camera and microphone."""
    frames, sound = [], []
    with av.open(str(film)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    with av.open(str(film)) as container:
        resampler = av.AudioResampler("s16", "mono", 48_000)
        for frame in container.decode(audio=0):
            sound += [b.to_ndarray().ravel() for b in resampler.resample(frame)]
    with av.open(str(folder / "camera.y4m"), "w", format="yuv4mpegpipe") as container:
        stream = container.add_stream("wrapped_avframe", rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for n, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(folder / "microphone.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.concatenate(sound)[None], "s16", "mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return [
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={folder / 'camera.y4m'}",
        f"--use-file-for-fake-audio-capture={folder / 'microphone.wav'}",
    ]


def test_a_camera_and_a_microphone_are_recorded(engine, address, clips, tmp_path):
    film = phone_video(tmp_path / "film.mp4", [clips["te0000_00"], clips["te0000_03"]], fps=25)
    options = ["--use-fake-ui-for-media-stream", *fake_devices(tmp_path, film)]
    visitor = Visitor(engine, address, *options, permissions=("camera", "microphone"))
    try:
        visitor.page.click("#camera")
        visitor.page.wait_for_selector("#stop:not([hidden])")
        visitor.page.wait_for_timeout(4500)
        visitor.page.click("#stop")
        assert visitor.answer().startswith("Done")
        assert visitor.page.evaluate("talk.takes.at(-1).sound.length / 640") > 50
        assert visitor.page.evaluate("talk.takes.at(-1).face")
        assert visitor.away == []
        assert visitor.errors == []
    finally:
        visitor.close()


def test_a_denied_camera_says_what_to_do(engine, address):
    visitor = Visitor(engine, address, "--deny-permission-prompts")
    try:
        visitor.page.click("#camera")
        visitor.page.wait_for_selector("#status.bad")
        said = visitor.page.text_content("#status")
        assert "Allow both" in said or "No camera" in said
    finally:
        visitor.close()


def test_every_panel_can_be_used_with_the_keyboard_alone(visitor):
    """Tab reaches everything that does something, and shows where it is; keys do it."""
    page = visitor.page
    page.evaluate(
        "document.getElementById('status').textContent = ''; document.body.tabIndex = -1;"
        "document.body.focus()"  # Tab begins at the top, wherever the test before had been
    )
    reached = []

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            here = page.evaluate("document.activeElement.id || document.activeElement.className")
            reached.append(here)
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}: {reached}")

    tab_to("#language")
    tab_to("#swapped")
    page.keyboard.press("Space")
    assert page.is_checked("#swapped")
    page.keyboard.press("Space")
    tab_to("#network")
    tab_to("#camera")
    tab_to("#file")
    tab_to("#people button")  # panel 1: a drawn person
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    assert visitor.answer().startswith("Done")
    assert page.evaluate("talk.takes.at(-1).sound.length") > 0  # panel 2 shows its face
    tab_to("#play")
    page.keyboard.press("Space")
    tab_to("#shift")
    before = page.evaluate("talk.loss.loss")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("talk.shift") == 4
    assert page.evaluate("talk.loss.loss") > before
    tab_to("#moment")
    at = page.evaluate("talk.moment")
    page.keyboard.press("ArrowLeft" if at else "ArrowRight")
    assert page.evaluate("talk.moment") != at
    tab_to("#hear")
    page.keyboard.press("Enter")
    assert page.evaluate("talk.what.length") == 5
    places = ["language", "swapped", "network", "camera", "file", "play", "shift", "moment", "hear"]
    assert [name for name in reached if name in places] == places  # in the order of the page
