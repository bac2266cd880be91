"""Rows are compared as multisets, with a tolerance for doubles."""

import random

import pytest

from photogenic.warehouse.definitions.examples.differences import ChangedRow, Difference, compare_rows

NAN = float("nan")


def compare(wanted, found, *, keys=("a",), columns=("a", "b"), tolerance=1e-9):
    return compare_rows(columns, keys, wanted, found, tolerance)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([("x", 1), ("y", 2)], [("y", 2), ("x", 1)]),
        ([("x", NAN)], [("x", NAN)]),
        ([("x", 0.0)], [("x", -0.0)]),
        ([("x", 1.0)], [("x", 1.0 + 1e-12)]),
        ([("x", 1e20)], [("x", 1e20 + 2**14)]),
        ([("x", [1.0, None])], [("x", [1.0 + 1e-12, None])]),
        ([("x", float("inf"))], [("x", float("inf"))]),
        ([("x", None)], [("x", None)]),
    ],
)
def test_equal_rows(one, other):
    assert not compare(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([("x", 1)], [("x", 1), ("x", 1)]),
        ([("x", 1)], [("x", True)]),
        ([("x", 0)], [("x", None)]),
        ([("x", 1.0)], [("x", 1.001)]),
        ([("x", float("inf"))], [("x", 1e308)]),
        ([("x", NAN)], [("x", 0.0)]),
        ([("x", [1.0])], [("x", [1.0, 1.0])]),
        ([], [("x", 1)]),
    ],
)
def test_other_rows(one, other):
    assert compare(one, other)
    assert compare(other, one)


def test_a_row_with_the_same_key_has_changed_values():
    found = compare([("x", 1), ("y", 2), ("w", 0)], [("x", 1), ("y", 3), ("z", 4)])
    assert found == Difference(("a", "b"), (("w", 0),), (("z", 4),), (ChangedRow({"a": "y"}, {"b": (2, 3)}),))
    without_key = compare([("y", 2)], [("y", 3)], keys=("c",))
    assert (without_key.missing, without_key.extra, without_key.changed) == ((("y", 2),), (("y", 3),), ())


def test_nearly_equal_rows_are_paired_so_that_as_many_as_possible_fit():
    # The first wanted row fits both found ones; taking the nearer one would leave the second without any.
    wanted, found = [("x", 1.0), ("x", 1.15)], [("x", 1.08), ("x", 0.95)]
    assert not compare(wanted, found, tolerance=0.1)
    rng = random.Random(1)
    for _ in range(50):
        rows = [("x", rng.random()) for _ in range(8)]
        near = [(name, value + rng.uniform(-0.04, 0.04)) for name, value in rows]
        rng.shuffle(near)
        assert not compare(rows, near, tolerance=0.05)
        assert len(compare(rows, near[:-1], tolerance=0.05, keys=()).missing) == 1
