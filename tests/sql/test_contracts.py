"""Every file of sql/ fulfills its contract: header, columns, the portable subset, the build order."""

import re

import pytest
from sqlglot import exp

from photogenic import sql
from photogenic.warehouse import QueryError, Store
from photogenic.warehouse.catalog import parse, relation
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.spark.sql_translate import faults, to_spark, tree_of
from tests.warehouse.small import add_facts, ask, store

NAMES = sql.NAMES


def read_by(tree):
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    tables = (f"{t.db}.{t.name}" if t.db else t.name for t in tree.find_all(exp.Table))
    return {table for table in tables if table not in ctes}


@pytest.mark.parametrize("name", NAMES)
def test_header_says_what_is_read_and_which_options_count(name):
    what, tree = relation(name), tree_of(sql.read(name))
    assert set(what.reads) == read_by(tree)
    header = re.search(r"^-- parameters: (.+)$", what.text, re.MULTILINE)
    assert set(what.parameters) == set(header[1].split(", ") if header else ())
    assert set(what.parameters) <= set(LabelOptions.__dataclass_fields__)


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_cast_and_explained(name):
    what, tree = relation(name), tree_of(sql.read(name))
    final = tree.expressions
    assert all(isinstance(item, exp.Alias) and isinstance(item.this, exp.Cast) for item in final)
    assert [item.alias for item in final] == [column.name for column in what.columns]
    assert all(column.comment for column in what.columns)
    assert what.grain == "one row" or what.grain.startswith("one row per ") or what.keys


@pytest.mark.parametrize("name", NAMES)
def test_relation_stays_in_the_subset_that_spark_shares(name):
    text = sql.read(name)
    assert list(faults(tree_of(text))) == []
    assert to_spark(text).startswith(("SELECT", "WITH"))
    assert "facts." not in to_spark(text)


def test_audits_that_look_at_facts_stay_in_the_subset_too():
    texts = [text for text in (sql.read(f"audits/{name}") for name in sql.audits()) if "facts." in text]
    assert texts
    for text in texts:
        assert to_spark(text).startswith(("SELECT", "WITH"))


def test_relations_read_only_what_is_there_before_them():
    known = set()
    for name in NAMES:
        assert {read for read in relation(name).reads if not read.startswith("facts.")} <= known, name
        known.add(name)
    for name in sql.RELATIONS:
        assert not [read for read in relation(name).reads if read.startswith("facts.")], "a relation reads views"


@pytest.mark.parametrize(
    "text",
    [
        "select 1.5 as x",
        "select cast(a / b as bigint) as x from t",
        "select cast(sqrt(a) as integer) as x from t",
        "select arg_max(a, b) as x from t",
        "select list(a order by b) as x from t",
        "select t.a from t asof join u on t.a >= u.a",
        "select date_diff('hour', a, b) as x from t",
        "select quantile_cont(a, 0.5e0) as x from t",
        "select cast(a as decimal) as x from t",
        "select cast(a as timestamptz) as x from t",
        "select a + 1 as x from t where x > 2",
        "select avg(a) as x from t",
        "select * exclude (a) from t",
    ],
)
def test_what_spark_reads_otherwise_is_refused(text):
    assert list(faults(tree_of(text)))
    with pytest.raises(QueryError, match="another meaning in Spark"):
        to_spark(text)


def test_parameters_reach_spark_with_their_types():
    assert "CAST(:hashtag AS STRING)" in to_spark(sql.read("posts"))
    assert "CAST(:earliest_post AS TIMESTAMP_NTZ)" in to_spark(sql.read("posts"))


def test_columns_in_the_store_are_those_of_the_headers(tmp_path):
    db = store(tmp_path)
    add_facts(db)
    build_labels(Store(db))
    query = (
        "select column_name, lower(data_type) from duckdb_columns() where table_name = '{}' and schema_name = 'main'"
    )
    for name in NAMES:
        assert ask(db, query.format(name)) == [(column.name, column.type) for column in relation(name).columns]


@pytest.mark.parametrize("name", sql.RELATIONS)
def test_grain_is_unique(name, crowded):
    what = relation(name)
    if what.keys:
        keys = ", ".join(what.keys)
        assert ask(crowded, f"select {keys}, count(*) from {name} group by all having count(*) > 1") == []
    else:
        assert ask(crowded, f"select count(*) from {name}") == [(1,)]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    from tests.sql.test_plain import random_facts

    facts, db = random_facts(1), store(tmp_path_factory.mktemp("crowded"))
    add_facts(db, users=facts.users, photos=facts.photos, main_photos=facts.main_photos, swipes=facts.swipes)
    build_labels(Store(db))
    return db


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("select 1", "must begin with"),
        ("-- other: a row\n--\n-- grain: x\nselect 1", "must begin with"),
        ("-- name: a row\n--\n-- grain: x\n-- reads: y\nselect 1", "lacks time, source"),
    ],
)
def test_a_header_that_says_too_little_is_refused(text, fault):
    with pytest.raises(ValueError, match=fault):
        parse("name", text)
