"""`features sql` over vectors: how a NEAREST join was answered is said where it matters."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from photogenic.app.cli.main import program
from photogenic.warehouse import InputError, QueryError
from tests.features.search.test_searcher import world

NEAREST = "exact nearest 2 by distance array_distance(a.embedding, b.embedding)"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    db, _ = world(tmp_path_factory.mktemp("cli"))
    return db.layout.root


def sql(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(program, ["sql", *arguments, "--store", str(root)])


def test_a_join_that_duckdb_answers_is_said_on_stderr(root: Path) -> None:
    slow = f"select count(*) from vectors_toy a join (from vectors_toy where embedding[1] > 0) b {NEAREST}"
    done = sql(root, slow)
    assert done.exit_code == 0, done.output
    assert "NEAREST 2: DuckDB compares all pairs of rows, because its right side computes" in done.stderr
    assert "NEAREST" not in done.stdout
    assert not sql(root, f"select count(*) from vectors_toy a join vectors_toy b {NEAREST}").stderr


def test_show_describes_the_table_functions(root: Path) -> None:
    assert sql(root, "--show", "similar").stdout.startswith("-- similar(query, k := 10, encoder := null")
    assert sql(root, "--show", "vectors").stdout.startswith("-- vectors(): the encoders")


def test_a_table_function_among_expressions_is_sent_to_from(root: Path) -> None:
    error = sql(root, "select similar('p0001')").exception
    assert isinstance(error, QueryError)
    assert error.what.startswith("similar is a table function: ")
    assert error.remedy == "from similar(...)"


def test_searches_say_once_what_they_compare(root: Path) -> None:
    calls = "(from vectors_toy limit 20) v, similar(v.photo_id, k := 2, encoder := 'toy', popular := true) s"
    done = sql(root, f"select count(*) from {calls}")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("Popular: above the median of") == 1
    done = sql(
        root, f"select count(*) from {calls.replace('v.photo_id', 'v.embedding').replace('popular', 'other_users')}"
    )
    assert "so other_users leaves out no photo for it" in done.stderr


def test_words_in_place_of_a_photo_are_told_where_they_belong(root: Path) -> None:
    error = sql(root, "from similar('a person on a beach', encoder := 'toy')").exception
    assert isinstance(error, InputError)
    assert error.what == "There is no photo 'a person on a beach'."
    assert "text := '...'" in error.expected
