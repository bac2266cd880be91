"""Exact search equals a plain float64 scan."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photogenic.features.search.exact import Metric, distances, nearest, nearest_rows, on_gpu, unit_rows
from photogenic.features.search.ivf import IvfIndex


def brute_force(X: np.ndarray, q: np.ndarray, k: int, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """All distances in float64, sorted by (distance, row)."""
    X64, q64 = X.astype(np.float64), q.astype(np.float64)
    if metric == "l2":
        every = np.linalg.norm(X64 - q64, axis=1)
    else:
        every = np.array([1 - (x @ q64) / (np.linalg.norm(x) * np.linalg.norm(q64)) for x in X64])
    rows = np.lexsort((np.arange(len(X)), every))[:k]
    return every[rows], rows


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 300),
    dim=st.integers(1, 40),
    k=st.integers(1, 40),
    q=st.sampled_from([1, 3, 30]),
    metric=st.sampled_from(["l2", "cosine"]),
    known_squares=st.booleans(),
)
def test_equals_a_float64_scan(
    seed: int, n: int, dim: int, k: int, q: int, metric: Metric, known_squares: bool
) -> None:
    rng = np.random.default_rng(seed)
    X, Q = rng.normal(size=(n, dim)).astype(np.float32), rng.normal(size=(q, dim)).astype(np.float32)
    X = unit_rows(X) if metric == "cosine" else X
    squares = np.einsum("nd,nd->n", X, X) if known_squares else None
    found, rows = nearest(X, Q, k, metric, squares=squares)
    for i in range(q):
        expected, expected_rows = brute_force(X, Q[i], k, metric)
        np.testing.assert_allclose(found[i], expected, atol=1e-7)
        if dim > 1:  # on a line, cosine distances are all 0 or 2 up to rounding, and ties are noise
            np.testing.assert_array_equal(rows[i], expected_rows)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("copies", [5, 60, 5000])
def test_equal_vectors_come_in_row_order_however_many(metric: Metric, copies: int) -> None:
    rng = np.random.default_rng(1)
    X = unit_rows(rng.normal(size=(copies + 500, 33)).astype(np.float32))
    crowd = np.sort(rng.permutation(len(X))[:copies])
    X[crowd] = X[crowd[0]]
    found, rows = nearest(X, X[crowd[:1]], 10, metric)
    np.testing.assert_array_equal(rows[0][: min(copies, 10)], crowd[:10])
    np.testing.assert_allclose(found[0][: min(copies, 10)], 0, atol=1e-15)


def test_vectors_far_from_the_origin_keep_their_order() -> None:
    """|x|^2 is 1e8 times the squared distances, so float32 scores alone would have a random order."""
    rng = np.random.default_rng(2)
    X = (1000 + 0.1 * rng.normal(size=(3000, 16))).astype(np.float32)
    Q = X[:25] + np.float32(0.01)
    _, rows = nearest(X, Q, 10, "l2")
    squares = np.einsum("nd,nd->n", X, X)
    for i, q in enumerate(Q):
        np.testing.assert_array_equal(nearest(X, Q[i : i + 1], 10, "l2", squares=squares)[1][0], rows[i])
        np.testing.assert_array_equal(rows[i], brute_force(X, q, 10, "l2")[1])


def test_a_zero_vector_is_at_cosine_distance_one() -> None:
    X = np.eye(3, dtype=np.float32)
    X[1] = 0
    found, rows = nearest(X, np.array([[1, 0, 0]], np.float32), 3, "cosine")
    np.testing.assert_array_equal(rows, [[0, 1, 2]])
    np.testing.assert_array_equal(found, [[0, 1, 1]])


def test_nothing_to_search_is_an_empty_answer() -> None:
    X = np.empty((0, 4), np.float32)
    found, rows = nearest(X, np.ones((2, 4), np.float32), 5, "l2")
    assert found.shape == rows.shape == (2, 0)


def test_a_missing_candidate_is_at_infinity() -> None:
    X = np.ones((2, 4), np.float32)
    rows = np.array([[1, -1]])
    np.testing.assert_array_equal(distances(X, rows, X[:1], "l2"), [[0, np.inf]])


def test_a_gpu_is_used_only_where_there_is_one_and_the_switch_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.delenv("FEATURES_GPU", raising=False)
    assert on_gpu()
    monkeypatch.setenv("FEATURES_GPU", "0")
    assert not on_gpu()
    monkeypatch.delenv("FEATURES_GPU")
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    assert not on_gpu()


needs_gpu = pytest.mark.skipif(not getattr(faiss, "get_num_gpus", lambda: 0)(), reason="FAISS sees no GPU here")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_a_gpu_finds_the_same_rows_in_a_matrix_searched_in_parts(
    monkeypatch: pytest.MonkeyPatch, metric: Metric
) -> None:
    monkeypatch.setattr("photogenic.features.search.exact._GPU_PART", 2**20)
    rng = np.random.default_rng(3)
    X, Q = (rng.normal(1, 1, size=(n, 200)).astype(np.float32) for n in (20_000, 300))
    X[rng.permutation(len(X))[:200]] = X[7]
    Q[0] = X[7]
    X = unit_rows(X) if metric == "cosine" else X
    asked, knn_gpu = [], faiss.knn_gpu
    monkeypatch.setattr(faiss, "knn_gpu", lambda *given, **named: asked.append(1) or knn_gpu(*given, **named))
    by_gpu = nearest(X, Q, 20, metric)
    assert asked
    monkeypatch.setenv("FEATURES_GPU", "0")
    by_cpu = nearest(X, Q, 20, metric)
    np.testing.assert_array_equal(by_gpu[1], by_cpu[1])
    np.testing.assert_array_equal(by_gpu[0], by_cpu[0])


@pytest.mark.gpu
@needs_gpu
def test_cells_learned_on_a_gpu_serve_as_well_as_those_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    X = (rng.normal(size=(300, 64))[rng.integers(300, size=20_000)] + rng.normal(0, 0.3, (20_000, 64))).astype(
        np.float32
    )
    reached = {}
    for switch in ("1", "0"):
        monkeypatch.setenv("FEATURES_GPU", switch)
        ivf = IvfIndex.train(X, "IVF256,SQ8")
        assert ivf.index.ntotal == len(X)
        reached[switch] = ivf.tune(X, "l2", 0.95), ivf.nprobe
    assert reached["1"][0] >= 0.95
    assert reached["1"][1] <= 2 * reached["0"][1]


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("k", [1, 5, 40, 300])
def test_rows_alone_are_those_of_the_search_with_distances(metric, k):
    rng = np.random.default_rng(k)
    X = rng.normal(size=(250, 12)).astype(np.float32)
    X[40:60] = X[40]  # equal distances are in row order
    X[60:80] = X[60] + rng.normal(size=(20, 12)).astype(np.float32) * 1e-6
    X[80:90] *= np.float32(1e-18)
    X[90:100] *= np.float32(1e18)
    Q = np.vstack([X[:120], rng.normal(size=(30, 12)).astype(np.float32)])
    if metric == "cosine":
        X = unit_rows(X)
    for some in (X, X[:40]):
        want, rows = nearest(some, Q, k, metric)
        found = nearest_rows(some, Q, k, metric)
        assert found.shape == rows.shape
        assert np.allclose(*(distances(some, one, Q, metric) for one in (found, rows)), rtol=1e-6, atol=1e-12)
        assert (found[want > 0] == rows[want > 0]).mean() > 0.99  # sums in float64 depend on the size of a block
    assert (nearest_rows(X, Q[40:60], 20, metric) == np.arange(40, 60)).all()
