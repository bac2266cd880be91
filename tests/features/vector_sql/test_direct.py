"""Statements that are only a call of `similar` are answered without DuckDB, with the same rows, notes and errors."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from photogenic.features.vector_sql.direct import call_in
from photogenic.features.vector_sql.extension import VectorSql
from photogenic.warehouse import Database, PhotogenicError, QueryError, Store
from photogenic.warehouse.duckdb_store.query import sql
from photogenic.warehouse.labels.past import Past
from photogenic.warehouse.moment import Moments
from tests.features.vector_sql.test_similar import DIM, Noting, names, world


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    db, _ = world(tmp_path_factory.mktemp("direct"))
    notes: list[str] = []
    db.extension = VectorSql(Store(db, progress=Noting(notes)))
    yield db, notes
    db.extension.close()


def both(opened: tuple[Database, list[str]], text: str, params: object = None):
    """The answer of a call, and that of DuckDB, for which an alias is added; errors as texts."""
    db, notes = opened
    found = []
    for query in (text, f"{text.rstrip().rstrip(';')} as found"):
        notes.clear()
        try:
            frame = sql(db, query, params)
        except PhotogenicError as error:
            found.append((type(error), str(error)))
        else:
            found.append((frame.schema, frame.rows(), list(notes)))
    return found


CALLS = [
    ("from similar('p001')", None),
    (" SELECT *  from\nSimilar ( 'p001' , 5 ) ; ", None),
    ("from similar('p001', k := 3, encoder := 'half', filter := 'gender = ''female''')", None),
    ("from similar('p001', filter => null)", None),
    ("from similar('p001', filter := '')", None),
    ("from similar(null)", None),
    ("from similar($photo, k := $k)", {"photo": "p007", "k": 4}),
    ("from similar($photo, k := $k)", {"PHOTO": "p007", "K": 4}),
    ("from similar(?, k := ?)", ["p007", 4]),
    ("from similar($2, k := $1)", [4, "p007"]),
    ("from similar($v, k := 4, encoder := 'toy-2.0')", {"v": np.arange(DIM, dtype=np.float32)}),
    ("from similar($v, k := 4, encoder := 'toy-2.0')", {"v": np.arange(DIM - 1, dtype=np.float32)}),
    ("from similar('p001', popularity := 0.3, diverse := .5)", None),
    ("from similar('p001', popularity := 0.3, diverse := 0.5, k := 7)", None),
    ("from similar('p001', popularity := $w)", {"w": Decimal("0.25")}),
    ("from similar('p001', per_user := 1, other_users := true, exact := true)", None),
    ("from similar('p001', unlike := 'p002', k := 200)", None),
    ("from similar('p001', k := 0)", None),
    ("from similar('p001', k := -1)", None),
    ("from similar('p001', k := 1.5)", None),
    ("from similar('p001', k := 2.0)", None),
    ("from similar('p001', k := true)", None),
    ("from similar('p001', k := 'x')", None),
    ("from similar('p001', popular := 1)", None),
    ("from similar('nobody')", None),
    ("from similar('p100', encoder := 'half')", None),
    ("from similar('p001', encoder := 'none')", None),
    ("from similar('p001', filter := 'wrong wrong')", None),
    ("from similar($photo)", None),
    ("from similar($photo)", {"photo": "p001", "other": 1}),
    ("from similar($photo)", {"photo": 17}),
    ("from similar($photo)", {"photo": b"no picture"}),
    ("from similar($photo)", {"photo": "p\x00"}),
    ("from similar(text := 'words')", None),
    ("from similar('p001', text := 'words')", None),
    ("from similar('p001', k := null)", None),
]


@pytest.mark.parametrize(("text", "params"), CALLS)
def test_same_answer_as_duckdb(opened, text, params):
    direct, by_duckdb = both(opened, text, params)
    assert direct == by_duckdb


def test_many_calls_with_random_options(opened):
    rng = random.Random(5)
    ids = names(range(120))
    for _ in range(40):
        options = {
            "k": str(rng.randint(1, 40)),
            "encoder": rng.choice(["'toy-2.0'", "'half'", "null"]),
            "filter": rng.choice(["'weight > 3'", "'gender = ''male'''", "'photo_id < ''p050'''"]),
            "per_user": rng.choice(["1", "2", "null"]),
            "popularity": rng.choice(["0", "0.4", "1"]),
            "diverse": rng.choice(["null", "0.7"]),
            "popular": rng.choice(["true", "false"]),
        }
        given = ", ".join(f"{name} := {options[name]}" for name in rng.sample(sorted(options), rng.randint(0, 5)))
        text = f"from similar('{rng.choice(ids)}'{', ' if given else ''}{given})"
        assert call_in(text) is not None
        direct, by_duckdb = both(opened, text)
        assert direct == by_duckdb, text


OTHERS = [
    "from similar('p1') s",
    "from similar('p1') limit 3",
    "select photo_id from similar('p1')",
    "from similar('p1'); from similar('p2')",
    "from similar('p1') -- words",
    "from similar('p1' /* words */)",
    "from similar(E'p\\x31')",
    "from similar('p1' || 'x')",
    "from similar(['p1', 'p2'])",
    "from similar(photo_id)",
    "from similar('p1', k := 1e2)",
    "from similar('p1', k := 1_000)",
    "from similar('p1', k := 99999999999)",
    "from similar('p1', k := 5, 'x')",
    "from similar('p1', k := 5, k := 6)",
    "from similar('p1', 5, k := 6)",
    "from similar('p1', wrong := 5)",
    "from similar()",
    "from similar(k := 5)",
    "from similar(?, k := $1)",
    "from similar($a, encoder := $A)",
    "from similar('p1', query := 'p2')",
    "from similar('p1)",
    "from main.similar('p1')",
    "explain from similar('p1')",
    "from similar('p1', truenull)",
]


@pytest.mark.parametrize("text", OTHERS)
def test_other_statements_are_left_to_duckdb(text):
    assert call_in(text) is None


def test_duckdb_is_not_used_for_a_call(opened, monkeypatch):
    db, _ = opened
    sql(db, "from similar('p001', filter := 'weight > 2')")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("DuckDB was used")

    monkeypatch.setattr(db, "read", refuse)
    assert len(sql(db, "from similar('p002', filter := 'weight > 2')")) == 10
    with pytest.raises(AssertionError, match="DuckDB was used"):
        sql(db, "from similar('p002') limit 2")


def test_limit_of_a_call(opened):
    db, _ = opened
    assert sql(db, "from similar('p001')", limit=3)["rank"].to_list() == [1, 2, 3]


def test_another_moment_is_left_to_duckdb(opened, monkeypatch):
    db, _ = opened
    monkeypatch.setattr(db.extension, "answer", lambda *_: pytest.fail("answered for now"))
    past = Past(db, lambda _: None)
    assert len(sql(past.database(Moments.of("2030-01-01")), "from similar('p001')")) == 10
    past.close()


def test_parameters_are_checked(opened):
    db, _ = opened
    with pytest.raises(QueryError, match=r"needs a value for \$photo"):
        sql(db, "from similar($photo)", {})


def test_a_folder_without_store(tmp_path: Path):
    from tests.features.toy import database

    db = database(tmp_path / "none")
    db.extension = VectorSql(Store(db))
    with pytest.raises(PhotogenicError) as direct:
        sql(db, "from similar('p1')")
    with pytest.raises(PhotogenicError) as by_duckdb:
        sql(db, "from similar('p1') s")
    assert str(direct.value) == str(by_duckdb.value)
