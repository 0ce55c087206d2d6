"""Run espeak-ng in a process of its own: text and voice in, samples and phoneme times out.

The same input always gives the same output. Two properties of the library make this difficult. It
can be initialised only once per process. And the same call, repeated in one process, gives other
samples, because the phase of the pitch flutter is a static variable that nothing resets. So a small
server (this file run as a program) initialises the library once and forks for every utterance: each
utterance starts from the same state. The library seeds its noise generator from the clock; the
server seeds it again. Windows cannot fork: there a new server is started for every utterance, which
gives the same samples and takes longer.

The library has the licence GPL-3. It comes with the optional package `espeakng-loader` and is never
linked into the process of the caller.

    caller -> server   one line of JSON: {"language", "voice", "text", "rate"}; "voice" is the text
                       of a voice file
    server -> caller   one line of JSON: {"hz", "bytes", "events"}, then the int16 samples; an event
                       is [type, sample, mnemonic or position in the text, length of a word]

(Source: ours.)
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
import zlib
from pathlib import Path
from typing import IO, Any

from dsel.utils.errors import BadInput

SHARED_DATA = (
    "phondata",
    "phondata-manifest",
    "phonindex",
    "phontab",
    "intonations",
    "en_dict",
    "lang",
)
SYNCHRONOUS, PHONEME_EVENTS, DONT_EXIT = 2, 1, 0x8000  # arguments of espeak_Initialize
WORD, PHONEME = 1, 7  # types of event
RATE, VOLUME = 1, 2  # parameters of espeak_SetParameter
HEADROOM = 50  # the volume; at 100, espeak's default, loud voices would clip
ONCE = "--once"  # argument of the server: answer one request, then end
UTF8 = 1  # flag of espeak_Synth


class Espeak:
    """Start a server. Close it, or use it in a `with` block; it also ends with the caller.

    Raises:
        BadInput: the package `espeakng-loader` is not installed.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("espeakng_loader") is None:
            raise BadInput(
                "synthetic voices need the package espeakng-loader: pip install 'dsel[speech]'"
            )
        self._start()

    def _start(self) -> None:
        root = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._forks = hasattr(os, "fork")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dsel.toy.speech.espeak", *([] if self._forks else [ONCE])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C reaches the caller only, which then closes the server
        )
        self._finalizer = weakref.finalize(self, _stop, self._process)

    def say(
        self, text: str, *, language: str, voice: str, rate: int
    ) -> tuple[int, bytes, list[tuple]]:
        """Speak a text.

        Args:
            text: what to say.
            language: espeak's name of the accent, e.g. "en-us".
            voice: the text of an espeak voice variant file.
            rate: words per minute, 80..450.
        Returns:
            The sampling rate in Hz; the int16 samples as bytes; and events, each a tuple (type,
            sample, mnemonic or position in the text, length of a word).
        Raises:
            RuntimeError: espeak-ng has no such language, or the server has ended.
        """
        request = {"language": language, "voice": voice, "text": text, "rate": int(rate)}
        to_server, from_server = _pipes(self._process)
        try:
            to_server.write(json.dumps(request).encode() + b"\n")
            to_server.flush()
            answer = from_server.readline()
        except BrokenPipeError as error:
            raise RuntimeError("espeak-ng: the server has ended") from error
        header = json.loads(answer or '{"error": "the server has ended"}')
        samples = from_server.read(header.get("bytes", 0))
        if not self._forks:
            self.close()
            self._start()
        if "error" in header:
            raise RuntimeError(f"espeak-ng: {header['error']} (language {language}, text {text!r})")
        return header["hz"], samples, [tuple(event) for event in header["events"]]

    def close(self) -> None:
        """Stop the server."""
        self._finalizer()

    def __enter__(self) -> Espeak:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def overlay(folder: Path) -> None:
    """Link espeak's data into a folder, beside an empty folder voices/!v for our own voices."""
    import espeakng_loader

    source = Path(espeakng_loader.get_data_path())
    data = folder / "espeak-ng-data"
    (data / "voices" / "!v").mkdir(parents=True)
    for name in SHARED_DATA:
        try:
            (data / name).symlink_to(source / name)
        except OSError:  # Windows, where a link takes a privilege
            copy = shutil.copytree if (source / name).is_dir() else shutil.copyfile
            copy(source / name, data / name)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server: it ends when its input closes, and cannot wait once its output is closed."""
    to_server, from_server = _pipes(process)
    from_server.close()
    to_server.close()
    process.wait()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return the server's input and output."""
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


class _Id(ctypes.Union):
    """Mirror the union `id` in espeak_EVENT of speak_lib.h."""

    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """Mirror espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def _load(folder: str) -> tuple[ctypes.CDLL, int]:
    """Load and initialise the library with the data in a folder; returns it and its rate in Hz."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    hz = library.espeak_Initialize(SYNCHRONOUS, 0, folder.encode(), PHONEME_EVENTS | DONT_EXIT)
    return library, hz


def _speak(library: ctypes.CDLL, folder: str, request: dict) -> tuple[bytes, list]:
    """Speak one request, in a process that ends afterwards; returns int16 samples and events."""
    samples, events = [], []

    def collect(wave: Any, count: int, event: Any) -> int:
        if wave and count > 0:
            samples.append(ctypes.string_at(wave, 2 * count))
        i = 0
        while event[i].type:
            e = event[i]
            if e.type == PHONEME:
                events.append((PHONEME, e.sample, e.id.string.decode("utf-8", "replace"), 0))
            elif e.type == WORD:
                events.append((WORD, e.sample, e.text_position - 1, e.length))
            i += 1
        return 0

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    Path(folder, "espeak-ng-data", "voices", "!v", "own").write_text(
        request["voice"], encoding="utf-8"
    )
    if library.espeak_SetVoiceByName(f"{request['language']}+own".encode()):
        raise ValueError("no such language")
    library.espeak_ng_SetRandSeed(
        ctypes.c_long(zlib.crc32(json.dumps(request).encode()))
    )  # not the time
    library.espeak_SetParameter(RATE, request["rate"], 0)
    library.espeak_SetParameter(VOLUME, HEADROOM, 0)
    text = request["text"].encode()
    library.espeak_Synth(text, len(text) + 1, 0, 0, 0, UTF8, None, None)
    return b"".join(samples), events


def _reply(library: ctypes.CDLL, hz: int, folder: str, request: dict) -> None:
    """Speak one request and write the answer to standard output."""
    try:
        samples, events = _speak(library, folder, request)
        header = {"hz": hz, "bytes": len(samples), "events": events}
    except ValueError as error:
        samples, header = b"", {"error": str(error)}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + samples)
    sys.stdout.buffer.flush()


def serve(folder: str, *, once: bool = False) -> None:
    """Answer the requests on standard input until it ends, each in a child process.

    once: answer the first one in this process, and return.
    """
    overlay(Path(folder))
    library, hz = _load(folder)
    for line in sys.stdin.buffer:
        if once:
            _reply(library, hz, folder, json.loads(line))
            return
        child = os.fork()
        if not child:
            _reply(library, hz, folder, json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            sys.stdout.buffer.write(b'{"error": "the synthesiser crashed"}\n')
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="dsel-espeak-") as own_folder:
        serve(own_folder, once=ONCE in sys.argv[1:])
