"""Build the live page: static files that listen and look in the visitor's browser.

    python tools/live.py               build/live/, what `make live` does
    python tools/live.py --lock        write web/vendor.json, after a version there was changed
    python tools/live.py --measure     write web/measured.json: sync on GRID (needs ../shared/real)

What the page is made of:

    web/*                     the page itself: plain JavaScript modules, a JSON of words a language
    vendor/                   onnxruntime-web and mediabunny from npm, plotly.js from its wheel
    networks/*/*.onnx.gz      networks to choose from and untrained ones, see dsel.apply.export
    people/, people.json      twelve drawn strangers, their vectors, and the two maps
    cascade.json.gz           OpenCV's face detector, from its wheel

Each npm package is held to the version and the hashes of web/vendor.json. Nothing else is fetched,
neither here nor by the page.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

WEB, OUT = ROOT / "web", ROOT / "build" / "live"
LOCK, MEASURED = WEB / "vendor.json", WEB / "measured.json"
NOT_SERVED = (LOCK.name,)
REAL = ROOT.parent / "shared" / "real" / "grid"
PACKED = (".wasm", ".onnx", ".f32", ".i16")  # are compressed; the page unpacks them
PEOPLE, TRACKS, SEED, PIXELS = 12, 2, 2026, 96
SHIFTS = range(-12, 13)  # frames by which the sound of a film is moved, to be found again
NETWORKS = ("real", "four_terms")  # best for real people ... best for drawn people
UNTRAINED, UNTRAINED_SEED = "untrained", 0


def build(out=OUT, networks: Sequence[str] = NETWORKS) -> Path:
    """Write the page into a folder. If only the files of web/ have changed, only these are copied.

    Args:
        out: the folder; it is emptied first.
        networks: released networks of one shape; the first is taken for a visitor's films, the last
            for the drawn people, unless the visitor chooses.
    Returns:
        The folder.
    Raises:
        dsel.utils.errors.BadInput: npm is missing, or a file is not the one that the lock names.
    """
    out = Path(out)
    skip, stamp = shutil.ignore_patterns(*NOT_SERVED), fingerprint(networks)
    facts = out / "people.json"
    if facts.is_file() and json.loads(facts.read_text(encoding="utf-8")).get("stamp") == stamp:
        return Path(shutil.copytree(WEB, out, ignore=skip, dirs_exist_ok=True))
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(WEB, out, ignore=skip)
    vendor(out / "vendor")
    write_cascade(out / "cascade.json.gz")
    corpus = draw_people(out)
    facts = {"stamp": stamp, "networks": [*networks, UNTRAINED]}
    facts["best"] = {"real": networks[0], "drawn": networks[-1]}
    for name, model in models(networks).items():
        export_packed(model, out / "networks" / name)
        learnt, vectors = learn(model, name, corpus)
        packed(out / "people" / f"{name}.f32", vectors.tobytes())
        scale = content_scale(networks[0] if name == UNTRAINED else name)
        facts[name] = {**learnt, "w": scale, "measured": measured(name)}
    facts["size"], facts["D"] = model.config.face_size, model.config.D
    facts["people"], facts["windows"] = about_people(corpus)
    facts["rows"] = places(corpus, model.config.D)
    (out / "people.json").write_text(json.dumps(facts), encoding="utf-8")
    return out


def fingerprint(networks: Sequence[str]) -> str:
    """Compute what changes when the page must be built again, not only copied."""
    from dsel.apply import comparison, export
    from dsel.evaluate import sync
    from dsel.train.released import find_weights

    parts = [Path(__file__), Path(export.__file__), LOCK, comparison.FILE, sync.FILE]
    parts += [find_weights(network) for network in networks]
    parts += [MEASURED] if MEASURED.is_file() else []
    return sha256("".join(networks).encode() + b"".join(part.read_bytes() for part in parts))


def models(networks: Sequence[str]) -> dict:
    """Load the networks, and make untrained ones of the same shape: {name: networks}."""
    import torch

    import dsel
    from dsel.model import TwoStream

    trained = {name: dsel.load(name) for name in networks}
    torch.manual_seed(UNTRAINED_SEED)
    untrained = TwoStream(trained[networks[0]].config).half().float().eval()
    return {**trained, UNTRAINED: untrained}


def content_scale(network: str) -> float:
    """Read the scale w of the content task."""
    from dsel.train.released import load_loss

    return float(load_loss(network).scales().get("w_content", 1.0))


# --- What comes from packages -------------------------------------------------------------------


def vendor(folder: Path) -> None:
    """Put the scripts of other projects into a folder, each with its licence."""
    from tools.views import ASSETS

    folder.mkdir(parents=True)
    for package in json.loads(LOCK.read_text(encoding="utf-8")):
        with tempfile.TemporaryDirectory() as scratch:
            files = unpack(package, Path(scratch))
            for inside, digest in package["files"].items():
                data = files[inside]
                refuse_unless(sha256(data) == digest, f"{package['name']}: {inside}", "sha256")
                words = inside in ("LICENSE", "README.md")
                packed(
                    folder / (f"{package['name']}.{inside}" if words else Path(inside).name), data
                )
    owner, inside, name = ASSETS["plotly"]
    shutil.copy(Path(__import__(owner).__file__).parent / inside, folder / name)


def unpack(package: dict, scratch: Path) -> dict[str, bytes]:
    """Fetch one npm package through npm, and compare it with the lock: {path: content}."""
    from dsel.utils.errors import BadInput

    npm = shutil.which("npm")
    if npm is None:
        raise BadInput("npm: not found; the live page takes two packages from it (Node.js has it)")
    name = f"{package['name']}@{package['version']}"
    command = [npm, "pack", "--silent", "--pack-destination", str(scratch), name]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise BadInput(f"{name}: npm cannot fetch it ({why}); is there a network?")
    archive = next(scratch.glob("*.tgz"))
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    refuse_unless(package["integrity"] in (found, ""), name, "sha512")
    with tarfile.open(archive) as content:
        wanted = [content.getmember(f"package/{inside}") for inside in package["files"]]
        files = {m.name.removeprefix("package/"): content.extractfile(m).read() for m in wanted}
    return files | {"integrity": found.encode()}


def write_lock() -> None:
    """Write the hashes of the packages that the lock names."""
    packages = json.loads(LOCK.read_text(encoding="utf-8"))
    for package in packages:
        package["integrity"] = ""
        with tempfile.TemporaryDirectory() as scratch:
            files = unpack(package, Path(scratch))
        package["integrity"] = files.pop("integrity").decode()
        package["files"] = {inside: sha256(data) for inside, data in files.items()}
    LOCK.write_text(json.dumps(packages, indent=2) + "\n", encoding="utf-8")


def refuse_unless(true: bool, what: str, kind: str) -> None:
    """Raise BadInput about a file that is another one than the lock names."""
    from dsel.utils.errors import BadInput

    if not true:
        raise BadInput(f"{what}: its {kind} is not the one in {LOCK.relative_to(ROOT)}")


def sha256(data: bytes) -> str:
    """Compute the hash of some bytes."""
    return hashlib.sha256(data).hexdigest()


def packed(path: Path, data: bytes) -> None:
    """Write a file; large binary ones are compressed, always to the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in PACKED:
        path, data = path.with_name(f"{path.name}.gz"), gzip.compress(data, 9, mtime=0)
    path.write_bytes(data)


def export_packed(model, folder: Path) -> None:
    """Write both streams as ONNX, compressed."""
    from dsel.apply.export import write_streams

    with tempfile.TemporaryDirectory() as scratch:
        for part in write_streams(model, scratch):
            packed(folder / part.file.name, part.file.read_bytes())


def write_cascade(path: Path) -> None:
    """Write OpenCV's cascade for frontal faces in the form of web/face.js."""
    from xml.etree import ElementTree

    import cv2

    source = Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"
    path.write_bytes(
        gzip.compress(json.dumps(cascade(ElementTree.parse(source))).encode(), 9, mtime=0)
    )


def cascade(tree) -> dict:
    """Read a cascade of OpenCV as the flat lists of web/face.js.

    Returns:
        {"size"; "rectangles" (x, y, width, height) and "weights", three of each per feature;
        "starts": the first tree of each stage, and the number of trees; "thresholds": of stages;
        "places": the first node and the first leaf of each tree; "nodes" (left, right, feature) and
        "cuts", one per node; "leaves"}
    """

    def numbers(text: str) -> list[float]:
        return [float(x) for x in text.split()]

    root = tree.getroot().find("cascade")
    features = [
        [x for rect in feature.find("rects") for x in numbers(rect.text)]
        for feature in root.find("features")
    ]
    features = [feature + [0.0] * (15 - len(feature)) for feature in features]
    flat = {"rectangles": [], "weights": [], "starts": [0], "thresholds": [], "places": []}
    flat |= {"nodes": [], "cuts": [], "leaves": []}
    for feature in features:
        for k in (0, 5, 10):
            flat["rectangles"] += map(int, feature[k : k + 4])
            flat["weights"].append(feature[k + 4])
    for stage in root.find("stages"):
        trees = stage.find("weakClassifiers")
        flat["starts"].append(flat["starts"][-1] + len(trees))
        flat["thresholds"].append(float(stage.find("stageThreshold").text) - 1e-5)  # as OpenCV
        for tree in trees:
            nodes = np.reshape(numbers(tree.find("internalNodes").text), (-1, 4))
            flat["places"] += [len(flat["cuts"]), len(flat["leaves"])]
            flat["nodes"] += nodes[:, :3].astype(int).ravel().tolist()
            flat["cuts"] += nodes[:, 3].tolist()
            flat["leaves"] += numbers(tree.find("leafValues").text)
    return {"size": int(root.find("width").text), **flat}


# --- The people who come with the page ----------------------------------------------------------


def draw_people(out: Path):
    """Draw the strangers; their clips, portraits and sounds go to people/. Returns the corpus."""
    from dsel.toy.gallery import write_png
    from dsel.toy.make import toy

    folder = out.parent / f"{out.name}-people"
    kinds = {"speakers": 1, "tracks": 1, "validation": 1, "test": PEOPLE, "test_tracks": TRACKS}
    corpus = toy(folder, **kinds, seed=SEED, size=PIXELS, progress=False)
    sounds = []
    for track in corpus.split("test"):
        frames, waveform = corpus.clip(track)
        target = out / "people" / f"{track.id}.mp4"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(corpus.path / track.path, target)
        write_png(target.with_suffix(".png"), frames[len(frames) // 2])
        sounds.append(np.round(waveform.clip(-1, 1) * 32767).astype("<i2"))
    packed(out / "people" / "sounds.i16", np.concatenate(sounds).tobytes())
    return corpus


def about_people(corpus) -> tuple[list[dict], dict]:
    """Say who the people are and what is heard in each of their windows."""
    from dsel.evaluate.embeddings import window_labels
    from dsel.evaluate.names import speaker_names
    from dsel.evaluate.points import sound_class
    from dsel.timing import samples_for

    tracks, e = corpus.split("test"), _places(corpus)
    names, known = speaker_names(corpus, tracks), window_labels(corpus, e)
    ends = np.cumsum([0, *(samples_for(t.frames) for t in tracks)]).tolist()
    spans = [list(span) for span in pairwise(ends)]  # within all sounds, one after the other
    people = [
        {
            "id": t.id,
            "name": names[t.speaker].removeprefix("voice "),
            "said": t.factors.get("text", ""),
            "samples": span,
        }
        for t, span in zip(tracks, spans, strict=True)
    ]
    windows = {
        "track": e.track.tolist(),
        "at": e.window.tolist(),
        "phoneme": [p.lstrip("',%=|") for p in known["phoneme"].tolist()],
        "word": known["word"].tolist(),
        "kind": [sound_class(p) for p in known["phoneme"].tolist()],
    }
    return people, windows


def places(corpus, D: int) -> dict:
    """Say where in the vectors of `learn` each kind begins and ends: {kind: {head: (from, to)}}"""
    from dsel.model import HEADS

    windows, clips = D * len(_places(corpus).track), D * len(corpus.split("test"))
    kinds = ["windows", "voices", "faces"]
    ends = np.cumsum([0, *(windows for _ in HEADS), *(clips for _ in 2 * HEADS)]).tolist()
    spans = iter(pairwise(ends))
    return {kind: {head: next(spans) for head in HEADS} for kind in kinds}


def _places(corpus):
    """Number the windows of the test split, without vectors."""
    from dsel.evaluate.embeddings import Embeddings
    from dsel.timing import windows_in

    tracks = list(corpus.split("test"))
    counts = [windows_in(track.frames) for track in tracks]
    window = np.concatenate([np.arange(n) for n in counts])
    return Embeddings(tracks, np.repeat(np.arange(len(tracks)), counts), window, {})


# --- What is learnt from strangers before the page is used ---------------------------------------


def learn(model, name: str, people) -> tuple[dict, np.ndarray]:
    """Embed the people, and learn from other strangers what scores mean.

    Args:
        model: the networks.
        name: what they are called; released ones were measured, see tools/calibrate.py.
        people: the corpus of `draw_people`.
    Returns:
        {head: {"threshold": {"drawn", "real"}, "eer", "who", "what"}, "voices", "offsets"}, see
        `same_person`, `offsets` and `on_map`; and float32 vectors, see `places`: of each window's
        sound (W, D), then the means of each clip's voice and of its face (P, D).
    """
    import dsel.corpus
    from dsel.evaluate.embeddings import embed_split, window_labels
    from dsel.evaluate.points import sound_class
    from dsel.evaluate.verification import det_curve, equal_error_rate, verification_scores
    from dsel.model import HEADS

    mini = dsel.corpus.open("mini")
    e = embed_split(model, mini, "test", progress=False)
    known, trials = window_labels(mini, e), mini.trials("free")
    kinds = np.array([sound_class(p) for p in known["phoneme"]])
    facts: dict = {"voices": same_person(name), "offsets": offsets(name)}
    for head in HEADS:
        scores = verification_scores(e, trials, head)
        curve = det_curve(scores, trials.target)
        drawn = float(curve.threshold[np.argmin(np.abs(curve.miss - curve.false_alarm))])
        audio = e.vectors["audio"][head]
        speakers = np.array([e.tracks[k].speaker for k in range(len(e.tracks))])
        facts[head] = {
            "threshold": {"drawn": drawn, "real": drawn},
            "eer": float(equal_error_rate(scores, trials.target)),
            "who": directions(e.means("audio", head), speakers),
            "what": directions(audio[kinds != ""], kinds[kinds != ""]),
        }
    if facts["voices"]:
        facts["identity"]["threshold"]["real"] = facts["voices"]["threshold"]
    own = embed_split(model, people, "test", progress=False)
    sounds = [own.vectors["audio"][head] for head in HEADS]
    voices, looks = ([own.means(stream, head) for head in HEADS] for stream in ("audio", "face"))
    clips, windows = about_people(people)
    for head, sound, voice in zip(HEADS, sounds, voices, strict=True):
        facts[head]["who"]["drawn"] = on_map(
            facts[head]["who"],
            voice,
            [person["name"] for person in clips],
            [f"{person['name']}: {person['said']}" for person in clips],
        )
        some = [k for k, at in enumerate(windows["at"]) if at % 3 == 0 and windows["kind"][k]]
        facts[head]["what"]["drawn"] = on_map(
            facts[head]["what"],
            sound[some],
            [windows["kind"][k] for k in some],
            [f"/{windows['phoneme'][k]}/ {windows['word'][k]}" for k in some],
        )
    parts = [*sounds, *voices, *looks]
    return facts, np.concatenate([part.ravel() for part in parts]).astype("<f4")


def on_map(plane: dict, vectors: np.ndarray, names: list[str], texts: list[str]) -> list[dict]:
    """Put vectors (P, D) on a map of `directions`, by name: [{"name", "points": (n, 2), "text"}]"""
    from dsel.evaluate.vectors import unit

    points = (unit(vectors) - np.array(plane["middle"])) @ np.array(plane["axes"]).T
    groups: dict = {name: {"name": name, "points": [], "text": []} for name in sorted(set(names))}
    for name, point, text in zip(names, points, texts, strict=True):
        groups[name]["points"].append([round(float(x), 4) for x in point])
        groups[name]["text"].append(text)
    return list(groups.values())


def same_person(name: str) -> dict | None:
    """Read how often "the same person?" is answered wrongly on real voices; None: not measured."""
    from dsel.apply.comparison import calibration

    row = calibration(name, "real")
    return row and {key: row[key] for key in ("threshold", "miss", "false_alarm")}


def offsets(name: str) -> dict:
    """Read what makes a probability of an offset, by kind of person: see dsel.evaluate.sync."""
    from dsel.evaluate.sync import calibration

    return {kind: calibration(name, kind)._asdict() for kind in ("real", "drawn")}


def directions(vectors: np.ndarray, labels: np.ndarray) -> dict:
    """Find the plane in which the means of the labels lie farthest apart: (P, D), (P,) -> a map.

    Returns {"middle": (D,), "axes": (2, D)}; a vector x lands at axes (x / |x| - middle).
    """
    from dsel.evaluate.vectors import unit

    z = unit(vectors)
    means = np.stack([z[labels == label].mean(axis=0) for label in sorted(set(labels))])
    middle = means.mean(axis=0)
    _, _, axes = np.linalg.svd(means - middle, full_matrices=False)
    return {"middle": _short(middle), "axes": [_short(axis) for axis in axes[:2]]}


def _short(values: np.ndarray) -> list[float]:
    return [round(float(x), 6) for x in values]


# --- How good it is on real people ---------------------------------------------------------------


def measured(network: str) -> dict | None:
    """Read what was measured of these networks on real people; None if it was not."""
    found = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.is_file() else {}
    return found.get(network)


def measure(network: str, folder: Path = REAL) -> dict:
    """Find offsets planted into the GRID clips of all speakers but s1, as the page does it.

    Returns {"clips", "trials", "within_one", "chance"}; the shares are of 1.
    """
    import dsel.corpus
    from dsel.evaluate.embeddings import embed_split
    from dsel.evaluate.sync import sync_offset
    from dsel.prepare.run import prepare

    films = sorted(p for p in folder.glob("*/*.mpg") if p.parent.name != "s1")
    with tempfile.TemporaryDirectory() as scratch:
        prepare(films, Path(scratch) / "grid", progress=False)
        corpus, right = dsel.corpus.open(Path(scratch) / "grid"), []
        for split in sorted({track.split for track in corpus.tracks}):
            e = embed_split(dsel.load(network), corpus, split, progress=False)
            for k in range(len(e.tracks)):
                face, audio = e.of(k, "face", "content"), e.of(k, "audio", "content")
                for shift in SHIFTS:
                    f, a = face[max(0, -shift) :], audio[max(0, shift) :]
                    n = min(len(f), len(a))
                    right.append(abs(sync_offset(f[:n], a[:n])[0] + shift) <= 1)
    return {
        "clips": len(corpus.tracks),
        "trials": len(right),
        "within_one": round(float(np.mean(right)), 3),
        "chance": round(3 / 31, 3),
    }


def main(argv=None) -> int:
    """Build the page, or write one of the two files that it is built from."""
    from dsel.utils.errors import BadInput

    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--out", type=Path, default=OUT, help="the folder; default: build/live")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="released networks")
    parser.add_argument("--lock", action="store_true", help="write web/vendor.json")
    parser.add_argument("--measure", nargs="*", metavar="NETWORK", help="write web/measured.json")
    optional = "leave the page out, and say why, where it cannot be built"
    parser.add_argument("--optional", action="store_true", help=optional)
    options = parser.parse_args(argv)
    try:
        if options.lock:
            write_lock()
        elif options.measure is not None:
            found = {name: measure(name) for name in options.measure or NETWORKS}
            MEASURED.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        else:
            out = build(options.out, options.networks)
            size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
            print(f"{out}: {size / 1e6:.1f} MB; look at it with 'dsel live'")
    except BadInput as error:
        print(f"live: {error}", file=sys.stderr)
        return 0 if options.optional else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
