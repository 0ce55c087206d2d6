"""Make the toy corpus: speakers, what they say, how it sounds and looks; in processes, resumable, the same for a seed.

    toy("runs/toy", speakers=300)      or      python -m dsel toy --out runs/toy --speakers 300

One unit of work is a speaker: its clips and labels are written, then a small part file that says "done". A second call
makes only what is missing. Everything random comes from streams named by (seed, track, purpose), so neither the number
of workers nor the order of work changes anything. (Source: ours.)
"""

from __future__ import annotations

import csv
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from dsel.corpus import store
from dsel.corpus import tracks as corpora
from dsel.corpus.clips import write_clip
from dsel.timing import FPS, SAMPLE_RATE, WINDOW_FRAMES, samples_for
from dsel.toy import speaker as speakers_
from dsel.toy.plan import PREFIX, SAYS, Plan, Recipe, plan, share_of, vocabulary_of
from dsel.toy.seeds import stream
from dsel.toy.speaker import Speaker, draw_speaker
from dsel.toy.speech import recordings
from dsel.toy.speech import room as rooms
from dsel.toy.speech import text as texts
from dsel.toy.speech import voice as voices_
from dsel.toy.trials import COLUMNS as TRIAL_COLUMNS
from dsel.toy.trials import KINDS, draw_trials
from dsel.utils.errors import BadInput
from dsel.utils.files import replace_text, write_csv

__all__ = [
    "CONTEXT",
    "LEAD_IN",
    "LICENCE",
    "LICENCE_VOICES",
    "PREFIX",
    "SAYS",
    "Plan",
    "Recipe",
    "Speech",
    "film",
    "label_rows",
    "make_speaker",
    "make_track",
    "plan",
    "speak",
    "toy",
]

LICENCE = "CC0-1.0: drawn and synthesised, no real person"
LICENCE_VOICES = "that of the recordings; the faces are drawn"
LEAD_IN = 0.05  # seconds of silence before espeak's first sound, never shown
CONTEXT = 0.3  # seconds of speech around a track that still shape its room and its mouth


@dataclass(frozen=True)
class Speech:
    """What a speaker says in a track, before any microphone, and what is known of it."""

    waveform: np.ndarray  # float32 (640 T,)
    phonemes: list[tuple[float, float, str, str]]  # start, end (s, also beyond the track), mnemonic, word; or empty
    factors: dict


def toy(
    out, speakers: int = 300, tracks: int = 4, *, validation: int | None = None, test: int | None = None,
    test_tracks: int = 12, seed: int = 0, seconds: float = 2.0, size: int = 96, coupling: float = 0.9,
    entanglement: float = 0.0, voices=None, workers: int | None = None, progress: bool = True,
) -> corpora.Corpus:  # fmt: skip
    """Make a corpus of drawn talking heads, or finish one that was begun.

    Args:
        out: its folder.
        speakers, tracks: how many training speakers, and tracks of each.
        validation, test: how many speakers to judge by; None: an eighth and a fifth of `speakers`, 8 to 40 and 60.
        test_tracks: tracks of each of those.
        seconds, size: of a track, and its width and height in pixels (even).
        coupling: 0..1, how far voice and face share sex, age and size.
        entanglement: 0..1, the probability that a word of a *training* speaker comes from its own four words.
        voices: a folder of real recordings to put behind the drawn faces, instead of synthetic voices.
        workers: processes; None: one a core.
    Raises:
        BadInput: a number that cannot be, or a folder that holds another corpus.
    """
    recipe = Recipe(
        speakers, tracks, share_of(speakers, 8, 40, validation), share_of(speakers, 5, 60, test), test_tracks, seed,
        seconds, size, coupling, entanglement, None if voices is None else str(voices),
    )  # fmt: skip
    _check(recipe)
    out, cast = Path(out), plan(recipe)
    _claim(out, recipe)
    done = _done(out, cast)
    todo = [name for name in cast if name not in done]
    count = sum(len(cast[name]) for name in todo)
    with tqdm(total=count, desc="talking heads", unit="track", disable=not progress, leave=False) as bar:
        for name in _in_processes(out, recipe, todo, workers or _cores()):
            bar.update(len(cast[name]))
    return _finish(out, recipe, cast)


def make_speaker(out: Path, recipe: Recipe, tracks: list[Plan], espeak) -> None:
    """Make all clips and labels of one speaker, then its part file."""
    heard = recordings.views(*recordings.measure(recordings.find(recipe.voices)[tracks[0].speaker])) if recipe.voices else None
    speaker = draw_speaker(recipe.seed, tracks[0].speaker, recipe.coupling, heard)
    for leftover in (out / "clips" / speaker.name).glob(".*.part*"):  # of a worker that was killed
        leftover.unlink()
    rows, labels, mouths = [], [], {}
    for track in tracks:
        row, track_labels, mouths[track.id] = make_track(out, recipe, speaker, track, espeak)
        rows.append(row)
        labels += track_labels
    if labels:
        write_csv(out / "labels" / f"{speaker.name}.csv", labels, store.LABELS)
    _write_npz(out / "labels" / f"{speaker.name}.npz", mouths)
    _part(out, speaker.name).parent.mkdir(parents=True, exist_ok=True)
    replace_text(_part(out, speaker.name), json.dumps(rows))


def make_track(out: Path, recipe: Recipe, speaker: Speaker, track: Plan, espeak) -> tuple[dict, list[dict], np.ndarray]:
    """Make one clip. Returns its row of tracks.csv, its labels, and its mouth trajectory (T, channels)."""
    speech = speak(recipe, speaker, track, espeak)
    frames, waveform, mouth, nuisance = film(recipe, speaker, track, speech)
    path = f"clips/{speaker.name}/{track.id}.mp4"
    write_clip(out / path, frames, waveform)
    row = {
        "id": track.id, "speaker": speaker.name, "split": track.split, "path": path, "frames": recipe.frames,
        "offset": 0, "vocabulary": track.vocabulary, **speech.factors, **speakers_.factors(speaker), **nuisance,
    }  # fmt: skip
    return row, label_rows(track.id, speech.phonemes, recipe.seconds), mouth


def speak(recipe: Recipe, speaker: Speaker, track: Plan, espeak) -> Speech:
    """What is said in a track: words of its vocabulary in the speaker's voice, cut to length at a random place."""
    rng = stream(recipe.seed, track.id, "speech")
    if recipe.voices:
        return _quote(recipe, track, rng)
    own, share = vocabulary_of(recipe, track)
    voice = voices_.in_mood(voices_.voice_of(speaker), rng)
    spoken, count = [], texts.words_for(recipe.seconds + CONTEXT, voice.rate)
    for _ in range(4):  # one round is the rule; words as short as "ear" need another
        spoken += texts.words(rng, count, own, share)
        utterance = voices_.say(espeak, voice, " ".join(spoken))
        if utterance.seconds >= LEAD_IN + recipe.seconds:
            break
    start = rng.uniform(LEAD_IN, max(LEAD_IN, utterance.seconds - recipe.seconds))
    phonemes = [(s - start, e - start, name, word) for s, e, name, word in utterance.phonemes]
    phonemes = [p for p in phonemes if p[1] > -CONTEXT and p[0] < recipe.seconds + CONTEXT]
    said = [p for p in phonemes if p[1] > 0 and p[0] < recipe.seconds]
    heard = [word for k, (*_, word) in enumerate(said) if word and (not k or word != said[k - 1][3])]
    waveform = _cut(utterance.waveform, start, recipe.frames)
    return Speech(waveform, phonemes, {"text": " ".join(heard), **voices_.factors(voice)})


def _quote(recipe: Recipe, track: Plan, rng: np.random.Generator) -> Speech:
    """A piece of a real recording."""
    files = recordings.find(recipe.voices)[track.speaker]
    count = recipe.tracks if track.split == "train" else recipe.test_tracks
    path, start = recordings.piece(files, int(track.id.rsplit("_", 1)[1]), count, recipe.seconds, rng)
    known = {"text": "", "recording": path.name, "start": round(start, 3)}
    return Speech(_cut(recordings.read(path), start, recipe.frames), [], known)


def film(recipe: Recipe, speaker: Speaker, track: Plan, speech: Speech) -> tuple:
    """Record and draw a track: uint8 (T, size, size, 3), float32 (640 T,), mouth (T, channels), and the nuisance drawn.

    What disturbs the sound and what disturbs the picture come from two independent streams.
    """
    from dsel.toy import face as faces
    from dsel.toy import mouth as mouths

    room = rooms.draw_room(stream(recipe.seed, track.id, "sound"))
    scene = faces.draw_scene(stream(recipe.seed, track.id, "picture"), recipe.frames)
    face = faces.face_of(speaker)
    if speech.phonemes:
        mouth = mouths.trajectory([phoneme[:3] for phoneme in speech.phonemes], recipe.frames)
    else:
        mouth = mouths.from_sound(speech.waveform, recipe.frames)
    frames = np.asarray(faces.render(face, mouth, scene, recipe.size))
    known = {**rooms.factors(room), **faces.factors(face), **faces.scene_factors(scene)}
    return frames, rooms.record(speech.waveform, room), mouth, known


def label_rows(track: str, phonemes, seconds: float) -> list[dict]:
    """The phonemes heard within a track as rows of labels/<speaker>.csv; times cut to [0, seconds]."""
    from dsel.toy.mouth import viseme_of

    return [
        {
            "track": track, "start": f"{max(start, 0):.4f}", "end": f"{min(end, seconds):.4f}",
            "phoneme": name, "viseme": viseme_of(name), "word": word,
        }
        for start, end, name, word in phonemes
        if end > 0 and start < seconds
    ]  # fmt: skip


def _cut(waveform: np.ndarray, start: float, frames: int) -> np.ndarray:
    """The samples of a track that begins at `start` seconds; zeros where there is no sound."""
    first = round(start * SAMPLE_RATE)
    piece = waveform[first : first + samples_for(frames)]
    return np.pad(piece, (0, samples_for(frames) - len(piece)))


def _check(recipe: Recipe) -> None:
    for name in ("speakers", "tracks", "validation", "test", "test_tracks"):
        value, least = getattr(recipe, name), 1 if name in ("tracks", "test_tracks") else 0
        if value < least:
            raise BadInput(f"toy: {name} {value} must be at least {least}")
    if not recipe.speakers + recipe.validation + recipe.test:
        raise BadInput("toy: no speakers at all; ask for at least one")
    if abs(recipe.seconds * FPS - recipe.frames) > 1e-6 or recipe.frames < WINDOW_FRAMES:
        raise BadInput(f"toy: seconds {recipe.seconds} must be a multiple of 0.04 (a frame), at least 0.2")
    if recipe.size % 2 or not 48 <= recipe.size <= 224:
        raise BadInput(f"toy: size {recipe.size} must be even and between 48 and 224 pixels")
    for name in ("coupling", "entanglement"):
        if not 0 <= getattr(recipe, name) <= 1:
            raise BadInput(f"toy: {name} {getattr(recipe, name)} must lie between 0 and 1")


def _claim(out: Path, recipe: Recipe) -> None:
    """Take a new or begun folder for this recipe, or refuse one that holds something else."""
    begun = out / ".parts" / "recipe.json"
    if (out / "corpus.json").is_file():
        meta = corpora.Corpus(out).meta
        found = {**meta["recipe"], "seed": meta["seed"]}
    elif begun.is_file():
        found = json.loads(begun.read_text(encoding="utf-8"))
    elif out.is_dir() and any(out.iterdir()):
        raise BadInput(f"{out}: is not empty and holds no toy corpus; choose another folder")
    else:
        begun.parent.mkdir(parents=True, exist_ok=True)
        replace_text(begun, json.dumps(asdict(recipe)))
        return
    known = {field.name for field in fields(Recipe)}
    differ = [k for k in sorted(known) if found.get(k) != getattr(recipe, k)]
    if differ:
        told = ", ".join(f"{k} {found.get(k)} there, {getattr(recipe, k)} asked" for k in differ)
        raise BadInput(f"{out}: holds a corpus made otherwise ({told}); choose another folder")


def _part(out: Path, speaker: str) -> Path:
    return out / ".parts" / f"{speaker}.json"


def _done(out: Path, cast: dict[str, list[Plan]]) -> dict[str, list[dict]]:
    """The rows of tracks.csv of every speaker that is complete: clips, labels and all."""
    rows: dict[str, list[dict]] = {}
    if (out / "corpus.json").is_file():
        with (out / "tracks.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                rows.setdefault(row["speaker"], []).append(row)
    for name in cast:
        if _part(out, name).is_file():
            rows[name] = json.loads(_part(out, name).read_text(encoding="utf-8"))
    return {name: rows[name] for name in cast if name in rows and _complete(out, rows[name], len(cast[name]))}


def _complete(out: Path, rows: list[dict], count: int) -> bool:
    labels = out / "labels" / f"{rows[0]['speaker']}.npz"
    return len(rows) == count and labels.is_file() and all((out / row["path"]).is_file() for row in rows)


def _finish(out: Path, recipe: Recipe, cast: dict[str, list[Plan]]) -> corpora.Corpus:
    """Write trials, tracks.csv and corpus.json, and put the part files away."""
    done = _done(out, cast)
    rows = [row for name in cast for row in done[name]]
    for split, prefix in (("test", ""), ("validation", "validation_")):
        judged = [row for row in rows if row["split"] == split]
        for kind in KINDS:
            pairs = draw_trials(judged, kind, stream(recipe.seed, split, kind, "trials"))
            if pairs:
                write_csv(out / "trials" / f"{prefix}{kind}.csv", pairs, TRIAL_COLUMNS)
    settings = asdict(recipe)
    seed = settings.pop("seed")
    licence = LICENCE_VOICES if recipe.voices else LICENCE
    made = corpora.write_corpus(out, rows, made_by="dsel toy", seed=seed, licence=licence, **settings)
    shutil.rmtree(out / ".parts", ignore_errors=True)
    return made


def _write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part.npz")
    np.savez_compressed(part, **arrays)
    os.replace(part, path)


# Worker processes are plain programs that read names and answer a line for each, so that notebooks, scripts and shells
# can all start them.


def _in_processes(out: Path, recipe: Recipe, names: list[str], workers: int):
    """Make these speakers in processes; yields each name as it is done. Interrupted, what is done stays done."""
    running, waiting, finished = [], list(reversed(names)), False
    selector = selectors.DefaultSelector()
    try:
        for _ in range(min(workers, len(names))):
            process = _start(out, recipe)
            running.append(process)
            selector.register(process.stdout, selectors.EVENT_READ, process)
            _ask(process, waiting.pop())
        while selector.get_map():
            for key, _ in selector.select():
                reply = json.loads(key.fileobj.readline() or '{"error": "a worker process was killed"}')
                if "error" in reply:
                    kind = BadInput if reply.get("bad_input") else RuntimeError
                    raise kind(f"{reply['error']}; finished speakers are kept, run it again to go on")
                if waiting:
                    _ask(key.data, waiting.pop())
                else:
                    selector.unregister(key.fileobj)
                yield reply["done"]
        finished = True
    finally:
        selector.close()
        for process in running:
            process.stdin.close()  # a worker ends when there is nothing more to read
            if not finished:
                process.terminate()
        for process in running:
            process.wait()
            process.stdout.close()


def _start(out: Path, recipe: Recipe) -> subprocess.Popen:
    root = str(Path(__file__).resolve().parents[2])
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    env = {**os.environ, **one, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    command = [sys.executable, "-m", "dsel.toy.make", str(out.resolve()), json.dumps(asdict(recipe))]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=env, start_new_session=True
    )


def _ask(process: subprocess.Popen, name: str) -> None:
    process.stdin.write(name + "\n")
    process.stdin.flush()


def _work(out: Path, recipe: Recipe) -> None:
    """The worker's life: read a name, make that speaker, answer."""
    import torch

    from dsel.toy.speech.espeak import Espeak

    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that half-written files are put away
    cast, espeak = plan(recipe), None
    for line in sys.stdin:
        name = line.strip()
        try:
            espeak = espeak or (None if recipe.voices else Espeak())
            make_speaker(out, recipe, cast[name], espeak)
            reply = {"done": name}
        except BadInput as error:
            reply = {"error": str(error), "bad_input": True}
        except Exception as error:  # whatever it is belongs to the process that asked
            where = traceback.extract_tb(error.__traceback__)[-1]
            reply = {"error": f"speaker {name}: {type(error).__name__}: {error} ({where.name}, line {where.lineno})"}
        print(json.dumps(reply), flush=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    _work(Path(sys.argv[1]), Recipe(**json.loads(sys.argv[2])))
