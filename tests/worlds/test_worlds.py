"""A sample of random worlds: WORLDS=10 takes ten, `python -m tests.worlds` any number, `make soak` 500."""

import os

import pytest

from tests.worlds.compare import compared, difference
from tests.worlds.compare_own import own_compared

WORLDS = int(os.environ.get("WORLDS", "3"))


@pytest.mark.parametrize("seed", range(1000, 1000 + WORLDS))
def test_relations_say_what_a_recount_says(seed, tmp_path):
    found = compared(seed, tmp_path)
    assert found.wrong == []
    assert found.n_compared >= 10


@pytest.mark.parametrize(
    ("seed", "n"), [(1, 5), *(pytest.param(seed, 10, marks=pytest.mark.thorough) for seed in range(3000, 3010))]
)
@pytest.mark.timeout(600)
def test_own_relations_say_what_their_sql_says_by_hand(seed, n, tmp_path):
    found = own_compared(seed, tmp_path, n)
    assert found.wrong == []
    assert found.n_compared >= 5 * n
    assert found.actions["computed"] >= found.n_own


@pytest.mark.thorough  # quick: tests/warehouse/spark/test_engine.py
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2000, 2000 + max(1, WORLDS // 10)))
def test_spark_says_the_same(seed, tmp_path, master):
    found = compared(seed, tmp_path, master)
    assert found.wrong == []
    assert found.n_spark == 1


def test_a_wrong_row_is_found():
    wanted = {"a": (1, 0.5), "b": (2, None)}
    assert difference(wanted, dict(wanted)) is None
    for said in (wanted | {"a": (1, 0.51)}, wanted | {"b": (2, 0.0)}, {"a": (1, 0.5)}, wanted | {"c": (0, 0.0)}):
        assert difference(wanted, said) is not None
    assert difference({1, 2}, {1}) is not None
    assert difference((1.0, None), (1.0, 0.0)) is not None
