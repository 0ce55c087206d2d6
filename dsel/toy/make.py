"""Make the toy corpus: speakers, what they say, how they sound and look.

    toy("runs/toy", speakers=300)      or      python -m dsel toy --out runs/toy --speakers 300

The work is divided among processes, one speaker at a time. When the clips and labels of a speaker
are written, a small file in `.parts/` records it. So a second call makes only what is missing. All
random numbers come from streams named by seed, track and purpose. So the number of processes and
the order of the work change nothing. (Source: ours.)
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from functools import cache, partial
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from dsel.corpus import store
from dsel.corpus import tracks as corpora
from dsel.corpus.clips import write_clip
from dsel.corpus.reading import MOST_BYTES
from dsel.timing import FPS, SAMPLE_RATE, WINDOW_FRAMES, samples_for
from dsel.toy.plan import PREFIX, SAYS, Plan, Recipe, evaluation_speakers, plan, vocabulary_of
from dsel.toy.seeds import stream
from dsel.toy.speaker import Speaker, draw_speaker
from dsel.toy.speaker import factors as speaker_factors
from dsel.toy.speech import recordings
from dsel.toy.speech import room as rooms
from dsel.toy.speech import text as texts
from dsel.toy.speech.espeak import Espeak
from dsel.toy.speech.voice import factors as voice_factors
from dsel.toy.speech.voice import in_mood, say, voice_of
from dsel.toy.trials import COLUMNS as TRIAL_COLUMNS
from dsel.toy.trials import KINDS, draw_trials
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic, check_folder, refuse_links, sweep, write_csv, write_json
from dsel.utils.processes import refuse_to_be_read_again, spread
from dsel.utils.readers import TEXT, check_entries, read_csv, read_json

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
LEAD_IN = 0.05  # seconds of silence before espeak's first sound; never part of a track
CONTEXT = 0.3  # seconds of speech before and after a track that still change the mouth in it
ROW = {"id": TEXT, "speaker": TEXT, "split": TEXT, "path": TEXT}  # columns that a resumed run needs
# The most that is made, so that a typing error does not fill memory and disk.
# Where speech comes from: a running synthesiser, or the recordings of each speaker.
Voices = Espeak | dict[str, list[Path]]
MOST_TRACKS = 1_000_000  # training tracks
MOST_TRIAL_TRACKS = 10_000  # tracks of a validation or test split: the trials pair all of them
MOST_SECONDS = 30.0  # length of a track: its frames are drawn together


@dataclass(frozen=True)
class Speech:
    """Hold what a speaker says in a track, before it reaches a microphone."""

    waveform: np.ndarray  # float32 (640 T,) at 16 kHz
    # start (s), end (s), mnemonic, word; also a little before and after the track; may be empty
    phonemes: list[tuple[float, float, str, str]]
    factors: dict  # columns of tracks.csv


def toy(
    out: str | Path,
    speakers: int = 300,
    tracks: int = 4,
    *,
    validation: int | None = None,
    test: int | None = None,
    test_tracks: int = 12,
    seed: int = 0,
    seconds: float = 2.0,
    size: int = 96,
    coupling: float = 0.9,
    entanglement: float = 0.0,
    voices: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> corpora.Corpus:
    """Make a corpus of drawn talking heads, or finish one that was interrupted.

    Args:
        out: folder of the corpus.
        speakers: number of training speakers.
        tracks: tracks per training speaker.
        validation: number of validation speakers; None: an eighth of `speakers`, from 8 to 40.
        test: number of test speakers; None: a fifth of `speakers`, from 8 to 60.
        test_tracks: tracks per validation or test speaker.
        seed: the same seed gives the same corpus.
        seconds: length of a track, a multiple of 0.04 (one frame).
        size: height and width of a frame in pixels, even.
        coupling: 0..1, how well the face agrees with the voice about sex, age and size.
        entanglement: 0..1, share of a training speaker's words that come from its own four words.
        voices: folder of real recordings to use instead of synthetic voices.
        workers: number of processes; None: one per core.
        progress: show a progress bar.
    Returns:
        The corpus.
    Raises:
        BadInput: a number is out of range, or the folder contains another corpus.
    """
    recipe = Recipe(
        speakers=speakers,
        tracks=tracks,
        validation=evaluation_speakers(speakers, 8, 40, validation),
        test=evaluation_speakers(speakers, 5, 60, test),
        test_tracks=test_tracks,
        seed=seed,
        seconds=seconds,
        size=size,
        coupling=coupling,
        entanglement=entanglement,
        voices=None if voices is None else str(voices),
    )
    _check(recipe, workers)
    out, cast = Path(out), plan(recipe)
    _claim(out, recipe)
    sweep(out, out / ".parts", out / "labels", out / "trials")
    done = _done(out, cast)
    todo = [name for name in cast if name not in done]
    count = sum(len(cast[name]) for name in todo)
    with tqdm(
        total=count, desc="talking heads", unit="track", disable=not progress, leave=False
    ) as bar:
        for name in _in_processes(out, recipe, todo, workers or _cores()):
            bar.update(len(cast[name]))
    return _finish(out, recipe, cast)


def make_speaker(out: Path, recipe: Recipe, tracks: list[Plan], voices: Voices) -> None:
    """Make all clips and labels of one speaker, then record in `.parts/` that it is done.

    Args:
        out: folder of the corpus.
        recipe: of the corpus.
        tracks: of this speaker.
        voices: where speech comes from.
    """
    measured = None
    if not isinstance(voices, Espeak):
        measured = recordings.sex_and_size(*recordings.measure(voices[tracks[0].speaker]))
    speaker = draw_speaker(recipe.seed, tracks[0].speaker, recipe.coupling, measured)
    sweep(out / "clips" / speaker.name)
    rows, labels, mouths = [], [], {}
    for track in tracks:
        row, track_labels, mouths[track.id] = make_track(out, recipe, speaker, track, voices)
        rows.append(row)
        labels += track_labels
    if labels:
        write_csv(out / "labels" / f"{speaker.name}.csv", labels, store.LABELS)
    with atomic(out / "labels" / f"{speaker.name}.npz") as part:
        np.savez_compressed(part, **mouths)
    write_json(_part(out, speaker.name), rows)


def make_track(
    out: Path, recipe: Recipe, speaker: Speaker, track: Plan, voices: Voices
) -> tuple[dict, list[dict], np.ndarray]:
    """Make one clip.

    Args:
        out: folder of the corpus.
        recipe: of the corpus.
        speaker: who speaks.
        track: which track.
        voices: where speech comes from.
    Returns:
        The row of tracks.csv, the rows of labels, and the mouth trajectory (T, channels).
    """
    speech = speak(recipe, speaker, track, voices)
    frames, waveform, mouth, nuisance = film(recipe, speaker, track, speech)
    path = f"clips/{speaker.name}/{track.id}.mp4"
    write_clip(out / path, frames, waveform)
    row = {
        "id": track.id,
        "speaker": speaker.name,
        "split": track.split,
        "path": path,
        "frames": recipe.frames,
        "offset": 0,
        "vocabulary": track.vocabulary,
        **speech.factors,
        **speaker_factors(speaker),
        **nuisance,
    }
    return row, label_rows(track.id, speech.phonemes, recipe.seconds), mouth


def speak(recipe: Recipe, speaker: Speaker, track: Plan, voices: Voices) -> Speech:
    """Speak words of a track's vocabulary in the speaker's voice, cut to length at a random place.

    Args:
        recipe: of the corpus.
        speaker: who speaks.
        track: which track.
        voices: the running server; from real recordings a piece is taken instead.
    """
    rng = stream(recipe.seed, track.id, "speech")
    if not isinstance(voices, Espeak):
        return _quote(recipe, voices[track.speaker], track, rng)
    own, share = vocabulary_of(recipe, track)
    voice = in_mood(voice_of(speaker), rng)
    spoken: list[str] = []
    count = texts.words_for(recipe.seconds + CONTEXT, voice.rate)
    for _ in range(4):  # one round is usual; very short words need another
        spoken += texts.words(rng, count, own, share)
        utterance = say(voices, voice, " ".join(spoken))
        if utterance.seconds >= LEAD_IN + recipe.seconds:
            break
    start = rng.uniform(LEAD_IN, max(LEAD_IN, utterance.seconds - recipe.seconds))
    phonemes = [(s - start, e - start, name, word) for s, e, name, word in utterance.phonemes]
    phonemes = [p for p in phonemes if p[1] > -CONTEXT and p[0] < recipe.seconds + CONTEXT]
    inside = [p for p in phonemes if p[1] > 0 and p[0] < recipe.seconds]
    heard = [word for word, _ in groupby(word for *_, word in inside) if word]
    waveform = _cut(utterance.waveform, start, recipe.frames)
    return Speech(waveform, phonemes, {"text": " ".join(heard), **voice_factors(voice)})


def _quote(recipe: Recipe, files: list[Path], track: Plan, rng: np.random.Generator) -> Speech:
    """Take a piece of one of a speaker's recordings instead of synthetic speech."""
    count = recipe.tracks if track.split == "train" else recipe.test_tracks
    number = int(track.id.rsplit("_", 1)[1])
    path, start = recordings.piece(files, number, count, recipe.seconds, rng)
    columns = {"text": "", "recording": path.name, "start": round(start, 3)}
    return Speech(_cut(recordings.read(path), start, recipe.frames), [], columns)


def film(
    recipe: Recipe, speaker: Speaker, track: Plan, speech: Speech
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
    """Record and draw a track. Sound and picture are disturbed by two independent random streams.

    Args:
        recipe: of the corpus.
        speaker: whose face.
        track: which track.
        speech: what is said, from `speak`.
    Returns:
        Frames, uint8 (T, size, size, 3); sound, float32 (640 T,); mouth (T, channels); and the
        random parameters as columns of tracks.csv.
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
    columns = {**rooms.factors(room), **faces.factors(face), **faces.scene_factors(scene)}
    return frames, rooms.record(speech.waveform, room), mouth, columns


def label_rows(
    track: str, phonemes: list[tuple[float, float, str, str]], seconds: float
) -> list[dict]:
    """Return the phonemes heard in a track as rows of labels/<speaker>.csv.

    Args:
        track: its id.
        phonemes: start (s), end (s), mnemonic, word.
        seconds: length of the track; times are cut to [0, seconds].
    """
    from dsel.toy.mouth import viseme_of

    return [
        {
            "track": track,
            "start": f"{max(start, 0):.4f}",
            "end": f"{min(end, seconds):.4f}",
            "phoneme": name,
            "viseme": viseme_of(name),
            "word": word,
        }
        for start, end, name, word in phonemes
        if end > 0 and start < seconds
    ]


def _cut(waveform: np.ndarray, start: float, frames: int) -> np.ndarray:
    """Return the samples of `frames` frames from `start` seconds on, padded with zeros."""
    first = round(start * SAMPLE_RATE)
    piece = waveform[first : first + samples_for(frames)]
    return np.pad(piece, (0, samples_for(frames) - len(piece)))


def _check(recipe: Recipe, workers: int | None) -> None:
    """Refuse numbers that are out of range. Raises BadInput."""
    for name in ("speakers", "tracks", "validation", "test", "test_tracks"):
        value, least = getattr(recipe, name), 1 if name in ("tracks", "test_tracks") else 0
        if value < least:
            raise BadInput(f"toy: {name} {value} must be at least {least}")
    if not recipe.speakers + recipe.validation + recipe.test:
        raise BadInput("toy: no speakers at all; ask for at least one")
    if recipe.speakers * recipe.tracks > MOST_TRACKS:
        raise BadInput(
            f"toy: {recipe.speakers} speakers of {recipe.tracks} tracks are more than "
            f"{MOST_TRACKS} training tracks; ask for fewer"
        )
    for name in ("validation", "test"):
        count = getattr(recipe, name)
        if count * recipe.test_tracks > MOST_TRIAL_TRACKS:
            raise BadInput(
                f"toy: {count} {name} speakers of {recipe.test_tracks} tracks are more than "
                f"{MOST_TRIAL_TRACKS} {name} tracks; ask for fewer"
            )
    if not WINDOW_FRAMES / FPS - 1e-9 <= recipe.seconds <= MOST_SECONDS:
        raise BadInput(f"toy: seconds {recipe.seconds} must be between 0.2 and {MOST_SECONDS:g}")
    if abs(recipe.seconds * FPS - recipe.frames) > 1e-6:
        raise BadInput(f"toy: seconds {recipe.seconds} must be a multiple of 0.04, one frame")
    if recipe.size % 2 or not 48 <= recipe.size <= 224:
        raise BadInput(f"toy: size {recipe.size} must be even and between 48 and 224 pixels")
    for name in ("coupling", "entanglement"):
        if not 0 <= getattr(recipe, name) <= 1:
            raise BadInput(f"toy: {name} {getattr(recipe, name)} must lie between 0 and 1")
    if workers is not None and not 1 <= workers <= 4 * _cores():
        raise BadInput(
            f"toy: workers {workers} must be between 1 and {4 * _cores()} (four processes per core)"
        )


def _claim(out: Path, recipe: Recipe) -> None:
    """Use a new folder, or one with the same recipe. Raises BadInput if it holds anything else."""
    check_folder(out)
    refuse_links(out, "clips", "labels", "trials", ".parts")
    begun = out / ".parts" / "recipe.json"
    if (out / "corpus.json").is_file():
        meta = corpora.Corpus(out).meta
        if meta.get("made_by") != "dsel toy":
            raise BadInput(f"{out}: holds a corpus that is not a toy corpus; choose another folder")
        there = {**meta["recipe"], "seed": meta["seed"]}
    elif begun.is_file():
        there = read_json(begun, remedy=f"delete {out} and start again", entries={})
    elif out.is_dir() and any(out.iterdir()):
        raise BadInput(f"{out}: is not empty and holds no toy corpus; choose another folder")
    else:
        write_json(begun, asdict(recipe))
        return
    names = sorted(field.name for field in fields(Recipe))
    differences = [
        f"{name} is {there.get(name)} there, {getattr(recipe, name)} was asked for"
        for name in names
        if there.get(name) != getattr(recipe, name)
    ]
    if differences:
        raise BadInput(
            f"{out}: holds another toy corpus ({'; '.join(differences)}); choose another folder"
        )


def _part(out: Path, speaker: str) -> Path:
    """Return the path of the file that records that a speaker is done."""
    return out / ".parts" / f"{speaker}.json"


def _done(out: Path, cast: dict[str, list[Plan]]) -> dict[str, list[dict]]:
    """Return the rows of tracks.csv of every speaker whose clips and labels are complete."""
    rows: dict[str, list[dict]] = {}
    if (out / "corpus.json").is_file():
        again = f"delete {out} and start again"
        table = read_csv(out / "tracks.csv", ROW, remedy=again, most=MOST_BYTES)
        for row in table:
            rows.setdefault(row["speaker"], []).append(row)
    for name in cast:
        if _part(out, name).is_file():
            rows[name] = _read_part(_part(out, name))
    return {
        name: rows[name]
        for name in cast
        if name in rows and _complete(out, name, rows[name], len(cast[name]))
    }


def _read_part(path: Path) -> list[dict]:
    """Read the rows of a speaker; a damaged file counts as empty, and the speaker is made again."""
    try:
        rows = read_json(path, remedy="")
        for row in rows if isinstance(rows, list) else [rows]:
            check_entries(path, row, dict.fromkeys(ROW, str), "")
    except BadInput:
        return []
    return rows


def _complete(out: Path, name: str, rows: list[dict], count: int) -> bool:
    """Return whether a speaker has `count` rows, and all their files exist."""
    labels = out / "labels" / f"{name}.npz"
    clips = [out / row["path"] for row in rows]
    return len(clips) == count and labels.is_file() and all(clip.is_file() for clip in clips)


def _finish(out: Path, recipe: Recipe, cast: dict[str, list[Plan]]) -> corpora.Corpus:
    """Write trials, tracks.csv and corpus.json, and remove `.parts/`."""
    done = _done(out, cast)
    rows = [row for name in cast for row in done[name]]
    for split, prefix in (("test", ""), ("validation", "validation_")):
        evaluated = [row for row in rows if row["split"] == split]
        for kind in KINDS:
            pairs = draw_trials(evaluated, kind, stream(recipe.seed, split, kind, "trials"))
            if pairs:
                write_csv(out / "trials" / f"{prefix}{kind}.csv", pairs, TRIAL_COLUMNS)
    settings = asdict(recipe)
    seed = settings.pop("seed")
    licence = LICENCE_VOICES if recipe.voices else LICENCE
    made = corpora.write_corpus(
        out, rows, made_by="dsel toy", seed=seed, licence=licence, **settings
    )
    shutil.rmtree(out / ".parts", ignore_errors=True)
    return made


def _in_processes(out: Path, recipe: Recipe, names: list[str], workers: int) -> Iterator[str]:
    """Make speakers, divided among processes; yields each name when that speaker is done.

    Raises:
        BadInput: or RuntimeError, with the first speaker that could not be made. Finished speakers
            stay.
    """
    if not names:
        return
    refuse_to_be_read_again()
    results = spread(
        names,
        partial(_make_in_worker, out=out.resolve(), recipe=recipe),
        workers,
        lost=lambda name: RuntimeError(f"speaker {name}: its process died twice (out of memory?)"),
        say=partial(tqdm.write, file=sys.stderr),
        name="speaker {}".format,
    )
    with closing(results):
        for name, error in results:
            if error is not None:
                says = f"{error}; finished speakers are kept, run it again to go on"
                raise type(error)(says) from error
            yield name


def _make_in_worker(name: str, out: Path, recipe: Recipe) -> BadInput | RuntimeError | None:
    """Make one speaker; returns what went wrong, if anything did."""
    try:
        cast, voices = _once_per_worker(recipe)
        make_speaker(out, recipe, cast[name], voices)
    except BadInput as error:
        return error
    except Exception as error:  # a bug here is reported by the process that shows the bar
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        return RuntimeError(f"speaker {name}: {what}")
    return None


@cache
def _once_per_worker(recipe: Recipe) -> tuple[dict[str, list[Plan]], Voices]:
    """Return the plan and the voices; a worker needs one thread, it has a core of its own."""
    import torch

    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)
    return plan(recipe), recordings.find(recipe.voices) if recipe.voices else Espeak()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
