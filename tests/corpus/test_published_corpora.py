"""Published corpora that torchaudio lists, in tiny copies of their layouts, and our own readers."""

import importlib
import os
import wave
from pathlib import Path

import numpy as np
import pytest

from dsel import audio
from dsel.apply.verification import read_trials, verify
from dsel.corpus import published
from dsel.model import ModelConfig, TwoStream
from dsel.toy.plan import Recipe, plan
from dsel.toy.speech import recordings
from dsel.utils.errors import BadInput

REAL = Path(os.environ.get("DSEL_REAL", Path(__file__).resolve().parents[2].parent / "shared/real"))


@pytest.fixture(scope="module")
def datasets():
    """torchaudio's classes; what they say is what ours is compared with."""
    if audio.import_torchaudio() is None:
        pytest.skip("torchaudio is not installed")
    return importlib.import_module("torchaudio.datasets")


def librispeech(root, utterances):
    """Write the layout of LibriSpeech: subset/speaker/chapter/utterance.flac and transcripts."""
    for subset, speaker, chapter, number in utterances:
        folder = root / "LibriSpeech" / subset / str(speaker) / str(chapter)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{speaker}-{chapter}-{number:04d}"
        (folder / f"{name}.flac").touch()
        with (folder / f"{speaker}-{chapter}.trans.txt").open("a", encoding="utf-8") as file:
            file.write(f"{name} SHE SAID SO\n")
    return root


UTTERANCES = [
    ("train-clean-100", 103, 1240, 0),
    ("train-clean-100", 103, 1240, 1),
    ("train-clean-100", 103, 7, 0),
    ("train-clean-100", 19, 198, 3),
    ("train-clean-100", 1034, 121, 0),
    ("dev-clean", 84, 121, 0),
]


@pytest.fixture
def vctk(tmp_path):
    """Two microphones, but p280 has one and p315 has no text."""
    root = tmp_path / "VCTK-Corpus-0.92"
    for speaker, microphones, text in (
        ("p225", (1, 2), True),
        ("p226", (1, 2), True),
        ("p280", (1,), True),
        ("p315", (1,), False),
    ):
        sounds, words = root / "wav48_silence_trimmed" / speaker, root / "txt" / speaker
        sounds.mkdir(parents=True)
        for number in (2, 1):
            if text:
                words.mkdir(parents=True, exist_ok=True)
                (words / f"{speaker}_{number:03d}.txt").write_text("Ask her.\n", encoding="utf-8")
            for k in microphones:
                (sounds / f"{speaker}_{number:03d}_mic{k}.flac").touch()
    return root


@pytest.mark.parametrize("inside", ["", "LibriSpeech"])
def test_all_subsets_of_librispeech_are_read_by_speaker(tmp_path, datasets, inside):
    librispeech(tmp_path, UTTERANCES)
    found = recordings.find(tmp_path / inside)
    assert list(found) == ["103", "1034", "19", "84"]
    assert [path.name for path in found["103"]] == [
        "103-1240-0000.flac",
        "103-1240-0001.flac",
        "103-7-0000.flac",
    ]
    assert sum(map(len, found.values())) == len(UTTERANCES)
    assert all(path.is_file() for paths in found.values() for path in paths)


def test_our_reader_and_torchaudio_find_the_same_in_one_subset(tmp_path, datasets):
    librispeech(tmp_path, [row for row in UTTERANCES if row[0] == "train-clean-100"])
    ours = recordings.find(tmp_path / "LibriSpeech" / "train-clean-100")
    listed = datasets.LIBRISPEECH(str(tmp_path), "train-clean-100")
    theirs = [listed.get_metadata(k) for k in range(len(listed))]
    assert {(name, path.stem) for name, paths in ours.items() for path in paths} == {
        (str(speaker), f"{speaker}-{chapter}-{number:04d}")
        for _, _, _, speaker, chapter, number in theirs
    }
    assert ours == recordings.find(tmp_path)  # speakers and files in the same order, too


@pytest.mark.heavy
def test_real_recordings_in_the_layout_of_the_archive(tmp_path, datasets):
    flat = REAL / "librispeech" / "train-clean-100"
    if not flat.is_dir():
        pytest.skip(f"{flat} is not there")
    chosen = sorted(flat.glob("*.flac"))[:6]
    librispeech(tmp_path, [("train-clean-100", *map(int, path.stem.split("-"))) for path in chosen])
    for path in chosen:
        speaker, chapter, _ = path.stem.split("-")
        place = tmp_path / "LibriSpeech" / "train-clean-100" / speaker / chapter / path.name
        place.write_bytes(path.read_bytes())
    ours, theirs = recordings.find(flat), recordings.find(tmp_path)
    for speaker, (path,) in theirs.items():
        np.testing.assert_array_equal(recordings.read(path), recordings.read(ours[speaker][0]))


@pytest.mark.parametrize("inside", ["", "VCTK-Corpus-0.92"])
def test_of_vctk_each_sentence_is_read_once(vctk, datasets, inside):
    found = recordings.find(vctk.parent / inside)
    assert {name: [path.name for path in paths] for name, paths in found.items()} == {
        "p225": ["p225_001_mic2.flac", "p225_002_mic2.flac"],
        "p226": ["p226_001_mic2.flac", "p226_002_mic2.flac"],
    }
    assert all(path.is_file() for paths in found.values() for path in paths)
    cast = plan(Recipe(speakers=2, validation=0, test=0, voices=str(vctk)))
    assert set(cast) == {"p225", "p226"}


def test_an_archive_without_recordings_or_texts_is_refused_in_one_line(tmp_path, datasets):
    (tmp_path / "LibriSpeech").mkdir()
    with pytest.raises(BadInput, match="finds no recording"):
        recordings.find(tmp_path)
    librispeech(tmp_path, UTTERANCES)
    next(tmp_path.rglob("84-121.trans.txt")).unlink()
    with pytest.raises(BadInput, match=r"84-121\.trans\.txt.*one folder for each speaker"):
        recordings.find(tmp_path)


def voxceleb1(root, rows):
    """Write the layout of VoxCeleb1: wav/speaker/video/number.wav, and the list of trials."""
    for name in sorted({name for _, *names in rows for name in names}):
        path = root / "wav" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(len(name)).integers(-9000, 9000, 16_000)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(noise.astype("<i2").tobytes())
    lines = "".join(f"{target} {a} {b}\n" for target, a, b in rows)
    (root / "veri_test.txt").write_text(lines, encoding="utf-8")
    return root


ROWS = [
    (1, "id1000/aBc_-1/00001.wav", "id1000/xyz/00003.wav"),
    (0, "id1000/aBc_-1/00001.wav", "id1001/q/00001.wav"),
    (1, "id1001/q/00002.wav", "id1001/q/00001.wav"),
]


def test_a_folder_of_voxceleb1_is_judged_like_its_list(tmp_path, datasets):
    voxceleb1(tmp_path, ROWS)
    networks = TwoStream(ModelConfig.laptop(front_end="none")).eval()
    options = {"model": networks, "crops": 1, "progress": False}
    whole = verify(tmp_path, scores=tmp_path / "whole.csv", **options)
    by_list = verify(
        tmp_path / "veri_test.txt", tmp_path / "wav", scores=tmp_path / "list.csv", **options
    )
    assert whole == by_list
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "list.csv").read_bytes()


def test_our_reader_and_torchaudio_read_the_same_list(tmp_path, datasets):
    pairs, folder = published.voxceleb1_trials(voxceleb1(tmp_path, ROWS))
    ours = read_trials(tmp_path / "veri_test.txt")
    assert pairs == list(zip(ours.target.tolist(), ours.a.tolist(), ours.b.tolist(), strict=True))
    assert pairs == [(target == 1, a, b) for target, a, b in ROWS]
    assert folder == tmp_path / "wav"


def test_a_folder_of_another_layout_a_choice_of_lists_and_a_broken_list_are_refused(
    tmp_path, datasets
):
    with pytest.raises(BadInput, match="beside a folder wav"):
        verify(tmp_path)
    voxceleb1(tmp_path, ROWS)
    with pytest.raises(BadInput, match="--audio"):
        verify(tmp_path / "veri_test.txt")
    (tmp_path / "veri_test.txt").write_text("1 a\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"veri_test\.txt: torchaudio cannot list it"):
        verify(tmp_path)
    (tmp_path / "veri_test2.txt").touch()
    with pytest.raises(BadInput, match=r"veri_test\.txt, veri_test2\.txt; give one list"):
        verify(tmp_path)


def test_without_torchaudio_one_line_says_what_to_do(tmp_path, vctk, monkeypatch):
    monkeypatch.setattr(audio, "import_torchaudio", lambda: None)
    with pytest.raises(BadInput, match="install torchaudio or give a folder"):
        recordings.find(vctk)
    with pytest.raises(BadInput, match="install torchaudio or give one list"):
        verify(voxceleb1(tmp_path, ROWS))
