"""NEAREST joins in the SQL of a store: Python, EXPLAIN, streams, another moment, errors, and what is left behind."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from photogenic import FeatureStore, QueryError
from photogenic.features.search import index
from photogenic.features.vector_sql.nearest import answer_nearest
from photogenic.warehouse import Store
from photogenic.warehouse.duckdb_store.query import stream
from tests.features.search.planted import N, photo_id, planted

JOIN = "exact nearest 3 by distance array_distance(a.embedding, b.embedding)"
QUERY = f"select a.photo_id, b.photo_id as near from vectors_ranked a join vectors_ranked b {JOIN}"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nearest")
    db, _ = planted(folder)
    with FeatureStore(db.layout.root) as opened:
        yield opened


def unrewritten(store, monkeypatch, query, **options):
    with monkeypatch.context() as patch:
        patch.setattr("photogenic.features.vector_sql.rewriting.rewritten", lambda *_: None)
        return store.sql(query, **options)


def test_rows_are_those_of_duckdb_and_of_similar(store, monkeypatch):
    query = QUERY.replace("b.photo_id as near", "array_distance(a.embedding, b.embedding) as d")
    found, want = (one.sort("photo_id", "d") for one in (store.sql(query), unrewritten(store, monkeypatch, query)))
    assert found.equals(want)
    near = store.sql(QUERY).filter(photo_id=photo_id(20))["near"].to_list()
    assert sorted(near) == sorted([photo_id(20), *store.similar(photo_id(20), k=2, encoder="ranked")["photo_id"]])


def test_explain_says_how_each_join_is_answered(store):
    rows = store.sql("explain " + QUERY).rows()
    assert rows[0] == ("nearest", f"NEAREST 3: exact over {N} vectors of vectors_ranked")
    assert rows[1][0] != "nearest"
    (line, *_), *_ = (
        row[1:] for row in store.sql("explain " + QUERY.replace("distance array", "distance -array")).rows()
    )
    assert line.startswith("NEAREST 3: DuckDB compares all pairs of rows, because")


def test_a_join_that_duckdb_answers_is_noted(store):
    notes = []
    store.store.progress.note, former = notes.append, store.store.progress.note
    try:
        store.sql(QUERY)
        assert notes == []
        store.sql(QUERY.replace("distance array", "distance -array"))
    finally:
        store.store.progress.note = former
    assert len(notes) == 1
    assert "its ranking is not a distance" in notes[0]


def test_streams_and_what_is_left_behind(store):
    database = store.store.database
    for _ in range(3):
        with stream(database, QUERY) as cursor:
            assert sum(1 for _ in cursor.rows()) == 3 * N
        with stream(database, QUERY) as cursor:
            next(iter(cursor.rows()))  # and no more
    with stream(database, QUERY) as cursor:
        assert sum(len(batch) for batch in cursor.batches()) == 3 * N
    for k in range(1, 9):
        assert len(store.sql(QUERY.replace("nearest 3", f"nearest {k}"))) == k * N
    with database.read() as con:
        left = con.execute(
            "select table_name from system.main.duckdb_tables() where starts_with(table_name, '_photogenic')"
            " union all select function_name from duckdb_functions()"
            " where starts_with(function_name, '_photogenic_search')"
        ).fetchall()
    assert len(left) == 2 * 4  # the last four answered queries, each with a table and a search
    shown = store.sql("show all tables")["name"].to_list()
    assert "vectors_ranked" in shown
    assert not [name for name in shown if name.startswith("_photogenic")]


def test_a_query_is_kept_until_what_it_reads_changes(tmp_path, monkeypatch):
    db, _ = planted(tmp_path)
    prepared = []
    monkeypatch.setattr(
        "photogenic.features.vector_sql.rewriting.answer_nearest",
        lambda *given, **more: prepared.append(given[1]) or answer_nearest(*given, **more),
    )
    right = "(from vectors_ranked where photo_id < $most)"
    query = f"select a.photo_id, b.photo_id as near from vectors_ranked a join {right} b {JOIN}"
    with FeatureStore(db.layout.root) as store:
        first = store.sql(query, {"most": photo_id(30)})
        assert store.sql(query, {"most": photo_id(30)}).equals(first)
        assert len(prepared) == 1
        assert not store.sql(query, {"most": photo_id(9)}).equals(first)
        assert len(prepared) == 2
        for _ in range(2):  # each time other rows
            store.sql(query.replace("where", "where random() < 0.5 and"), {"most": photo_id(30)})
        assert len(prepared) == 4
        named = query.replace("vectors_ranked a", "vectors_ranked vectors").replace("a.", "vectors.")
        for _ in range(2):  # `vectors` is a name here, and a function there
            store.sql(named, {"most": photo_id(30)})
        assert len(prepared) == 5
        for _ in range(2):
            store.sql(query.replace("where", "where exists (from vectors()) and"), {"most": photo_id(30)})
        assert len(prepared) == 7
        store.erase(store.sql("select user_id from photos where photo_id = $one", {"one": photo_id(20)}).item())
        after = store.sql(query, {"most": photo_id(30)})
        assert len(prepared) == 8
    assert photo_id(20) in set(first["near"])
    assert photo_id(20) not in set(after["near"]) | set(after["photo_id"])


def test_errors_are_those_of_duckdb(store):
    with pytest.raises(QueryError, match="nothing_there"):
        store.sql(QUERY.replace("select a.photo_id", "select a.nothing_there"))
    with pytest.raises(QueryError, match="_photogenic_search_1"):
        store.sql("select _photogenic_search_1([1.0])")
    assert store.sql(QUERY).height == 3 * N


def test_as_of_a_moment(store, monkeypatch):
    moment = {"as_of": "2024-01-03"}
    query = (
        "select a.photo_id, b.photo_id as near from vectors_ranked a join (select v.* from vectors_ranked v semi join"
        f" photo_labels l on l.photo_id = v.photo_id) b {JOIN.replace('3', '1')} where a.photo_id < 'p0100'"
    )
    found, want = (
        one.sort("photo_id", "near")
        for one in (store.sql(query, **moment), unrewritten(store, monkeypatch, query, **moment))
    )
    assert found["photo_id"].equals(want["photo_id"])
    assert found.height < store.sql(query).height or found.height == want.height


def test_other_owners_of_the_opposite_gender_joined_to_like_ratios(store, monkeypatch):
    query = (
        "with p as (select v.photo_id, v.embedding, l.user_id, l.gender from vectors_ranked v join photo_labels l"
        " on l.photo_id = v.photo_id where l.popular) select a.photo_id, b.photo_id as near, r.like_ratio"
        " from p a join lateral (select * from p where p.gender <> a.gender and p.user_id <> a.user_id) b"
        f" {JOIN} join like_ratios r on r.photo_id = b.photo_id"
    )
    assert "rows allowed for each left row" in store.sql("explain " + query).item(0, 1)
    found = store.sql(query)
    assert found.height
    with_distance = query.replace(
        "select a.photo_id", "select array_distance(a.embedding, b.embedding) as d, a.photo_id"
    )
    distances = f"select d from ({with_distance}) order by d"
    assert store.sql(distances).equals(unrewritten(store, monkeypatch, distances))


def test_the_index_answers_approx_where_it_pays(tmp_path, monkeypatch):
    db, _ = planted(tmp_path)
    monkeypatch.setattr("photogenic.features.search.planner.BATCH_SCAN_BYTES", 0)
    monkeypatch.setattr("photogenic.features.search.ivf._MIN_PHOTOS", 10)
    monkeypatch.setattr("photogenic.features.search.ivf.EXACT_BYTES", 0)
    monkeypatch.setattr("photogenic.features.search.ivf._PER_CELL", 10)
    store = Store(db)
    with store.database.lock("test"):
        made = index.build(store, "ranked", recall=0.5)
    assert made.kind != "Flat"
    with FeatureStore(db.layout.root) as opened:
        line = opened.sql("explain " + QUERY.replace("exact", "approx")).item(0, 1)
        assert f"index {made.generation}" in line
        assert "at recall@10" in line
        assert "exact over" in opened.sql("explain " + QUERY).item(0, 1)
        assert opened.sql(QUERY.replace("exact", "approx")).height == 3 * N


def test_files_of_former_vectors_are_unmapped_at_the_next_query(tmp_path):
    db, _ = planted(tmp_path)
    folder = db.layout.embeddings("ranked")

    def mapped():
        lines = Path("/proc/self/maps").read_text().splitlines()
        return {line.split(None, 5)[-1] for line in lines if str(folder) in line}

    with FeatureStore(db.layout.root) as store:
        store.sql(QUERY)
        store.embeddings("ranked")
        former = mapped()
        assert former
        for path in folder.iterdir():  # as a build or an erase replaces them: other files under the same names
            copy = path.with_name(f"{path.name}.copy")
            copy.write_bytes(path.read_bytes())
            copy.replace(path)
        store.embeddings("ranked")
        store.sql(QUERY)
        gc.collect()
        assert mapped() == former
