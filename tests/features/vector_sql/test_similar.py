"""Vectors and searches in SQL: the same rows as from Python, and clear errors for every argument."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.features.search import index
from photogenic.features.search.searcher import Searcher
from photogenic.features.vector_sql.extension import VectorSql
from photogenic.warehouse import Database, InputError, PhotogenicError, QueryError, Store, StoreError
from photogenic.warehouse.duckdb_store.query import sql, stream
from photogenic.warehouse.labels.past import Past
from photogenic.warehouse.moment import Moments
from tests.features.toy import clustered, database, put_photos, put_vectors

N, DIM = 120, 6


class Noting:
    """Progress that keeps notes."""

    def __init__(self, said: list[str]) -> None:
        self.note = said.append

    @contextlib.contextmanager
    def stage(self, *stage: object, **options: object) -> Iterator[Callable[[int], None]]:
        yield lambda _: None


SHARED = ["rank", "photo_id", "user_id", "distance", "like_ratio", "weight", "percentile", "popular", "path"]


def names(rows: range) -> list[str]:
    return [f"p{row:03d}" for row in rows]


def world(folder: Path) -> tuple[Database, np.ndarray]:
    """120 photos of three genders; the encoder `toy-2.0` has vectors of all, `half` of the first 60."""
    rng = np.random.default_rng(1)
    X = clustered(rng, N, DIM, 8)
    db = database(folder)
    put_photos(
        db,
        pl.DataFrame(
            {
                "photo_id": names(range(N)),
                "gender": [("female", "male", None)[i % 3] for i in range(N)],
                "n_swipes": rng.integers(1, 9, N),
                "n_likes": 1,
            }
        ),
    )
    put_vectors(db.layout, "toy-2.0", names(range(N)), X, metric="cosine")
    put_vectors(db.layout, "half", names(range(60)), X[:60])
    for name in ("toy-2.0", "half"):
        index.build(Store(db), name)
    db.extension = VectorSql(Store(db))
    return db, X


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, np.ndarray]]:
    db, X = world(tmp_path_factory.mktemp("vectors"))
    yield db, X
    assert db.extension is not None
    db.extension.close()
    db.close()


@pytest.fixture(scope="module")
def db(made: tuple[Database, np.ndarray]) -> Database:
    return made[0]


def test_vectors_are_rows_with_the_stored_numbers(made: tuple[Database, np.ndarray]) -> None:
    db, X = made
    found = sql(db, "from vectors_toy_2_0 order by photo_id")
    assert found.schema == {"photo_id": pl.String, "embedding": pl.Array(pl.Float32, DIM)}
    np.testing.assert_array_equal(found["embedding"].to_numpy(), X)
    distances = sql(
        db,
        "select array_distance(embedding, (select embedding from vectors_half where photo_id = 'p000')) as d,"
        " list_cosine_similarity(embedding::float[], embedding::float[]) as same from vectors_half order by photo_id",
    )
    np.testing.assert_allclose(distances["d"].to_numpy(), np.linalg.norm(X[:60] - X[0], axis=1), rtol=1e-5)
    np.testing.assert_allclose(distances["same"].to_numpy(), 1, rtol=1e-6)


def test_vectors_of_deleted_photos_are_no_rows(tmp_path: Path) -> None:
    db, _ = world(tmp_path)
    with db.write("test") as con:
        con.execute("delete from facts.photos where photo_id = 'p003'")
    assert sql(db, "select count(*) from vectors_half").item() == 59
    assert sql(db, "select count(*) from vectors_half where photo_id = 'p003'").item() == 0
    with pytest.raises(InputError, match="There is no photo 'p003'"):
        sql(db, "from similar('p003')")


def test_vectors_lists_every_encoder(db: Database) -> None:
    found = sql(db, "select encoder, relation, dim, metric, n_photos, index_kind from vectors() order by encoder")
    assert found.rows() == [
        ("half", "vectors_half", DIM, "l2", 60, "Flat"),
        ("toy-2.0", "vectors_toy_2_0", DIM, "cosine", N, "Flat"),
    ]


def test_catalogs_show_the_relations_and_nothing_internal(db: Database) -> None:
    shown = sql(db, "show tables")["name"].to_list()
    assert {"photos", "vectors_half", "vectors_toy_2_0"} <= set(shown)
    listed = sql(db, "select table_name from information_schema.tables where table_name like '%vectors%' order by 1")
    assert listed["table_name"].to_list() == ["vectors_half", "vectors_toy_2_0"]
    described = sql(db, "describe vectors_half").select("column_name", "column_type").rows()
    assert described == [("photo_id", "VARCHAR"), ("embedding", f"FLOAT[{DIM}]")]
    assert sql(db, "show vectors_half").select("column_name", "column_type").rows() == described
    assert "vectors_half" in db.with_added(_catalog(db)).names


def _catalog(db: Database) -> object:
    from photogenic.warehouse.catalog import catalog_of

    with db.read() as con:
        return catalog_of(con)


OPTIONS = {
    "": {},
    "k := 3": {"k": 3},
    "k := 1000": {"k": 1000},
    "k := 7, encoder := 'half'": {"k": 7, "encoder": "half"},
    "filter := 'gender = ''female'' and weight > 2'": {"where": "gender = 'female' and weight > 2"},
    "filter := 'false'": {"where": "false"},
    "popular := true, k := 4": {"popular": True, "k": 4},
    "popular := true, popular_within := 'gender'": {"popular": True, "popular_within": "gender"},
    "popularity := 0.4": {"popularity": 0.4},
    "popularity := 1, popularity_by := 'percentile'": {"popularity": 1.0, "popularity_by": "percentile"},
    "diverse := 0.5, k := 6": {"diverse": 0.5, "k": 6},
    "per_user := 1, other_users := true": {"per_user": 1, "other_users": True},
    "exact := true": {"exact": True},
    "k := null, encoder := null": {},
}


@pytest.mark.parametrize("written", OPTIONS)
def test_rows_are_those_of_python(db: Database, written: str) -> None:
    comma = ", " if written else ""
    with Searcher(Store(db)) as searcher:
        expected = searcher.similar("p007", **OPTIONS[written])  # type: ignore[arg-type]
    found = sql(db, f"from similar('p007'{comma}{written}) order by rank")
    assert found.columns == [*SHARED, "score"]
    assert found.select(expected.columns).equals(expected)
    assert sql(db, f"from similar($1{comma}{written}) order by rank", ["p007"]).equals(found)


def test_queries_are_vectors_and_lists_of_photos_too(made: tuple[Database, np.ndarray]) -> None:
    db, X = made
    with Searcher(Store(db)) as searcher:
        by_vector = searcher.similar(X[5], k=4)
        together = searcher.similar(["p001", "p002"], k=4, unlike=["p009"])
    written = ", ".join(map(str, X[5].tolist()))
    for query in (f"[{written}]", f"[{written}]::float[{DIM}]", f"[{written}]::double[]"):
        assert sql(db, f"from similar({query}, k := 4) order by rank").select(SHARED).equals(by_vector)
    assert sql(db, "from similar($v, k := 4) order by rank", {"v": X[5]}).select(SHARED).equals(by_vector)
    found = sql(db, "from similar(['p001', 'p002'], k := 4, unlike := 'p009') order by rank")
    assert found.select(SHARED).equals(together)


def test_each_row_of_a_lateral_join_has_its_own_options(db: Database) -> None:
    query = (
        "select q.n, s.photo_id from (values (1, 'p001', 2, 'true'), (2, 'p002', 3, 'gender = ''male'''),"
        " (3, null, 3, 'true'), (4, 'p001', 2, 'true'), (5, 'p003', null, 'true'), (6, 'p003', 2, null))"
        " as q(n, id, k, f),"
        " similar(q.id, k := q.k, filter := q.f) as s order by q.n, s.rank"
    )
    found = sql(db, query)
    assert found.group_by("n", maintain_order=True).len().rows() == [(1, 2), (2, 3), (4, 2), (5, 10)]
    one = sql(db, "select photo_id from similar('p002', k := 3, filter := 'gender = ''male''') order by rank")
    assert found.filter(pl.col("n") == 2)["photo_id"].to_list() == one["photo_id"].to_list()


def test_a_photo_without_a_vector_has_no_similar_photos_and_a_note_says_so(db: Database) -> None:
    said: list[str] = []
    with FeatureStore(db.layout.root, progress=Noting(said)) as store:
        found = store.sql(
            "select id, near.photo_id from (values ('p001'), ('p099')) as q(id)"
            " left join lateral similar(q.id, k := 1, encoder := 'half') as near on true order by id"
        )
        assert found["photo_id"].is_null().to_list() == [False, True]
        assert store.sql("from similar('p099', encoder := 'half')").is_empty()
        with pytest.raises(InputError, match="There is no photo 'p999'"):
            store.sql("from (values ('p001'), ('p999')) as q(id), similar(q.id, encoder := 'half')")
    assert said == ["Photos without a half vector have no similar photos."] * 2


def test_no_photo_matches_a_filter_that_is_null(db: Database) -> None:
    assert sql(db, "from similar('p001', filter := null)").is_empty()
    assert len(sql(db, "from similar('p001', k := 3)")) == 3


def test_left_join_lateral_keeps_rows_without_results(db: Database) -> None:
    found = sql(
        db,
        "select id, photo_id from (values ('p001'), (null)) as q(id)"
        " left join lateral similar(q.id, k := 1) as s on true order by id",
    )
    assert found["photo_id"].null_count() == 1
    assert len(found) == 2


def test_columns_of_one_name_are_numbered_in_a_frame(db: Database) -> None:
    found = sql(db, "from (from vectors_half limit 1) as v, similar(v.photo_id, k := 2) as s")
    assert found.columns[:4] == ["photo_id", "embedding", "rank", "photo_id_1"]
    assert sql(db, "select 1 as a, 2 as a, 3 as a_1").row(0) == (1, 2, 3)


def test_many_filters_are_answered_one_by_one(db: Database) -> None:
    found = sql(
        db,
        "select i, s.photo_id from range(90) as r(i),"
        " similar('p000', k := 1, encoder := 'toy-2.0',"
        " filter := 'photo_id = ''p' || lpad((i + 10)::varchar, 3, '0') || '''') as s",
    )
    assert sorted(found.rows()) == [(i, f"p{i + 10:03d}") for i in range(90)]


WRONG = {
    "similar('p00')": (InputError, "There is no photo 'p00'"),
    "similar('/etc/passwd')": (InputError, "There is no photo '/etc/passwd'"),
    "similar('p001', k := 0)": (InputError, "k is 0"),
    "similar('p001', k := -1)": (InputError, "k is -1"),
    "similar('p001', k := 1.5)": (InputError, "k is 1.5"),
    "similar('p001', k := 'x')": (InputError, "k is 'x'"),
    "similar('p001', k := true)": (InputError, "k is True"),
    "similar('p001', k := 100000000000)": (InputError, "k is 100000000000"),
    "similar('p001', popularity := 'nan'::double)": (InputError, "popularity is nan"),
    "similar('p001', popularity := 2)": (InputError, "popularity is 2"),
    "similar('p001', popular := 1)": (InputError, "popular is 1"),
    "similar('p001', popularity_by := 'x')": (InputError, "popularity"),
    "similar('p001', encoder := 'none')": (StoreError, "no search index for none"),
    "similar('p001', filter := '')": (QueryError, "It is empty"),
    "similar('p001', filter := 'nothing > 1')": (QueryError, "nothing"),
    "similar('p001', filter := 'true; drop view photos')": (QueryError, "cannot be evaluated"),
    "similar('p001', filter := 'exists (from read_text(''/etc/passwd''))')": (QueryError, "read_text"),
    "similar('p001', filter := 'photo_id in (select photo_id from similar(''p001''))')": (QueryError, "similar"),
    "similar('p001', filter := 5)": (InputError, "filter is 5"),
    "similar([])": (InputError, "empty list"),
    "similar([]::float[])": (InputError, "empty list"),
    "similar([1, 2])": (InputError, r"shape \(2,\)"),
    "similar([1, 2, 3, 4, 5, null])": (InputError, "with a NULL"),
    "similar(['p001', null])": (InputError, "with a NULL"),
    "similar([1, 2, 3, 4, 5, 'nan'::float])": (InputError, "not finite"),
    "similar([1, 2, 3, 4, 5, 'inf'::double])": (InputError, "not finite"),
    "similar([[1, 2], [3, 4]])": (InputError, "of type list"),
    "similar({'a': 1})": (InputError, "of type struct"),
    "similar(map {'a': 1})": (InputError, "of type map"),
    "similar(17)": (InputError, "of type int32"),
    "similar(current_date)": (InputError, "of type date32"),
    "similar('p001'::blob)": (InputError, "The picture is not_an_image"),
    "similar(''::blob)": (InputError, "The picture is empty"),
    "similar('p001', kk := 1)": (QueryError, "similar cannot be called like this"),
    "similar()": (InputError, "similar has neither a query nor a text"),
    "similar(true)": (InputError, "similar has neither a query nor a text"),
    "main.similar('p001')": (QueryError, "name of a schema"),
    "temp.similar('p001')": (QueryError, "name of a schema"),
    '"temp"."main"."similar"(\'p001\')': (QueryError, "name of a schema"),
    "temp.vectors()": (QueryError, "name of a schema"),
    "similr('p001')": (QueryError, "perhaps similar"),
    "vectors_hal": (QueryError, "vectors_half"),
    "_photogenic_similar(1)": (QueryError, "no function"),
    "_photogenic_vectors_half": (QueryError, "not a relation"),
    'temp."_photogenic_vectors_half"': (QueryError, "not a relation"),
    '"_PHOTOGENIC_list", vectors()': (QueryError, "not a relation"),
}


@pytest.mark.parametrize("written", WRONG)
def test_an_argument_that_is_wrong_gets_an_error_of_three_parts(db: Database, written: str) -> None:
    kind, says = WRONG[written]
    for run in (lambda: sql(db, f"from {written}"), lambda: _streamed(db, f"from {written}")):
        with pytest.raises(kind, match=says) as caught:
            run()
        assert isinstance(caught.value, PhotogenicError)
        assert "Invalid Input" not in str(caught.value)
        assert "_photogenic_" not in str(caught.value) or "_photogenic_" in written


def _streamed(db: Database, query: str) -> None:
    with stream(db, query) as cursor:
        cursor.batches().read_all()


@pytest.mark.parametrize(
    "query",
    [
        "select _photogenic_similar(1, 'p001')",
        "describe _photogenic_vectors_half",
        "summarize _photogenic_vectors_half",
        "show _photogenic_vectors_half",
        "select * from vectors_half, similar('p001') where exists (from _photogenic_vectors_half)",
    ],
)
def test_no_query_reaches_what_the_relations_are_made_of(db: Database, query: str) -> None:
    with pytest.raises(QueryError):
        sql(db, query)


def test_a_name_of_our_own_can_be_that_of_a_with(db: Database) -> None:
    query = "with vectors_half as (select 1 as a), vectors as (select 2 as b) from vectors_half, vectors"
    assert sql(db, query).rows() == [(1, 2)]


def test_an_error_of_one_query_is_not_that_of_the_next(db: Database) -> None:
    with pytest.raises(InputError):
        sql(db, "from similar('nobody')")
    with pytest.raises(QueryError, match="abc"):
        sql(db, "select abc from similar('p001')")
    assert len(sql(db, "from similar('p001', k := 2)")) == 2


def test_a_moment_has_its_own_labels_and_photos(db: Database) -> None:
    past = Past(db)
    try:
        early = past.database(Moments.of(as_of="2024-01-15"))
        assert sql(early, "select max(weight) from similar('p001')").item() is None
        assert sql(early, "select count(*) from vectors_half").item() == 60
        before = past.database(Moments.of(known_at="2020-01-01"))
        assert sql(before, "select count(*) from vectors_half").item() == 0
        assert len(sql(before, "from similar('p001')")) == 0
        with pytest.raises(QueryError, match="name of a schema"):
            sql(past.database(Moments.of({"jan": "2024-01-15"})), "from jan.similar('p001')")
        assert len(sql(past.database(Moments.of({"jan": "2024-01-15"})), "from similar('p001')")) == 10
    finally:
        past.close()


def test_more_results_at_once_than_fit_are_refused(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photogenic.features.vector_sql.similar.MOST_RESULTS", 100)
    with pytest.raises(QueryError, match="12 searches with k := 10"):
        sql(db, "from (from vectors_half limit 12) as v, similar(v.photo_id) as s")
    assert len(sql(db, "from (from vectors_half limit 9) as v, similar(v.photo_id) as s")) == 90


def test_a_search_without_memory_is_a_clear_error(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    for name, query in (("answer", "from similar('p001') as found"), ("answer_one", "from similar('p001')")):
        monkeypatch.setattr(f"photogenic.features.vector_sql.similar.{name}", full)
        with pytest.raises(QueryError, match="needs more memory"):
            sql(db, query)


def test_vectors_of_float16_are_converted_as_they_are_read(tmp_path: Path) -> None:
    from photogenic.features.vectors import reader
    from photogenic.features.vectors.writer import VectorWriter
    from tests.features.toy import toy_encoder

    db, X = world(tmp_path)
    writer = VectorWriter(db.layout, toy_encoder("small", DIM, "l2"), "", dtype="float16")
    ids = names(range(10))
    writer.append(ids, [f"{i:064x}" for i in range(10)], [False] * 10, X[:10])
    writer.commit(pl.DataFrame({"photo_id": ids, "sha256": [f"{i:064x}" for i in range(10)]}))
    assert reader.manifest(db.layout, "small").dtype == "float16"
    found = sql(db, "from vectors_small order by photo_id")
    np.testing.assert_array_equal(found["embedding"].to_numpy(), X[:10].astype(np.float16).astype(np.float32))
    assert sql(db, "select count(*) from vectors_small where array_distance(embedding, embedding) = 0").item() == 10
