"""NEAREST joins answered by our search have the rows, columns and types of DuckDB's own."""

from __future__ import annotations

import pytest

from photogenic.features.vector_sql.nearest import answer_nearest, discard
from tests.features.vector_sql.joins import answered, open_duckdb, random_query, same_as_duckdb

PAIR = "from vectors_x a join vectors_x b"
NEAREST = "exact nearest 3 by distance array_distance(a.embedding, b.embedding)"


@pytest.fixture(scope="module")
def store():
    con, sources = open_duckdb()
    yield con, sources
    con.close()


@pytest.mark.parametrize("seed", range(40))
def test_random_queries_have_the_rows_of_duckdb(store, seed):
    same_as_duckdb(*store, random_query(seed))


@pytest.mark.thorough
@pytest.mark.parametrize("start", range(0, 2_000, 100))
def test_many_random_queries_have_the_rows_of_duckdb(start):
    con, sources = open_duckdb(seed=start)
    for seed in range(start, start + 100):
        same_as_duckdb(con, sources, random_query(10_000 + seed))
    con.close()


@pytest.mark.parametrize(
    "query",
    [
        f"from vectors_x a join vectors_x b {NEAREST}",
        f"select b.* from vectors_x a left join vectors_y b {NEAREST}",
        f"select distance from (select array_distance(a.embedding, b.embedding) as distance from vectors_x a"
        f" join vectors_x b {NEAREST}) where distance > 0",
        "with a as (from vectors_y), b as (select * from vectors_x) select a.photo_id, b.photo_id"
        f" from a join b {NEAREST}",
        f"select 1 from vectors_x a join vectors_x b {NEAREST} union all select 2",
        f"select a.photo_id, b.photo_id, l.gender from vectors_x a join vectors_x b {NEAREST}"
        " join labels l on l.photo_id = b.photo_id where l.popular",
        f"select a.photo_id, b.photo_id, c.photo_id from vectors_x a join vectors_x b {NEAREST}"
        " join vectors_y c exact nearest 2 by similarity array_cosine_similarity(b.embedding, c.embedding)",
        f"select (select count(*) from vectors_y a join vectors_y b {NEAREST}) as n",
        "select a.photo_id, e from vectors_x a join (select embedding as e from vectors_y) b"
        " nearest by distance array_distance(a.embedding, e)",
        "select a.photo_id, y from vectors_x a join (from vectors_y) b(x, y)"
        " nearest 2 by distance array_distance(a.embedding, b.y)",
        "select a.photo_id from vectors_x a join vectors_x b approx nearest 2 by distance a.embedding <=> b.embedding",
        "select count(*) from vectors_x b join vectors_x c nearest 2 by distance"
        " array_distance([1, 2, 3, 4, 5, 6]::float[6], c.embedding)",
        f"select * exclude (embedding) from labels l join vectors_x a using (photo_id) join vectors_x b {NEAREST}",
        f"summarize from vectors_x a join vectors_y b {NEAREST}",
        f"describe from vectors_x a join vectors_y b {NEAREST}",
        f"select a.photo_id, list(b.photo_id order by b.photo_id) from vectors_x a join vectors_x b {NEAREST}"
        " group by all having count(*) > 2",
        f"select distinct * from vectors_x a join vectors_y b {NEAREST} order by all limit 10",
    ],
)  # fmt: skip
def test_queries_are_answered_by_the_search(store, query):
    plan = same_as_duckdb(*store, query)
    assert plan
    assert all("vectors of vectors_" in line for line in plan), plan


def test_parameters_anywhere(store):
    query = (
        "select a.photo_id, b.photo_id, $label as label from (from vectors_x where photo_id < $until) a"
        " join (from vectors_x where photo_id >= $since) b exact nearest 2 by distance"
        " array_distance(a.embedding, b.embedding) where b.photo_id > $after"
    )
    values = {"label": "x", "until": "p050", "since": "p020", "after": "p030"}
    assert "exact over 70 vectors" in same_as_duckdb(*store, query, values)[0]
    marks = (
        "select ?::varchar, a.photo_id, b.photo_id from vectors_x a join (from vectors_x where photo_id < ?) b exact"
        " nearest 2 by distance array_distance(a.embedding, b.embedding) where a.photo_id > ?"
    )
    assert "exact over 50 vectors" in same_as_duckdb(*store, marks, {"1": "x", "2": "p050", "3": "p010"})[0]


def test_parameters_in_conditions_on_the_left_side(store):
    query = (
        "select a.photo_id, b.photo_id from (select * from vectors_x v join labels l using (photo_id)) a join lateral"
        " (select v.* from vectors_x v join labels l using (photo_id) where l.like_ratio > a.like_ratio - $gap) b"
        f" {NEAREST}"
    )
    assert "for each left row" in same_as_duckdb(*store, query, {"gap": 0.2})[0]


def test_conditions_on_a_left_column_whose_type_has_a_word_of_sql(store):
    query = (
        "select a.photo_id, b.photo_id from (select *, 'no limit set'::enum('no limit set') as note from vectors_x) a"
        " join lateral (select v.* from vectors_y v join labels l using (photo_id) where l.gender <> a.note) b"
        f" {NEAREST}"
    )
    assert "for each left row" in same_as_duckdb(*store, query)[0]


@pytest.mark.parametrize(
    "condition",
    [
        "a.embedding is not null and l.popular",
        "list_contains(a.genders, l.gender)",
        "l.gender = a.both.gender and a.both is not null",
        "l.like_ratio > a.like_ratio or a.until = 'infinity'::timestamp",
        "a.hours is not null and l.popular",
    ],
)
@pytest.mark.parametrize("n", [5, 90])
def test_conditions_on_lists_structs_and_odd_values_of_the_left_side(store, condition, n):
    left = (
        "select *, [gender] as genders, {'gender': gender} as both, 'infinity'::timestamp as until,"
        f" to_hours(3) as hours from vectors_x join labels using (photo_id) order by photo_id limit {n}"
    )
    right = f"select v.* from vectors_x v join labels l using (photo_id) where {condition}"
    query = f"select a.photo_id, b.photo_id from ({left}) a join lateral ({right}) b {NEAREST}"
    assert "for each left row" in same_as_duckdb(*store, query)[0]


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_products_that_are_not_numbers_are_no_error(store, number):
    query = (
        f"select count(*) from (select ['{number}'::float for x in range(6)]::float[6] as embedding) a"
        " join vectors_x b exact nearest 3 by similarity array_inner_product(a.embedding, b.embedding)"
    )
    assert "exact over" in same_as_duckdb(*store, query)[0]


def test_a_with_under_the_name_of_the_markers_is_left_to_duckdb(store):
    query = (
        "with _photogenic_rows_vectors_x as (select 'p001' as photo_id, {'vectors_x': 99999::int} as embedding)"
        f" select a.photo_id, b.photo_id {PAIR} {NEAREST}"
    )
    assert "a WITH in the query has a name" in same_as_duckdb(*store, query)[0]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (f"{PAIR} nearest 2 by distance -array_distance(a.embedding, b.embedding)", "ranking"),
        (f"{PAIR} nearest 2 by similarity array_distance(a.embedding, b.embedding)", "farthest"),
        ("from labels a join labels b nearest 2 by distance array_distance([a.like_ratio]::float[1],"
         " [b.like_ratio]::float[1])", "no relation"),
        (f"from vectors_x a join (select distinct embedding from vectors_x) b {NEAREST}", "DISTINCT"),
        (f"from vectors_x a join (select embedding from vectors_x group by embedding) b {NEAREST}", "groups"),
        (f"from vectors_x a join (from vectors_x where embedding[1] > 0) b {NEAREST}", "computes with the vectors"),
        (f"from vectors_x a join (from vectors_x union from vectors_y) b {NEAREST}", "UNION"),
        (f"from vectors_x a join (select photo_id, [1, 2, 3, 4, 5, 6]::float[6] as embedding from labels) b {NEAREST}",
         "no relation of vectors"),
        (f"select #1 from vectors_x a join vectors_x b {NEAREST}", "places"),
        (f"select b from vectors_x a join vectors_x b {NEAREST}", "whole rows"),
        (f"select columns('photo.*') from vectors_x a join vectors_x b {NEAREST}", "COLUMNS"),
        (f"with vectors_x as (from vectors_y) from vectors_y a join vectors_x b {NEAREST}", None),
        (f"{PAIR} nearest 2 by distance array_distance(b.embedding, b.embedding)", "right side"),
        (f"with b as (from vectors_x using sample 50 rows (reservoir, 1)) from vectors_x a join b {NEAREST}", "random"),
    ],
)  # fmt: skip
def test_other_joins_are_left_to_duckdb_and_the_plan_says_why(store, query, why):
    found = answered(*store, query)
    discard(store[0], found)
    (line,) = found.plan
    if why is None:
        assert "exact over" in line or "no relation" in line
    else:
        assert "DuckDB compares all pairs of rows, because" in line
        assert why in line
        same_as_duckdb(*store, query)


def test_zero_vectors_have_no_cosine_and_are_left_to_duckdb():
    con, sources = open_duckdb()
    sources.held["vectors_y"]._X[3] = 0
    query = "select count(*) from vectors_x a join vectors_y b nearest 2 by distance a.embedding <=> b.embedding"
    (line,) = same_as_duckdb(con, sources, query)
    assert "length zero" in line
    query = query.replace("count(*)", "a.photo_id, b.photo_id").replace("<=>", "<->")
    assert "exact over 45" in same_as_duckdb(con, sources, query)[0]
    con.close()


def test_equal_distances_are_in_order_of_photo_id():
    con, sources = open_duckdb()
    sources.held["vectors_x"]._X[10:20] = sources.held["vectors_x"]._X[10]
    found = answered(
        con,
        sources,
        "select b.photo_id from (from vectors_x where photo_id = 'p015') a join vectors_x b exact nearest 4 by distance"
        " array_distance(a.embedding, b.embedding) order by 1",
    )
    assert con.execute(found.text).fetchall() == [("p010",), ("p011",), ("p012",), ("p013",)]
    con.close()


def test_a_query_nested_too_deeply_is_left_to_duckdb(store):
    con, sources = store
    inner = f"(select count(*) from vectors_x a join vectors_x b {NEAREST})"
    deep = "select " + "1 + (" * 700 + inner + ")" * 700
    found = answer_nearest(con, deep, None, sources)
    assert found is None or found.text == deep


def test_a_vector_with_a_null_inside_is_an_error(store):
    con, sources = store
    found = answered(
        con, sources, "from (select [1, 2, null, 4, 5, 6]::float[6] as embedding) a join vectors_x b " + NEAREST
    )
    with pytest.raises(Exception, match="NULL"):
        con.execute(found.text).fetchall()


def test_queries_without_the_join_are_not_touched(store):
    con, sources = store
    assert answer_nearest(con, "from vectors_x", None, sources) is None
    assert answer_nearest(con, "select 1 as nearest", None, sources) is None
    assert answer_nearest(con, "from vectors_x a join vectors_x b nearest 2 by", None, sources) is None


def test_left_joins_return_the_vectors_of_the_right_side(store):
    con, sources = store
    found = answered(
        con,
        sources,
        "select b.photo_id, b.embedding, l.gender from labels l left join vectors_y v using (photo_id) left join"
        " (from vectors_x where photo_id < 'p020') b nearest 2 by distance array_distance(v.embedding, b.embedding)",
    )
    rows = con.execute(found.text).fetchall()
    discard(con, found)
    vectors = dict(con.execute("select photo_id, embedding from vectors_x").fetchall())
    assert len(rows) == 2 * 45 + 45
    assert all(embedding == vectors.get(photo_id) for photo_id, embedding, _ in rows)
