"""The page's JavaScript computes what Python computes: no network, no build, only Chromium."""

import base64
import json
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from dsel.apply.serve import server
from dsel.corpus.cache import resize
from dsel.evaluate.sync import Curve, find_offset, sync_offset
from dsel.losses import matching_loss
from dsel.prepare import face_tracks as faces
from dsel.prepare.decode import frame_grid
from dsel.utils.errors import BadInput
from tools import live
from tools.live import WEB, cascade, write_cascade
from tools.stills import CHROMIUM

pytestmark = [pytest.mark.browser, pytest.mark.heavy]
NAMES = ("ALL_FORMATS", "AudioSampleSink", "BlobSource", "Input", "VideoSample", "VideoSampleSink")
EMPTY = "".join(f"export const {name} = 0;" for name in NAMES)  # in mediabunny's place


@pytest.fixture(scope="module")
def page(engine, tmp_path_factory):
    pytest.importorskip("cv2", reason="pip install 'dsel[faces]'")
    folder = tmp_path_factory.mktemp("site") / "web"
    shutil.copytree(WEB, folder)
    (folder / "vendor").mkdir()
    (folder / "vendor" / "mediabunny.min.mjs").write_text(EMPTY)
    (folder / "people.json").write_text("{}")
    (folder / "blank.html").write_text("<!doctype html>")
    write_cascade(folder / "cascade.json.gz")
    running = server(folder)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    page = chromium.new_page()
    page.goto(f"http://localhost:{running.server_address[1]}/blank.html")
    yield page
    chromium.close()
    running.shutdown()


def run(page, module: str, expression: str, *values):
    """Evaluate an expression over the module's exports `m` and some values `v`."""

    def sent(value):
        if not isinstance(value, np.ndarray):
            return value
        if value.dtype == np.uint8:
            return {"bytes": base64.b64encode(value).decode()}
        return value.tolist()

    script = f"""async v => {{ const m = await import('/{module}');
      v = v.map(x => x?.bytes ? Uint8Array.from(atob(x.bytes), c => c.charCodeAt(0)) : x);
      return {expression}; }}"""
    return page.evaluate(script, [sent(value) for value in values])


def test_the_page_is_isolated_so_that_it_may_use_several_cores(page):
    assert page.evaluate("crossOriginIsolated")


@pytest.mark.parametrize(("n", "late"), [(46, 4), (46, -7), (21, 0), (12, 2)])
def test_the_offset_is_that_of_python(page, n, late):
    rng = np.random.default_rng(n + late)
    what = rng.normal(size=(n + 20, 16))
    noise = 0.5 * rng.normal(size=(n, 16))
    face, audio = what[10 : 10 + n] + noise, what[10 - late : 10 - late + n]
    expected = sync_offset(face, audio, reach=min(15, (n - 1) // 2))
    rows = "m.matrix(Float32Array.from(v[{}]), 16)"
    expression = f"m.offset(m.similarities({rows.format(0)}, {rows.format(1)}))"
    found = run(page, "measure.js", expression, face.ravel(), audio.ravel())
    assert found["late"] == expected[0]
    assert found["confidence"] == pytest.approx(expected[1], abs=1e-5)
    np.testing.assert_allclose(found["curve"], expected[2], atol=1e-5)


@pytest.mark.parametrize(
    ("n", "late", "noise"),
    [(150, 4, 0.5), (200, 40, 0.5), (120, -30, 3.0), (80, 3, 9.0), (30, 0, 1.0)],
)
def test_an_offset_is_as_likely_as_python_says(page, n, late, noise):
    """Near and far, clear and drowned in noise, long enough to search further and too short."""
    rng, curve = np.random.default_rng(n), Curve(-1.2, 1.7, -0.7)
    what = rng.normal(size=(n + 100, 16))
    face, audio = (
        (x + noise * rng.normal(size=(n, 16))).astype(np.float32)
        for x in (what[50 : 50 + n], what[50 - late : 50 - late + n])
    )
    expected = find_offset([(face, audio)], curve)
    rows = "m.matrix(Float32Array.from(v[{}]), 16)"
    expression = f"m.findOffset(m.similarities({rows.format(0)}, {rows.format(1)}), v[2])"
    found = run(page, "measure.js", expression, face.ravel(), audio.ravel(), curve._asdict())
    assert (found["late"], found["reach"]) == (expected.late, expected.reach)
    assert found["right"] == pytest.approx(expected.right, abs=1e-3)


@pytest.mark.parametrize("shift", [0, 3, -5])
def test_the_content_loss_is_that_of_the_course(page, shift):
    C = np.random.default_rng(shift + 9).uniform(-1, 1, (20, 20)).astype(np.float32)
    count = 20 - abs(shift)
    first = max(0, -shift)
    part = C[first : first + count, first + shift : first + shift + count]
    expression = "m.contentLoss(v[0].map(r => Float32Array.from(r)), 12.5, v[1])"
    found = run(page, "measure.js", expression, C, shift)
    assert found["loss"] == pytest.approx(
        float(matching_loss(12.5 * torch.from_numpy(part))), rel=1e-5
    )
    assert found["chance"] == pytest.approx(np.log(count))


@pytest.mark.parametrize("rate", [10.0, 25.0, 29.97, 50.0])
@pytest.mark.parametrize("jitter", [0.0, 0.004])
def test_pictures_fall_into_the_frames_of_prepare(page, rate, jitter):
    rng = np.random.default_rng(int(rate))
    times = np.sort(
        0.3 + np.arange(int(3 * rate)) / rate + rng.uniform(-jitter, jitter, int(3 * rate))
    )
    origin, cells, count = frame_grid(times)
    found = run(page, "media.js", "m.grid(v[0])", times)
    assert found["origin"] == pytest.approx(origin, abs=1e-9)
    assert found["cells"] == cells.tolist()
    assert found["count"] == count


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_sound_of_any_rate_becomes_16_kHz(page, rate):
    seconds, t = 0.5, np.arange(rate // 2) / rate
    x = np.sin(2 * np.pi * 440 * t) + 0.3 * np.sin(2 * np.pi * 3000 * t)
    found = np.array(
        run(page, "media.js", "[...m.resample(Float32Array.from(v[0]), v[1])]", x, rate)
    )
    t = np.arange(int(seconds * 16_000)) / 16_000
    expected = np.sin(2 * np.pi * 440 * t) + 0.3 * np.sin(2 * np.pi * 3000 * t)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found[200:-200], expected[200:-200], atol=5e-3)


@pytest.mark.parametrize(("n", "size"), [(150, 96), (96, 48), (50, 96), (97, 96)])
def test_a_crop_is_that_of_prepare(page, n, size):
    rng = np.random.default_rng(n)
    small = rng.integers(0, 256, (40, 52, 3), np.uint8)
    picture = np.kron(small, np.ones((5, 5, 1), np.uint8))
    box = [131.3, 88.9, n / faces.MARGIN]
    rgba = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    expression = "[...m.crop({data: v[0], width: 260, height: 200}, v[1], v[2])]"
    found = np.array(run(page, "face.js", expression, rgba.ravel(), box, size))
    expected = faces.crop(picture, np.array(box), size)
    assert np.abs(found.reshape(size, size, 3) - expected.astype(int)).max() <= 1


def test_a_crop_is_made_smaller_as_the_networks_have_it(page):
    square = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    found = np.array(run(page, "face.js", "[...m.resize(v[0], 96, 48)]", square.ravel()))
    expected = resize(square[None], 48)[0]
    assert np.abs(found.reshape(48, 48, 3) - expected.astype(int)).max() <= 1


def pictures():
    """A drawn person in a wall; and, where there are recordings, people."""
    import dsel.corpus

    frames, _ = dsel.corpus.open("mini").clip("te0000_00")
    wall = np.full((288, 360, 3), 96, np.uint8)
    wall[36:252, 72:288] = resize(frames[:1], 216)[0]
    found = [wall]
    from dsel.prepare import decode

    grid = Path(__file__).resolve().parents[3] / "shared" / "real" / "grid"
    for film in sorted(grid.glob("*/*.mpg"))[::30]:
        _, frame = next(decode.pictures(film))
        found.append(decode.upright(frame))
    return found


def test_the_detector_finds_what_opencv_finds(page):
    detect = faces.haar()
    for picture in (changed for seen in pictures() for changed in (seen, seen // 4)):
        h, w = picture.shape[:2]
        rgba = np.dstack([picture, np.full((h, w), 255, np.uint8)])
        expression = """m.detector(await new Response((await fetch('/cascade.json.gz')).body
          .pipeThrough(new DecompressionStream('gzip'))).json())(
          {data: v[0], width: v[1], height: v[2]})"""
        found = run(page, "face.js", expression, rgba.ravel(), w, h)
        expected = faces.squares(detect(picture), 1.0)
        assert len(expected) > 0
        np.testing.assert_allclose(np.sort(found, axis=0), np.sort(expected, axis=0), atol=2)


def test_a_face_is_followed_as_in_python(page):
    rng = np.random.default_rng(1)
    times = np.round(np.arange(0, 4, 0.2) + rng.uniform(0, 0.01, 20), 3)
    boxes = np.stack([200 + 20 * times, 150 + 5 * np.sin(times), 80 + 0 * times], 1) + rng.normal(
        0, 1, (20, 3)
    )
    looks = [
        {"time": float(t), "boxes": [box.tolist()]} for t, box in zip(times, boxes, strict=True)
    ]
    looks[7]["boxes"] = []  # a blink of the detector
    looks[3]["boxes"].append([40.0, 40.0, 30.0])  # and a false alarm
    thumb = np.zeros((12, 16, 3), np.uint8)
    (track,) = faces.link(
        [faces.Look(k["time"], np.array(k["boxes"]).reshape(-1, 3), thumb, 0, 0) for k in looks]
    )
    when = np.arange(-0.2, 4.2, 0.04)
    expression = (
        "(() => { const f = m.follow(v[0]); return {...f, path: v[1].map(t => f.at(t))}; })()"
    )
    found = run(page, "face.js", expression, looks, when)
    assert (found["start"], found["end"]) == pytest.approx((track.start, track.end))
    assert found["side"] == pytest.approx(track.side)
    np.testing.assert_allclose(found["path"], [track.at(t) for t in when], atol=1e-6)


def test_the_cascade_is_read_whole():
    from xml.etree import ElementTree

    cv2 = pytest.importorskip("cv2")
    path = Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"
    found = cascade(ElementTree.parse(path))
    assert found["size"] == 20
    stages = int(re.search(r"<stageNum>(\d+)", path.read_text()).group(1))
    assert len(found["thresholds"]) == len(found["starts"]) - 1 == stages
    assert len(found["places"]) == 2 * found["starts"][-1]  # one pair a tree
    assert len(found["nodes"]) == 3 * len(found["cuts"])
    assert len(found["rectangles"]) == 4 * len(found["weights"])
    assert set(found["nodes"][2::3]) == set(range(len(found["weights"]) // 3))


def test_every_language_says_everything_that_the_page_asks_for():
    files = sorted(WEB.glob("strings.*.json"))
    words = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in files}
    assert len(words) >= 2
    keys = {name: set(w) for name, w in words.items()}
    assert len({frozenset(k) for k in keys.values()}) == 1
    for key in next(iter(keys.values())):
        assert len({frozenset(re.findall(r"\{\w+\}", w[key])) for w in words.values()}) == 1, key
    page, code = (WEB / "index.html").read_text(), (WEB / "main.js").read_text()
    code += (WEB / "media.js").read_text()
    asked = set(re.findall(r'data-t="(\w+)"', page))
    asked |= set(re.findall(r'(?:say|status|Error|tell)\("(\w+)"', code))
    assert asked <= next(iter(keys.values()))


def test_nothing_but_own_files_is_asked_for():
    for path in WEB.iterdir():
        if path.suffix in (".js", ".html", ".css"):
            assert "//" not in re.sub(
                r"^\s*//.*|\s//\s.*", "", path.read_text(encoding="utf-8"), flags=re.M
            ), path


def test_without_npm_the_page_is_refused_in_one_line_or_left_out(monkeypatch, capsys):
    before = live.LOCK.read_text()
    monkeypatch.setattr(live.shutil, "which", lambda name: None)
    assert live.main(["--lock"]) == 2
    assert live.main(["--lock", "--optional"]) == 0
    assert capsys.readouterr().err.count("npm: not found") == 2
    assert live.LOCK.read_text() == before


def test_a_package_with_another_content_is_refused(tmp_path, monkeypatch):
    package = json.loads(live.LOCK.read_text())[0]

    def another(command, **options):
        Path(command[command.index("--pack-destination") + 1], "x.tgz").write_bytes(b"another")
        return live.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(live.shutil, "which", lambda name: "npm")
    monkeypatch.setattr(live.subprocess, "run", another)
    with pytest.raises(BadInput, match="sha512"):
        live.unpack(package, tmp_path)
