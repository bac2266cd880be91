"""dlib's network in torch gives dlib's vectors, and the aligner places faces as dlib's does."""

from __future__ import annotations

import dlib
import numpy as np
import pytest
from PIL import Image

from photogenic.features.encoders import weights
from photogenic.features.encoders.batch_embedder import Embedder
from photogenic.features.encoders.device import choose, torch_threads
from photogenic.features.encoders.networks.dlib_face import read_dat
from photogenic.features.encoders.registry import encoder
from photogenic.features.faces.align import DLIB, chip, shrinkage, similarity
from photogenic.warehouse import WeightsError


@pytest.fixture(scope="module")
def network():
    with torch_threads(1):
        yield Embedder([encoder("dlib_face")], choose("cpu"), exact=False)


def test_the_network_answers_as_dlib_does(network):
    rng = np.random.default_rng(0)
    faces = [np.array(Image.effect_noise((150, 150), 80).convert("RGB").rotate(int(rng.integers(360))))]
    faces += [rng.integers(0, 256, (150, 150, 3), np.uint8) for _ in range(3)]
    faces += [np.full((150, 150, 3), value, np.uint8) for value in (0, 255)]
    reference = dlib.face_recognition_model_v1(str(weights.resolve(weights.weights("dlib_face"))))
    expected = np.array([reference.compute_face_descriptor(face) for face in faces])
    assert np.abs(network(faces)["dlib_face"] - expected).max() < 1e-5


def test_the_file_holds_29_convolutions_and_a_matrix():
    pairs, matrix = read_dat(weights.resolve(weights.weights("dlib_face")))
    assert [pair[0].shape[0] for pair in pairs] == [32] * 7 + [64] * 8 + [128] * 6 + [256] * 8
    assert pairs[0][0].shape == (32, 3, 7, 7)
    assert matrix.shape == (128, 256)


def test_another_file_is_refused_by_name(tmp_path, monkeypatch):
    whole = weights.resolve(weights.weights("dlib_face")).read_bytes()
    damaged = tmp_path / "dlib_face_recognition_resnet_model_v1.dat"
    damaged.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="ends too early"):
        read_dat(damaged)
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=f"{damaged} is not the published dlib_face"):
        encoder("dlib_face").backbone.module()


def test_a_similarity_is_recovered_exactly():
    anchors = np.array(DLIB.anchors)
    turn = 1.7 * np.exp(0.4j)
    z = (anchors[:, 0] + 1j * anchors[:, 1]) * turn + (31 - 12j)
    points = np.stack([z.real, z.imag], axis=1)[None]
    a, b = similarity(anchors, points, np.array([1, 1, 0.5]))[0]
    assert (a, b) == (pytest.approx(turn), pytest.approx(31 - 12j))


def _keypoints(anchors: np.ndarray) -> np.ndarray:
    """BlazeFace's six keypoints, of which the aligner reads the eyes and the mouth."""
    return np.stack([anchors[0], anchors[1], anchors.mean(axis=0), anchors[2], anchors[0], anchors[1]])


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.6])
def test_a_chip_shows_the_face_where_the_encoder_wants_it(scale):
    # The photo is the scaled chip, with a bright dot at each anchor.
    side = round(150 * scale)
    y, x = np.mgrid[0:side, 0:side] / scale
    anchors = np.array(DLIB.anchors)
    dots = sum(np.exp(-((x - ax) ** 2 + (y - ay) ** 2) / 18) for ax, ay in anchors)
    photo = (dots * 255)[..., None].repeat(3, axis=2).astype(np.uint8)
    keypoints = _keypoints(anchors * scale)
    assert shrinkage(keypoints, DLIB) == pytest.approx(scale)
    cut = chip(photo, keypoints, DLIB)[..., 0].astype(float)
    for ax, ay in anchors:
        near = cut[round(ay) - 7 : round(ay) + 8, round(ax) - 7 : round(ax) + 8]
        cy, cx = (np.indices(near.shape) * near).reshape(2, -1).sum(axis=1) / near.sum()
        assert (round(ax) - 7 + cx, round(ay) - 7 + cy) == (pytest.approx(ax, abs=0.4), pytest.approx(ay, abs=0.4))


def test_outside_the_photo_a_chip_is_black():
    photo = np.full((60, 60, 3), 200, np.uint8)
    beyond = chip(photo, _keypoints(np.array(DLIB.anchors) + 1000), DLIB)
    partly = chip(photo, _keypoints(np.array(DLIB.anchors)), DLIB)
    assert (beyond.shape, beyond.max()) == ((150, 150, 3), 0)
    assert (partly[30, 30, 0], partly[120, 120, 0]) == (200, 0)


def test_shrinking_is_antialiased():
    # Stripes finer than the chip's pixels must average to gray, not to a pattern.
    photo = np.zeros((900, 900, 3), np.uint8)
    photo[:, ::2] = 255
    cut = chip(photo, _keypoints(np.array(DLIB.anchors) * 6), DLIB)
    assert np.abs(cut[10:140, 10:140].astype(int) - 127).max() < 12


def test_vectors_do_not_depend_on_their_batch(network):
    exact = Embedder([encoder("dlib_face")], choose("cpu"))
    faces = list(np.random.default_rng(2).integers(0, 256, (18, 150, 150, 3), np.uint8))
    together = exact(faces)["dlib_face"]
    alone = np.concatenate([exact([face])["dlib_face"] for face in faces[:2]])
    assert np.array_equal(together[:2], alone)
    assert np.array_equal(exact(faces[5:8], flip=True)["dlib_face"], exact(faces, flip=True)["dlib_face"][5:8])
    mirrored = exact([face[:, ::-1] for face in faces[:2]])["dlib_face"]
    assert np.array_equal(exact(faces[:2], flip=True)["dlib_face"], mirrored)
