"""Distances of vectors of any size are correct and never NaN: squares out of range, zeros, and NaN in the input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from photogenic import FeatureStore
from photogenic.features.compute.pipeline import embed_files
from photogenic.features.encoders.base import Backbone, Encoder
from photogenic.features.encoders.registry import ENCODERS, register
from photogenic.features.search import index
from photogenic.features.search.exact import is_extreme, nearest, unit_rows
from photogenic.features.search.ivf import IvfIndex
from photogenic.features.vectors import reader
from photogenic.warehouse import InputError
from tests.features.search.test_exact import brute_force

SIZES = [1e-44, 1e-38, 1e-30, 1e-20, 1e-15, 1.0, 1e15, 1e19, 1e30, 3e37]


@pytest.mark.parametrize("size", SIZES)
def test_unit_rows_have_length_one_whatever_their_size(size):
    X = np.random.default_rng(0).normal(size=(50, 9)).astype(np.float64)
    X[7] = 0
    unit = unit_rows((X * size).astype(np.float32))
    true = (X * size).astype(np.float32).astype(np.float64)
    lengths = np.linalg.norm(true, axis=1, keepdims=True)
    expected = np.divide(true, lengths, out=np.zeros_like(true), where=lengths > 0)
    np.testing.assert_allclose(unit, expected, atol=1e-6)
    assert np.isfinite(unit).all()


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("known_squares", [False, True])
@pytest.mark.parametrize("size", SIZES[1:])
def test_the_nearest_of_very_long_and_very_short_vectors(metric, known_squares, size):
    rng = np.random.default_rng(1)
    X = (rng.normal(size=(400, 6)) * size).astype(np.float32)
    X[::50] = (X[::50] / 1e3).astype(np.float32)
    Q = (rng.normal(size=(9, 6)) * size).astype(np.float32)
    X = unit_rows(X) if metric == "cosine" else X
    with np.errstate(over="ignore"):
        squares = np.einsum("nd,nd->n", X, X) if known_squares else None
    for some in (Q, Q[:2]):
        found, rows = nearest(X, some, 10, metric, squares=squares)
        for i, q in enumerate(some):
            expected, expected_rows = brute_force(X, q, 10, metric)
            np.testing.assert_array_equal(rows[i], expected_rows)
            np.testing.assert_allclose(found[i], expected, rtol=1e-6, atol=1e-7 if metric == "cosine" else 0)


def test_vectors_of_every_size_at_once():
    rng = np.random.default_rng(2)
    X = (rng.normal(size=(300, 5)) * 10.0 ** rng.uniform(-37, 37, (300, 1))).astype(np.float32)
    X[3] = 0
    for Q in (X[:40], X[:3]):
        found, rows = nearest(X, Q, 5, "l2")
        for i, q in enumerate(Q):
            assert found[i].tolist() == pytest.approx(brute_force(X, q, 5, "l2")[0].tolist(), rel=1e-9)
            assert rows[i][0] == i


@pytest.mark.parametrize("size", [1.0, 1e18, 1e30])
def test_an_ivf_index_gives_true_distances(size):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(2000, 8)).astype(np.float32)
    ivf = IvfIndex.train(X, "IVF16,SQ8")
    ivf.nprobe = 16
    found, rows = ivf.search((X * np.float32(size)), (X[:20] * np.float32(size)), 5, "l2")
    assert np.isfinite(found[rows >= 0]).all()
    true = np.linalg.norm(X[rows[:, 1]].astype(np.float64) - X[:20].astype(np.float64), axis=1) * size
    if size == 1.0:
        np.testing.assert_allclose(found[:, 1], true, rtol=1e-5)


def test_extreme_vectors_are_detected():
    assert not is_extreme(np.zeros((3, 3), np.float32))
    assert not is_extreme(np.ones((3, 3), np.float32))
    assert is_extreme(np.full((3, 3), 1e16, np.float32))
    assert is_extreme(np.full((3, 3), 1e-16, np.float32))


class Net(torch.nn.Module):
    """Embed the mean color; white photos give NaN."""

    def forward(self, x):
        colour = x.mean((2, 3))
        colour[colour[:, 0] > 0.98] = float("nan")
        return {"o": colour * 1e6}


@pytest.fixture
def odd_encoder():
    backbone = Backbone("odd", "photo", 32, "centre", (0, 0, 0), (255, 255, 255), lambda _: Net())
    register(Encoder("odd", backbone, "o", dim=3, metric="cosine", licence="CC0-1.0", source="mine"))
    yield
    del ENCODERS["odd"]


@pytest.mark.parametrize(("dtype", "kept"), [("float32", ["black", "red"]), ("float16", ["black"])])
def test_an_encoder_that_returns_no_numbers_costs_these_photos_and_no_others(tmp_path, odd_encoder, dtype, kept):
    for name, colour in {"white": (255, 255, 255), "black": (0, 0, 0), "red": (120, 0, 0)}.items():
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "photos.csv").write_text(
        "photo_id,user_id,path\nwhite,u1,white.png\nblack,u2,black.png\nred,u3,red.png\n"
    )
    with FeatureStore(tmp_path / "store") as store:
        store.ingest_photos(tmp_path / "photos.csv", images=tmp_path)
        report = store.build(encoders=["odd"], dtype=dtype)
        assert report.computed.bad_vectors == {"odd": 3 - len(kept)}
        assert report.computed.computed == {"odd": len(kept)}
        assert reader.read(store.layout, "odd")[0] == kept
        assert index.load(store.layout, "odd").ids.to_list() == kept
        again = store.build(encoders=["odd"], dtype=dtype)
        assert again.computed.bad_vectors == {"odd": 3 - len(kept)}
        with pytest.raises(InputError, match="bad_vector"):
            store.similar(str(tmp_path / "white.png"), encoder="odd")
        found = store.similar("black", encoder="odd", k=2)["distance"].to_list()
        assert all(distance == distance for distance in found)
    [told] = embed_files([tmp_path / "white.png"], "odd")
    assert (told.status, told.embedding) == ("bad_vector", None)
