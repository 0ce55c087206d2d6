"""List published corpora of speech with torchaudio, which knows how their archives are laid out.

A folder is taken for such a corpus if it is what a class of torchaudio takes as its `root`. Our own
readers (`dsel.toy.speech.recordings`, `dsel.corpus.trials`) read everything else, one folder of
LibriSpeech and one list of VoxCeleb1 among it, with the same result (tests compare both). For whole
archives torchaudio is the better tool: VCTK has every sentence from two microphones, of some
speakers from one, and LibriSpeech has its speakers one folder deeper than most corpora.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from dsel.utils.errors import BadInput

LIBRISPEECH, VCTK = "LibriSpeech", "VCTK-Corpus-0.92"  # the folders that the archives unpack to
VOXCELEB1 = "veri_test*.txt"  # its lists of trials, beside the folder wav


def recordings(folder: str | Path) -> dict[str, list[Path]] | None:
    """Return the recordings of each speaker of LibriSpeech or VCTK 0.92, both sorted by name.

    Of LibriSpeech: all subsets that are there. Of VCTK: the second microphone, torchaudio's choice.

    Args:
        folder: that of the corpus, or the one that holds it.
    Returns:
        None for a folder of another layout.
    Raises:
        BadInput: torchaudio is not installed, or cannot list the folder.
    """
    for name, listed in ((LIBRISPEECH, _librispeech), (VCTK, _vctk)):
        root = Path(folder).resolve()
        root = root.parent if root.name == name else root
        if (root / name).is_dir():
            instead = f"give a folder that holds one folder for each speaker, inside {root / name}"
            with _datasets(root / name, instead) as datasets:
                files: dict[str, list[Path]] = {}
                for speaker, path in listed(datasets, root):
                    files.setdefault(speaker, []).append(path)
            if not files:
                raise BadInput(f"{root / name}: torchaudio finds no recording in it; {instead}")
            return {speaker: sorted(files[speaker]) for speaker in sorted(files)}
    return None


def voxceleb1_trials(root: str | Path) -> tuple[list[tuple[bool, str, str]], Path]:
    """Return the trials of a folder of VoxCeleb1, which holds `wav` and one list `veri_test*.txt`.

    Returns:
        (same speaker?, path, path) of every trial; and the folder that its paths start from.
    Raises:
        BadInput: not such a folder, several lists, torchaudio is not installed or cannot read it.
    """
    lists, audio = sorted(Path(root).glob(VOXCELEB1)), Path(root) / "wav"
    instead = f"give one list, and {audio} as --audio"
    if not lists or not audio.is_dir():
        raise BadInput(f"{root}: holds no {VOXCELEB1} beside a folder wav; give a list of trials")
    if len(lists) > 1:
        raise BadInput(f"{root}: holds {', '.join(path.name for path in lists)}; {instead}")
    with _datasets(lists[0], instead) as datasets:  # the list is there: nothing is downloaded
        listed = datasets.VoxCeleb1Verification(str(root), meta_url=lists[0].name)
        pairs = [listed.get_metadata(k) for k in range(len(listed))]
    return [(label == 1, a, b) for a, b, _, label, *_ in pairs], audio


@contextmanager
def _datasets(path: Path, instead: str) -> Iterator[ModuleType]:
    """Lend `torchaudio.datasets`, and say in one line what it cannot list.

    Args:
        path: what is listed. instead: what a reader can do without torchaudio.
    """
    from dsel.audio import import_torchaudio  # torch, which a corpus does without

    if import_torchaudio() is None:
        raise BadInput(f"{path}: only torchaudio can list it; install torchaudio or {instead}")
    try:
        yield importlib.import_module("torchaudio.datasets")
    except (OSError, RuntimeError, ValueError, IndexError) as error:
        raise BadInput(f"{path}: torchaudio cannot list it ({error}); {instead}") from error


def _librispeech(datasets: ModuleType, root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (speaker, recording) of every subset that is there."""
    archive = root / LIBRISPEECH
    for subset in sorted(path.name for path in archive.iterdir() if path.is_dir()):
        listed = datasets.LIBRISPEECH(str(root), subset)
        for k in range(len(listed)):
            path, _, _, speaker, *_ = listed.get_metadata(k)
            yield str(speaker), archive / path


def _vctk(datasets: ModuleType, root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (speaker, recording) of every sentence."""
    listed = datasets.VCTK_092(str(root))
    listed._load_audio = lambda path: (path, 0)  # where the sound is, instead of the sound
    for k in range(len(listed)):
        path, _, _, speaker, _ = listed[k]
        yield speaker, Path(path)
