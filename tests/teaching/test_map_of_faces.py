"""Check the opening map of notebook 00: every point speaks, every speaker has a face and a name."""

import numpy as np
import pytest

pytest.importorskip("plotly")

from dsel.teaching import talking_maps


def picture():
    rng = np.random.default_rng(0)
    speakers = np.repeat(["voice A, woman", "voice B, man"], 3)
    hover = np.array([f"{name}, {k}" for k, name in enumerate(speakers)])
    frame = rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)
    return rng.normal(size=(6, 2)), speakers, hover, dict.fromkeys(speakers, frame)


def test_every_speaker_has_a_face_a_name_and_its_points():
    plane, speakers, hover, faces = picture()
    figure = talking_maps.map_of_faces(plane, speakers, hover, faces)
    assert [note.text for note in figure.layout.annotations] == ["voice A", "voice B"]
    assert all(image.source.startswith("data:image/") for image in figure.layout.images)
    low, high = figure.layout.yaxis.range
    for image in figure.layout.images:
        assert low < image.y - image.sizey / 2 < image.y + image.sizey / 2 < high
    ends = [(line.x1, line.y1) for line in figure.layout.shapes]  # each face points to its heap
    *points, over_faces = figure.data
    for end, own in zip(ends, points, strict=True):
        assert end == pytest.approx((np.median(own.x), np.median(own.y)), abs=1e-3)
    drawn = np.concatenate([np.stack([trace.x, trace.y], 1) for trace in points])
    apart = [
        np.linalg.norm(x[:, None] - x, axis=2) for x in (drawn, plane)
    ]  # turned, else the same
    np.testing.assert_allclose(*apart, atol=3e-3)
    assert np.ptp(drawn, axis=0).argmax() == 0
    assert [text for trace in points for text in trace.text] == hover.tolist()
    assert list(over_faces.text) == [hover[0], hover[3]]  # a face is hovered and clicked, too
    faces = [(image.x, image.y) for image in figure.layout.images]
    np.testing.assert_allclose(faces, np.stack([over_faces.x, over_faces.y], 1), atol=1e-5)


def test_a_face_without_points_is_refused():
    plane, speakers, hover, faces = picture()
    with pytest.raises(ValueError, match="'nobody' has a face"):
        talking_maps.map_of_faces(plane, speakers, hover, {**faces, "nobody": faces[speakers[0]]})


@pytest.mark.parametrize("seed", range(5))
def test_faces_hide_neither_each_other_nor_a_heap(seed):
    middles = np.random.default_rng(seed).normal(size=(8, 2)) * 3
    places = talking_maps.spread(middles, 1.0)
    for k, place in enumerate(places):
        apart = np.abs(np.delete(places, k, axis=0) - place) / (1.25, 1.5)
        assert (apart.max(axis=1) > 0.9).all()
        assert (np.linalg.norm(middles - place, axis=1) > 0.8).all()
