"""The exact search against a plain float64 scan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.exact import Metric, distances, nearest, unit_rows


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
    """|x|^2 is 1e8 times the squared distances: float32 scores alone would be noise."""
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
