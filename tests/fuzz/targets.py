"""What is broken, and which command meets it.

`templates` makes good inputs once; every case copies one, breaks something in the copy, and names
the command. A target is a function (templates, rng, folder) -> Case.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from films import Film, fixed, shoot
from fuzz import breakage
from fuzz.harness import Case

FILMS = {
    "a.mp4": Film("mp4", "libx264", "aac", seconds=1.2),
    "b.mov": Film("mov", "mpeg4", "pcm_s16le", seconds=1.2),
    "c.mkv": Film("mkv", "libx264", "flac", seconds=1.2),
    "d.webm": Film("webm", "libvpx", "libopus", seconds=1.2, rate=48_000),
    "e.avi": Film("avi", "mpeg4", "mp2", seconds=1.2),
    "f.mpg": Film("mpg", "mpeg1video", "mp2", seconds=1.2),
    "g.ts": Film("ts", "libx264", "aac", seconds=1.2),
    "h.flv": Film("flv", "libx264", "aac", seconds=1.2),
}
TINY = ["--net", "hidden=8", "D=4", "--set", "B=2", "N=4", "extra=2", "steps=2", "device=cpu"]
HEADS = ("identity_audio", "audio_identity")


def templates(folder: Path) -> Path:
    """Make every good input, once."""
    from conftest import make_noise_corpus

    from dsel.cli import main
    from dsel.evaluate.judge import trial_lists

    for name, film in FILMS.items():
        (folder / "films").mkdir(parents=True, exist_ok=True)
        shoot(folder / "films" / name, film)
    corpus = make_noise_corpus(folder / "corpus", speakers=3, frames=24, size=32, test=3)
    tracks = corpus.split("test")
    _write_labels(folder / "corpus" / "labels", tracks)
    pairs = next(iter(trial_lists(corpus, "test", list(tracks)).values()))
    rows = [
        [int(pairs.target[k]), pairs.a[k], pairs.b[k], int(pairs.same_sex[k]), "random"]
        for k in range(len(pairs))
    ]
    for kind in ("free", "hard", "easy"):
        _write_csv(
            folder / "corpus" / "trials" / f"{kind}.csv",
            ["target", "a", "b", "same_sex", "group"],
            rows,
        )
    data, run = str(folder / "corpus"), str(folder / "run")
    _quietly(main, ["train", "--data", data, "--out", run, *TINY, "save_every=1"])
    _quietly(main, ["evaluate", run, "--data", data])
    _quietly(main, ["release", run, "--out", str(folder / "net" / "net.pt")])
    _quietly(main, ["shard", data, "--out", str(folder / "packed")])
    shutil.rmtree(folder / "corpus" / "cache", ignore_errors=True)
    _sounds(folder / "sounds", rows)
    _prepared(folder)
    return folder


def _quietly(main: Callable, argv: list[str]) -> None:
    from contextlib import redirect_stderr, redirect_stdout

    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        if main(argv):
            raise RuntimeError(f"{argv}: {said.getvalue()[-500:]}")


def _write_csv(path: Path, head: list[str], rows: list[list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


def _write_labels(folder: Path, tracks) -> None:
    """Two phonemes and a mouth for every track."""
    by_speaker: dict[str, list] = {}
    for track in tracks:
        by_speaker.setdefault(track.speaker, []).append(track.id)
    rng = np.random.default_rng(0)
    for speaker, ids in by_speaker.items():
        rows = [
            [name, 0.4 * k, 0.4 * (k + 1), "ab"[k], "open", "word"]
            for name in ids
            for k in range(2)
        ]
        _write_csv(
            folder / f"{speaker}.csv", ["track", "start", "end", "phoneme", "viseme", "word"], rows
        )
        np.savez(folder / f"{speaker}.npz", **{i: rng.random((24, 3), np.float32) for i in ids})


def _sounds(folder: Path, trials: list[list]) -> None:
    """A list in VoxCeleb's form, and its sound files."""
    import wave

    names = sorted({name for row in trials for name in row[1:3]})
    for k, name in enumerate(names):
        speaker = name.split("_")[0]
        (folder / "audio" / speaker).mkdir(parents=True, exist_ok=True)
        samples = 8000 * np.sin(np.arange(9600) * (0.05 + 0.01 * k))
        with wave.open(str(folder / "audio" / speaker / f"{name}.wav"), "wb") as file:
            file.setnchannels(1), file.setsampwidth(2), file.setframerate(16_000)
            file.writeframes(samples.astype("<i2").tobytes())
    lines = [f"{row[0]} {row[1][:2]}/{row[1]}.wav {row[2][:2]}/{row[2]}.wav" for row in trials]
    (folder / "list.txt").write_text("\n".join(lines) + "\n")


def _prepared(folder: Path) -> None:
    """A corpus that `prepare` began: one film of two is done."""
    from dsel.prepare import prepare

    for name in ("a.mp4", "c.mkv"):
        source = folder / "two" / name
        source.parent.mkdir(exist_ok=True)
        shutil.copy2(folder / "films" / name, source)
    prepare(folder / "two", folder / "prepared", detector=fixed, size=32, workers=1, progress=False)


def no_face_needed() -> None:
    """Let `prepare` find a face in the middle of every picture."""
    from dsel.prepare import run

    real = run.prepare
    run.prepare = lambda *args, **options: real(*args, **{**options, "detector": fixed})


# --- Videos ---------------------------------------------------------------------------------------


def video(made: Path, rng: random.Random, folder: Path) -> Case:
    """A film is damaged; half of the time a good one lies beside it."""
    name = rng.choice(sorted(FILMS))
    what, data = breakage.media(rng, (made / "films" / name).read_bytes())
    (folder / "in").mkdir()
    (folder / "in" / name).write_bytes(data)
    files = [name]
    if rng.random() < 0.3:
        files.append("good.mp4")
        shutil.copy(made / "films" / "a.mp4", folder / "in" / "good.mp4")
    argv = ["prepare", *(f"in/{file}" for file in files), "--out", "out", "--size", "32"]
    if rng.random() < 0.1:
        argv += ["--audio-stream", rng.choice("0129")]
    return Case(
        f"{name}: {what}",
        [*argv, "--workers", "1"],
        (name, "out"),
        lambda out: _all_accounted(folder, files),
        patch=no_face_needed,
    )


def _all_accounted(folder: Path, files: list[str]) -> str:
    """Every file has clips in tracks.csv, or a line in skipped.csv; every clip has its frames."""
    from dsel.corpus import Corpus

    notes = [json.loads(p.read_text()) for p in (folder / "out" / "parts").glob("*.json")]
    used = {Path(note["path"]).name for note in notes}
    with (folder / "out" / "skipped.csv").open(encoding="utf-8") as file:
        told = {Path(row["file"]).name for row in csv.DictReader(file)}
    lost = set(files) - used - told
    if lost:
        return f"neither used nor reported: {', '.join(sorted(lost))}"
    corpus = Corpus(folder / "out")
    for track in corpus.tracks:
        frames, sound = corpus.clip(track)
        if len(sound) != 640 * len(frames) or not np.isfinite(sound).all():
            return f"{track.id}: {len(frames)} frames and {len(sound)} samples"
    return ""


ABSURD: dict[str, Callable[[Path], object]] = {
    "text": lambda p: p.write_text("this is no video\n" * 50),
    "empty": lambda p: p.write_bytes(b""),
    "zeros": lambda p: p.write_bytes(bytes(100_000)),
    "a folder": lambda p: p.mkdir(),
    "a pipe": lambda p: os.mkfifo(p),
    "a broken link": lambda p: p.symlink_to("nowhere"),
    "a link to itself": lambda p: p.symlink_to(p.name),
    "a link to a device": lambda p: p.symlink_to("/dev/zero"),
    "not readable": lambda p: (p.write_bytes(b"x"), p.chmod(0)),
    "an archive": lambda p: _tar(p),
    "a playlist": lambda p: p.write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"),
    "a concat script": lambda p: p.write_text("ffconcat version 1.0\nfile /etc/passwd\n"),
    "a subtitle": lambda p: p.write_text("1\n00:00:00,000 --> 00:00:05,000\nhello\n"),
}


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("x"))


def absurd_video(made: Path, rng: random.Random, folder: Path) -> Case:
    """A file that is no ordinary film: none at all, or with numbers that nobody records with."""
    (folder / "in").mkdir()
    name = "film.mp4"
    kind = rng.choice([*sorted(ABSURD), *["odd stream"] * 8])
    if kind == "odd stream":
        name, kind = _odd_film(rng, folder / "in")
    else:
        ABSURD[kind](folder / "in" / name)
    files = [name]
    if rng.random() < 0.3:
        files.append("good.mp4")
        shutil.copy(made / "films" / "a.mp4", folder / "in" / "good.mp4")
    whole = rng.random() < 0.3 and kind not in ("a folder", "a broken link", "a link to itself")
    paths = ["in"] if whole and len(files) > 1 else [f"in/{file}" for file in files]
    argv = ["prepare", *paths, "--out", "out", "--size", "32", "--workers", "1"]
    return Case(
        kind,
        argv,
        (name, "out", "in"),
        lambda out: _all_accounted(folder, files if paths != ["in"] else ["good.mp4"]),
        patch=no_face_needed,
    )


def _odd_film(rng: random.Random, folder: Path) -> tuple[str, str]:
    """A film with one odd property; returns its name and the property."""
    import av

    kind = rng.choice(
        ("one frame", "two pixels", "wide", "tall", "8 kHz", "192 kHz", "5.1", "oblong", "slow",
         "fast", "no sound", "silent", "sound alone", "late", "short", "grey", "10 bit", "gif")
    )  # fmt: skip
    suffix = "gif" if kind == "gif" else "mkv"
    name = f"film.{suffix}"
    sizes = {"two pixels": (2, 2), "wide": (2048, 16), "tall": (16, 2048)}
    width, height = sizes.get(kind, (64, 64))
    fps = {"slow": 1, "fast": 240}.get(kind, 25)
    count = {"one frame": 1, "short": 4, "slow": 3, "fast": 240}.get(kind, 30)
    formats = {"grey": "gray", "10 bit": "yuv420p10le", "gif": "rgb8"}
    with av.open(str(folder / name), "w") as out:
        video = voice = None
        if kind != "sound alone":
            codec = "gif" if kind == "gif" else "ffv1" if kind in formats else "mpeg4"
            video = out.add_stream(codec, rate=fps)
            video.width, video.height = width, height
            video.pix_fmt = formats.get(kind, "yuv420p")
            if kind == "oblong":
                video.codec_context.sample_aspect_ratio = Fraction(65535)
        if kind not in ("no sound", "gif"):
            rate = {"8 kHz": 8000, "192 kHz": 192_000}.get(kind, 48_000)
            layout = "5.1" if kind == "5.1" else "mono"
            voice = out.add_stream("pcm_s16le", rate=rate, layout=layout)
        if video is not None:
            grain = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
            for k in range(count):
                frame = av.VideoFrame.from_ndarray(np.roll(grain, k, axis=1), format="rgb24")
                frame.pts = k + (10_000 if kind == "late" else 0)
                out.mux(video.encode(frame))
            out.mux(video.encode())
        if voice is not None:
            samples = np.random.default_rng(1).integers(
                -9000, 9000, (1, rate * count // fps), np.int16
            )
            samples = np.repeat(
                0 * samples if kind == "silent" else samples, 6 if kind == "5.1" else 1
            )
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", layout)
            frame.sample_rate = rate
            out.mux(voice.encode(frame))
            out.mux(voice.encode())
    return name, kind


# --- Tables, labels, lists, clips of a corpus -----------------------------------------------------


def corpus(made: Path, rng: random.Random, folder: Path) -> Case:
    """One file of a corpus is broken; then it is evaluated, embedded, packed or trained on."""
    shutil.copytree(made / "corpus", folder / "data")
    (folder / "data" / "clips").mkdir(exist_ok=True)
    kinds = {
        "corpus.json": breakage.json_text,
        "tracks.csv": breakage.csv_text,
        "labels/p3.csv": breakage.csv_text,
        "labels/p4.npz": breakage.arrays,
        "trials/hard.csv": breakage.csv_text,
        "clips/p3/p3_1.mp4": breakage.media,
    }
    name = rng.choice([*sorted(kinds), "tracks.csv", "tracks.csv", "trials/hard.csv"])
    path = folder / "data" / name
    what = _harm(rng, path, kinds[name])
    return Case(f"{name}: {what}", *_use(rng, folder, "data", made / "run"))


def _harm(rng: random.Random, path: Path, break_: Callable) -> str:
    """Break a file, or what the file is."""
    if rng.random() < 0.06:
        kind = rng.choice(
            ("missing", "a folder", "a pipe", "a broken link", "not readable", "another's")
        )
        data = path.read_bytes()
        path.unlink()
        if kind == "a folder":
            path.mkdir()
        elif kind == "a pipe":
            os.mkfifo(path)
        elif kind == "a broken link":
            path.symlink_to("nowhere")
        elif kind == "not readable":
            path.write_bytes(data)
            path.chmod(0)
        elif kind == "another's":
            path.symlink_to("/dev/zero")
        return kind
    what, data = break_(rng, path.read_bytes())
    path.write_bytes(data)
    return what


def _use(rng: random.Random, folder: Path, data: str, run: Path):
    """A command that reads a corpus: (argv, what a line must name, check)."""
    command = rng.choice(("evaluate", "evaluate", "embed", "shard", "train", "toy", "prepare"))
    if command == "evaluate":
        return (
            ["evaluate", str(run), "--data", data],
            (data,),
            lambda out: _lists_told(folder / data, out),
        )
    if command == "embed":
        argv = ["embed", str(run), "--data", data, "--out", "e.npz"]
        return argv, (data,), lambda out: _all_embedded(folder / data, folder / "e.npz")
    if command == "shard":
        return (
            ["shard", data, "--out", "out"],
            (data,),
            lambda out: _all_packed(folder / data, folder / "out"),
        )
    if command == "train":
        return ["train", "--data", data, "--out", "out", *TINY], (data,), _nothing
    if command == "toy":
        argv = ["toy", "--out", data, "--speakers", "1", "--tracks", "1", "--workers", "1"]
        return argv, (data,), _nothing
    return (
        ["prepare", str(run.parent / "two" / "a.mp4"), "--out", data, "--workers", "1"],
        (data, "a.mp4"),
        _nothing,
    )


def _nothing(out: str) -> str:
    return ""


def _lists_told(data: Path, out: str) -> str:
    """Every trial list of a corpus has a line in the report."""
    told = [kind for kind in ("free", "hard", "easy") if (data / "trials" / f"{kind}.csv").exists()]
    lost = [kind for kind in told if f"{kind} trials" not in out]
    return f"no word about the list {', '.join(lost)}" if lost else ""


def _rows(data: Path) -> list[dict]:
    """The rows of tracks.csv by Python's own reader."""
    text = (data / "tracks.csv").read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    rows = csv.reader(io.StringIO(text.replace("\r", "\n"), newline=""), skipinitialspace=True)
    head = [name.strip() for name in next(rows)]
    return [dict(zip(head, row, strict=False)) for row in rows if any(row)]


def _all_embedded(data: Path, path: Path) -> str:
    """All test tracks of at least 5 frames are in the file, and every number is finite."""
    with np.load(path) as file:
        there = set(file["track"].tolist())
        finite = all(np.isfinite(file[name]).all() for name in file.files if "_" in name)
    wanted = {row["id"] for row in _rows(data) if row["split"] == "test"}
    short = {
        row["id"] for row in _rows(data) if float(row["frames"]) - abs(float(row["offset"])) < 5
    }
    if wanted - there - short:
        return f"not embedded: {', '.join(sorted(wanted - there))[:200]}"
    return "" if finite else "numbers that are not finite"


def _all_packed(data: Path, out: Path) -> str:
    with np.load(out / "shards" / "index.npz") as index:
        count = len(index["shard"])
    wanted = len(_rows(data))
    return "" if count == wanted else f"{count} of {wanted} tracks packed"


def shards(made: Path, rng: random.Random, folder: Path) -> Case:
    """A file of a packed corpus is broken."""
    shutil.copytree(made / "packed", folder / "data")
    kinds = {
        "shards/index.npz": breakage.arrays,
        "shards/test-000000.tar": breakage.damage,
        "tracks.csv": breakage.csv_text,
        "corpus.json": breakage.json_text,
    }
    name = rng.choice([*sorted(kinds), "shards/index.npz", "shards/test-000000.tar"])
    what = _harm(rng, folder / "data" / name, kinds[name])
    argv, about, check = _use(rng, folder, "data", made / "run")
    if argv[0] == "shard":  # they are packed already
        argv = ["evaluate", str(made / "run"), "--data", "data"]
        check = lambda out: _lists_told(folder / "data", out)  # noqa: E731
    return Case(f"{name}: {what}", argv, about, check)


# --- Weights and runs -----------------------------------------------------------------------------


def weights(made: Path, rng: random.Random, folder: Path) -> Case:
    """A checkpoint, a released network, its card, or a note of a run is broken."""
    shutil.copytree(made / "run", folder / "run")
    shutil.copytree(made / "net", folder / "net")
    data = str(made / "corpus")
    kind = rng.choice(("file", "file", "state", "card", "run", "run", "notes", "authors"))
    embed = ["embed", "net/net.pt", "--data", data, "--out", "e.npz"]
    check = lambda out: _all_embedded(made / "corpus", folder / "e.npz")  # noqa: E731
    if kind == "file":
        (folder / "net" / "net.json").unlink()
        what = _harm(rng, folder / "net" / "net.pt", breakage.damage)
        return Case(f"net.pt: {what}", embed, ("net.pt",), check)
    if kind == "state":
        (folder / "net" / "net.json").unlink()
        return Case(_other_state(rng, folder / "net" / "net.pt"), embed, ("net.pt",), check)
    if kind == "card":
        what = _harm(rng, folder / "net" / "net.json", breakage.json_text)
        return Case(f"net.json: {what}", embed, ("net.pt", "net.json"), check)
    if kind == "run":
        for path in (folder / "run").glob("checkpoint-*"):
            path.unlink()
        what = _harm(rng, folder / "run" / "checkpoint.pt", breakage.damage)
        argv = rng.choice((["embed", "run", "--data", data, "--out", "e.npz"], _resume(data)))
        return Case(
            f"checkpoint.pt: {what}",
            argv,
            ("checkpoint.pt",),
            check if argv[0] == "embed" else None,
        )
    if kind == "notes":
        name = rng.choice(("config.json", "metrics.csv", "evaluation.json"))
        break_ = breakage.csv_text if name.endswith("csv") else breakage.json_text
        what = _harm(rng, folder / "run" / name, break_)
        argv = rng.choice((_resume(data), ["release", "run", "--out", "new.pt"]))
        return Case(f"{name}: {what}, {argv[0]}", argv, ("run",))
    what = _harm(rng, folder / "run" / "checkpoint.pt", breakage.damage)
    return Case(
        f"import, {what}", ["import", "run/checkpoint.pt", "--out", "new"], ("checkpoint.pt",)
    )


def _resume(data: str) -> list[str]:
    return ["train", "--data", data, "--out", "run", "--resume", *TINY, "save_every=1"]


def _other_state(rng: random.Random, path: Path) -> str:
    """Write a well-formed file of weights with one thing that does not fit."""
    import torch

    state = torch.load(path, weights_only=True)
    model = state["model"]
    name = rng.choice(sorted(model))
    kind = rng.choice(
        (
            "shape",
            "nan",
            "inf",
            "type",
            "missing",
            "more",
            "text",
            "config",
            "config",
            "entry",
            "huge",
        )
    )
    if kind == "shape":
        model[name] = model[name][None]
    elif kind in ("nan", "inf") and model[name].is_floating_point():
        model[name] = torch.full_like(model[name], float(kind))
    elif kind == "type":
        model[name] = model[name].to(rng.choice((torch.int32, torch.complex64, torch.bool)))
    elif kind == "missing":
        del model[name]
    elif kind == "more":
        model["more.weight"] = torch.zeros(3)
    elif kind == "text":
        model[name] = "x"
    elif kind == "huge":
        model[name] = torch.zeros(1).expand(1 << 33)
    elif kind == "entry":
        state[rng.choice(sorted(state))] = rng.choice(breakage.VALUES)
    else:
        part = state["config"][rng.choice(("model", "train"))]
        name = rng.choice(sorted(part))
        part[name] = rng.choice((*breakage.VALUES, 10**9, -(10**9), [[1, 2, 3]] * 50))
    torch.save(state, path)
    return f"state, {kind} {name}"


# --- Lists of pairs, and sounds -------------------------------------------------------------------


def verify(made: Path, rng: random.Random, folder: Path) -> Case:
    """A trial list, or a sound that it names, is broken."""
    shutil.copytree(made / "sounds", folder / "sounds")
    name = rng.choice(("list.txt", "list.txt", "audio/p3/p3_0.wav", "cache.npz"))
    path = folder / "sounds" / name
    argv = [
        "verify",
        "sounds/list.txt",
        "--audio",
        "sounds/audio",
        "--model",
        str(made / "run"),
        "--crops",
        "1",
    ]
    if name == "list.txt":
        what = _other_list(rng, path)
    elif name == "cache.npz":
        argv += ["--cache", "sounds/cache.npz"]
        _quiet_verify(argv)
        what = _harm(rng, path, breakage.arrays)
    else:
        what = _harm(rng, path, breakage.media)
    return Case(
        f"{name}: {what}", argv, ("list.txt", name), lambda out: "" if "EER" in out else "no EER"
    )


def _quiet_verify(argv: list[str]) -> None:
    from dsel.cli import main

    _quietly(main, argv)


def _other_list(rng: random.Random, path: Path) -> str:
    """Write a list in another form, or break it."""
    lines = [line.split() for line in path.read_text().splitlines()]
    forms: dict[str, Callable[[], list[str]]] = {
        "Kaldi": lambda: [f"{a} {b} {'target' if t == '1' else 'nontarget'}" for t, a, b in lines],
        "csv": lambda: ["target,a,b", *(",".join(line) for line in lines)],
        "numbers of pandas": lambda: ["target,a,b", *(f"{t}.0,{a},{b}" for t, a, b in lines)],
        "words of pandas": lambda: ["target,a,b", *(f"{t == '1'},{a},{b}" for t, a, b in lines)],
        "targets alone": lambda: [" ".join(line) for line in lines if line[0] == "1"],
        "impostors alone": lambda: [" ".join(line) for line in lines if line[0] == "0"],
        "one pair": lambda: [" ".join(lines[0])],
        "other names": lambda: ["label,enrol,test", *(",".join(line) for line in lines)],
        "no such file": lambda: [" ".join([*line[:2], "p9/p9.wav"]) for line in lines],
        "another target": lambda: [f"2 {a} {b}" for _, a, b in lines],
    }
    if rng.random() < 0.5:
        name = rng.choice(sorted(forms))
        path.write_text("\n".join(forms[name]()) + "\n")
        return name
    return _harm(rng, path, rng.choice((breakage.encoded, breakage.damage)))


# --- Notes of progress ----------------------------------------------------------------------------


def notes(made: Path, rng: random.Random, folder: Path) -> Case:
    """A note that `prepare` or an ablation keeps is broken; the command goes on."""
    if rng.random() < 0.35:
        return _ablation_notes(rng, folder)
    shutil.copytree(made / "prepared", folder / "out")
    shutil.copytree(made / "two", folder / "two")
    for note in (folder / "out" / "parts").glob("*.json"):  # as if they had been made here
        value = json.loads(note.read_text())
        value["path"] = str(folder / "two" / Path(value["path"]).name)
        note.write_text(json.dumps(value))
    names = {path.name: path for path in sorted((folder / "out" / "parts").glob("*.json"))}
    names |= {name: folder / "out" / name for name in ("corpus.json", "tracks.csv", "skipped.csv")}
    name = rng.choice(sorted(names))
    break_ = breakage.csv_text if name.endswith("csv") else breakage.json_text
    what = _harm(rng, names[name], break_)
    argv = ["prepare", "two", "--out", "out", "--size", "32", "--workers", "1"]
    return Case(
        f"{name}: {what}",
        argv,
        ("out",),
        lambda out: _all_accounted(folder, ["a.mp4", "c.mkv"]),
        patch=no_face_needed,
    )


def _ablation_notes(rng: random.Random, folder: Path) -> Case:
    """The files of a finished ablation; two variants with two seeds, so that it takes a moment."""
    from conftest import ROOT

    out = folder / "abl"
    out.mkdir()
    source = ROOT / "data" / "ablation"
    for name in ("schedule.json", "frozen.json"):
        shutil.copy(source / name, out / name)
    lines = (source / "results.csv").read_text().splitlines()
    few = [line for line in lines if line.split(",")[0] in ("row", "e1-lam0", "e1-lam1")]
    (out / "results.csv").write_text("\n".join(few[:9]) + "\n")
    name = rng.choice(("results.csv", "results.csv", "schedule.json", "frozen.json"))
    break_ = breakage.csv_text if name.endswith("csv") else breakage.json_text
    what = _harm(rng, out / name, break_)
    step = "--report" if name == "results.csv" else "--confirm"
    if name == "schedule.json":
        (out / "frozen.json").unlink()
        return Case(
            f"{name}: {what}", ["ablation", "--out", "abl", "--rows", "nobody"], ("abl", "nobody")
        )
    return Case(f"{name}: {what}", ["ablation", "--out", "abl", step], ("abl",), patch=_no_pictures)


def _no_pictures() -> None:
    """Draw no figures: a browser is not what is tried here. `confirm` makes no corpus."""
    from dsel.ablation import run
    from dsel.utils.errors import BadInput

    run.draw = lambda out, pictures=True: run.read_results(out)

    def stop(path, *args, **options):
        raise BadInput(f"{path}: would be made now")

    run._make = stop


# --- Command lines --------------------------------------------------------------------------------

BOUNDS = (
    *("0", "-1", "1", "2", "3", "1.5", "nan", "inf", "-inf", "1e400", "x", "", " ", "9" * 30),
    *("4294967295", "4294967296", "9223372036854775808", "0x2", "True", "none", "--", "-", "é"),
)
PLACES = (
    *("out", "null", "zeros", "pipe", "file", "file/below", "", ".", "..", "a" * 300),
    *(
        "new/deep/place",
        "link",
        "loop",
        "closed/x",
        "line\nbreak",
        "out.npz",
        "out.html",
        "out.png",
    ),
    *("out.xyz", "-out", "é"),
)
INPUTS = (
    *("none", "null", "zeros", "pipe", "file", "empty", "", ".", "laptop", "no such", "loop"),
    *("a" * 300, "http://127.0.0.1:9/x", "s3://nowhere/x", "CORPUS", "CORPUS", "CORPUS", "mini/.."),
)
COMMANDS = {  # the options of each command, and what kind of value follows
    "toy": "--out PLACE, --speakers N, --tracks N, --validation N, --test N, --test-tracks N, "
    "--seed N, --size N, --seconds N, --coupling N, --entanglement N, --voices INPUT, --workers N",
    "prepare": "INPUT, --out PLACE, --layout N, --audio INPUT, --split N, --size N, --model RUN, "
    "--workers N, --audio-stream N",
    "shard": "INPUT, --out PLACE, --megabytes N, --seed N",
    "train": "--data INPUT, --out PLACE, --config N, --resume, --set KEY=N, --net NET=N",
    "evaluate": "RUN, --data INPUT, --split N, --probes",
    "embed": "RUN, --data INPUT, --split N, --out PLACE",
    "plot": "RUN, --data INPUT, --split N, --out PLACE, --seed N",
    "import": "RUN, --out PLACE",
    "release": "RUN, --out PLACE",
    "export": "RUN, --out PLACE",
    "live": "INPUT, --port N",
    "verify": "INPUT, --audio INPUT, --model RUN, --crops N, --every N, --scores PLACE, "
    "--cache PLACE",
    "ablation": "--preset N, --out PLACE, --rows N, --seeds N, --report",
    "demo": "--out PLACE, --speakers N, --steps N, --seed N, --within N",
}
SMALL: dict[str, list[str]] = {  # so that a line that is right by chance is also short
    "toy": ["--out", "out", "--speakers", "1", "--tracks", "1", "--validation", "0", "--test", "0",
            "--size", "48", "--seconds", "0.4", "--workers", "1"],
    "prepare": ["FILM", "--out", "out", "--workers", "1", "--size", "32"],
    "shard": ["CORPUS", "--out", "out"],
    "train": ["--data", "CORPUS", "--out", "out"],
    "evaluate": ["MADE", "--data", "CORPUS"],
    "embed": ["MADE", "--data", "CORPUS", "--out", "out.npz"],
    "plot": ["MADE", "--data", "CORPUS", "--out", "out.html"],
    "import": ["MADE", "--out", "out"],
    "release": ["MADE", "--out", "out.pt"],
    "export": ["MADE", "--out", "out"],
    "live": ["empty", "--no-browser"],
    "verify": ["LIST", "--audio", "AUDIO", "--model", "MADE", "--crops", "1"],
    "ablation": ["--out", "out", "--report"],
    "demo": ["--out", "out", "--speakers", "0", "--steps", "1"],
}  # fmt: skip


def command_line(made: Path, rng: random.Random, folder: Path) -> Case:
    """One or two options of a command get a value at a border, or are missing."""
    (folder / "file").write_text("x")
    (folder / "empty").mkdir()
    (folder / "closed").mkdir(mode=0o000)
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("empty")
    (folder / "null").symlink_to("/dev/null")
    (folder / "zeros").symlink_to("/dev/zero")
    (folder / "loop").symlink_to("loop")
    command = rng.choice(sorted(COMMANDS))
    stand = {
        "FILM": "two/a.mp4",
        "CORPUS": "corpus",
        "MADE": "run",
        "LIST": "sounds/list.txt",
        "AUDIO": "sounds/audio",
    }
    line = [str(made / stand[word]) if word in stand else word for word in SMALL[command]]
    for option in rng.sample(COMMANDS[command].split(", "), k=rng.choice((1, 1, 2))):
        line = _changed(rng, line, option.split(), made)
    if rng.random() < 0.1:
        line.pop(rng.randrange(len(line)))
    if command == "train":
        line += TINY
    return Case(
        f"dsel {command} {' '.join(word[-40:] for word in line)}"[:300],
        [command, *line],
        patch=_no_heavy_work,
    )


def _changed(rng: random.Random, line: list[str], option: list[str], made: Path) -> list[str]:
    """Replace or add an option with a value at a border."""
    value = _value(rng, option[-1], made)
    if not option[0].startswith("--"):  # an argument by position comes first
        return [value, *line[1:]]
    if len(option) == 1:
        return [*line, option[0]]
    if option[0] in line and line.index(option[0]) + 1 < len(line):
        at = line.index(option[0]) + 1
        return [*line[:at], value, *line[at + 1 :]]
    return [*line, option[0], value]


def _value(rng: random.Random, kind: str, made: Path) -> str:
    from dataclasses import fields

    from dsel.model import ModelConfig
    from dsel.train.config import TrainConfig

    if kind in ("KEY=N", "NET=N"):
        keys = [field.name for field in fields(TrainConfig if kind == "KEY=N" else ModelConfig)]
        keys = [key for key in keys if key not in ("steps", "workers", "device", "compile")]
        return f"{rng.choice([*keys, 'no_such'])}={rng.choice(BOUNDS)}"
    value = rng.choice({"PLACE": PLACES, "INPUT": INPUTS, "RUN": INPUTS}.get(kind, BOUNDS))
    return str(made / ("run" if kind == "RUN" else "corpus")) if value == "CORPUS" else value


def _no_heavy_work() -> None:
    """A line that is right by chance must not take hours: what it would do is not tried here."""
    from dsel import demo
    from dsel.ablation import run
    from dsel.apply import export
    from dsel.plots import projection

    demo.toy = lambda *args, **options: (_ for _ in ()).throw(SystemExit(0))
    run.ablation = lambda out, *args, **options: None
    export.write_streams = lambda networks, out: []
    projection.umap_2d = lambda vectors, **options: projection.pca_2d(vectors)[0]
    no_face_needed()


TARGETS: dict[str, tuple[Callable[[Path, random.Random, Path], Case], int]] = {
    "video": (video, 900),
    "absurd video": (absurd_video, 150),
    "corpus": (corpus, 500),
    "shards": (shards, 200),
    "weights": (weights, 300),
    "trial list": (verify, 200),
    "command line": (command_line, 300),
    "notes": (notes, 200),
}  # name -> its function, and how many cases `make fuzz` runs
