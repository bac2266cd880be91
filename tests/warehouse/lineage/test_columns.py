"""Which columns a column is made from: every relation of sql/, and SQL that is hard to read."""

import time

import pytest

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import parse, relation
from photogenic.warehouse.lineage.columns import ColumnSources, column_lineage

HEADER = "-- own: a row\n--\n-- grain:  user_id\n-- reads:  {}\n-- time:   now\n-- source: a test\n"
TABLES = {"swipes": ("user_id", "other_id", "liked"), "users": ("user_id", "gender"), "facts.log": ("user_id", "n")}


@pytest.fixture(scope="module")
def columns():
    """Columns of every relation of sql/ and of every base table."""
    with duckdb.connect() as con:
        con.execute(sql.schema())
        query = (
            "select table_name, list(column_name order by column_index) from duckdb_columns()"
            " where schema_name = 'facts' group by all"
        )
        found = {f"facts.{name}": tuple(held) for name, held in con.execute(query).fetchall()}
    return found | {name: tuple(one.name for one in relation(name).columns) for name in sql.NAMES}


def lineage_of(text, *reads, **settings):
    what = parse("own", HEADER.format(", ".join(reads)) + text)
    return column_lineage(what, TABLES, **settings)


def value(text, *reads):
    found = lineage_of(text, *reads)
    assert found.problem is None
    (one,) = found.values.values()
    return one


@pytest.mark.parametrize("name", sql.NAMES)
def test_every_column_of_every_relation_is_resolved(name, columns):
    what = relation(name)
    found = column_lineage(what, columns)
    assert found.problem is None
    assert list(found.values) == [one.name for one in what.columns]
    for column, sources in found.values.items():
        for source, read in (*sources.columns, *found.choosing):
            assert source in what.reads, column
            assert read in columns[source], column
        assert set(sources.rows) <= set(what.reads)
        assert set(sources.parameters) <= set(what.parameters)
    constant = {column for column, sources in found.values.items() if sources == ColumnSources()}
    assert constant <= {"time_window", "source", "setup", "step", "step_no", "stage"}


def test_a_known_column(columns):
    found = column_lineage(relation("photo_labels"), columns)
    assert found.values["value"].columns == (("follower_ratios", "ratio"), ("like_ratios", "like_ratio"))
    assert found.values["popular"].parameters == ("normalise",)
    assert ("like_ratios", "n_swipes") in found.choosing
    counted = column_lineage(relation("recipient_counts"), columns).values
    assert counted["n_swipes"] == ColumnSources(rows=("swipes",))
    assert counted["n_likes"].columns == (("swipes", "liked"),)


@pytest.mark.parametrize(
    ("text", "reads", "expected"),
    [
        ("select cast(user_id as varchar) as x, -- a\nfrom users", ["users"], [("users", "user_id")]),
        (
            "with a as (select * from users) select\n cast(gender as varchar) as x, -- a\nfrom a",
            ["users"],
            [("users", "gender")],
        ),
        (
            "with users as (select * from users) select\n cast(gender as varchar) as x, -- a\nfrom users",
            ["users"],
            [("users", "gender")],
        ),
        (
            "select cast(x as varchar) as x, -- a\nfrom"
            " (select user_id as x from users union all select other_id from swipes)",
            ["users", "swipes"],
            [("swipes", "other_id"), ("users", "user_id")],
        ),
        (
            "select cast(g as varchar) as x, -- a\nfrom (select gender as g, user_id as u from users union all by name"
            " select user_id as u, other_id as g from swipes)",
            ["users", "swipes"],
            [("swipes", "other_id"), ("users", "gender")],
        ),
        (
            "select cast(lag(liked) over (partition by user_id order by other_id) as boolean) as x, -- a\nfrom swipes",
            ["swipes"],
            [("swipes", "liked"), ("swipes", "other_id"), ("swipes", "user_id")],
        ),
        (
            "select cast((select max(n) from facts.log) as bigint) as x, -- a\nfrom users",
            ["users", "facts.log"],
            [("facts.log", "n")],
        ),
        (
            "select cast(count(*) filter (where liked) as bigint) as x, -- a\nfrom swipes",
            ["swipes"],
            [("swipes", "liked")],
        ),
        (
            "select cast(user_id as varchar) as x, -- a\nfrom users full join swipes using (user_id)",
            ["users", "swipes"],
            [("swipes", "user_id"), ("users", "user_id")],
        ),
    ],
    ids=["plain", "star", "cte_of_the_same_name", "union", "union_by_name", "window", "subquery", "filter", "using"],
)
def test_forms_of_sql(text, reads, expected):
    assert list(value(text, *reads).columns) == expected


def test_rows_through_a_cte_and_parameters():
    text = "with a as (select * from swipes where liked = $liked) select\n cast(count(*) as bigint) as x, -- a\nfrom a"
    assert value(text, "swipes") == ColumnSources(rows=("swipes",))
    text = "select cast(n * $factor as bigint) as x, -- a\nfrom facts.log"
    assert value(text, "facts.log") == ColumnSources((("facts.log", "n"),), (), ("factor",))


def test_a_column_in_a_condition_chooses_rows_through_ctes():
    text = (
        "with kept as (select user_id, liked as good from swipes) select\n cast(user_id as varchar) as x, -- a\n"
        "from kept where good"
    )
    found = lineage_of(text, "swipes")
    assert found.values["x"].columns == (("swipes", "user_id"),)
    assert found.choosing == (("swipes", "liked"),)


@pytest.mark.parametrize(
    "text",
    [
        "select cast(nothing as varchar) as x, -- a\nfrom users, swipes",
        "select cast(" + "(" * 3000 + "1" + ")" * 3000 + " as bigint) as x, -- a\nfrom users",
        "not sql; cast(1 as bigint) as x, -- a\n",
    ],
    ids=["unknown_column", "deep", "no_select"],
)
def test_sql_that_cannot_be_resolved_depends_on_all_that_it_reads(text):
    found = lineage_of(text, "users", "swipes")
    assert found.problem is not None
    assert found.values["x"] == ColumnSources(rows=("users", "swipes"))
    assert ("swipes", "liked") in found.choosing


def test_stars_that_double_in_each_cte_end_soon():
    ctes = ["a0 as (select * from users)", *(f"a{n} as (select *, * from a{n - 1})" for n in range(1, 60))]
    text = f"with {', '.join(ctes)} select\n cast(gender as varchar) as x, -- a\nfrom a59"
    began = time.process_time()
    assert "stars" in lineage_of(text, "users").problem
    assert time.process_time() - began < 2


def test_the_time_limit_ends_a_long_search():
    text = "select cast(user_id as varchar) as x, -- a\nfrom users"
    assert "time limit" in lineage_of(text, "users", limit_s=-1.0).problem


def test_an_answer_without_time_is_not_kept(monkeypatch):
    """A page that timed out once shows the columns when it is opened again."""
    text = "select cast(gender as varchar) as x, -- another text\nfrom users"
    clock = iter([0.0, 9.0])
    with monkeypatch.context() as patched:
        patched.setattr(time, "thread_time", lambda: next(clock, 9.0))
        assert "time limit" in lineage_of(text, "users").problem
    assert lineage_of(text, "users").problem is None
