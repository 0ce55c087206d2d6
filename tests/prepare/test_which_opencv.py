"""What is said when the OpenCV that is imported has no cascades."""

import sys
from types import SimpleNamespace

import pytest

from dsel.prepare import face_tracks
from dsel.utils.errors import BadInput


def test_version_5_beside_version_4_is_told_with_what_to_uninstall(monkeypatch):
    """opencv-python and opencv-python-headless write into one folder; installing 4 changes
    nothing."""
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(BadInput, match=r"version 5\.0\.0 is imported: pip uninstall opencv-python"):
        face_tracks.haar()


def test_no_opencv_is_told_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(BadInput, match=r"needs OpenCV 4: pip install 'dsel\[faces\]'"):
        face_tracks.haar()


def test_a_version_without_the_file_of_the_cascade(monkeypatch):
    empty = SimpleNamespace(empty=lambda: True)
    fake = SimpleNamespace(
        __version__="4.99",
        data=SimpleNamespace(haarcascades=""),
        CascadeClassifier=lambda name: empty,
    )
    monkeypatch.setitem(sys.modules, "cv2", fake)
    with pytest.raises(BadInput, match=r"version 4\.99 is imported"):
        face_tracks.haar()
