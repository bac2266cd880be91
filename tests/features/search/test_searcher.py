"""Search on a real store finds the true neighbors among exactly the matching photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photogenic.features.search import index
from photogenic.features.search.searcher import Searcher
from photogenic.warehouse import Database, InputError, QueryError, Store, StoreError
from tests.features.toy import clustered, database, put_photos, put_vectors

N, DIM = 300, 12
COLUMNS = ["rank", "photo_id", "user_id", "distance", "like_ratio", "weight", "percentile", "popular", "path"]


def names(rows: np.ndarray | range) -> list[str]:
    return [f"p{row:04d}" for row in rows]


def world(folder: Path, seed: int = 0) -> tuple[Database, np.ndarray]:
    """300 photos, three genders, 0 to 9 swipes each; every tenth photo has the vector of the one before."""
    rng = np.random.default_rng(seed)
    X = clustered(rng, N, DIM, 12) * rng.uniform(1, 2, (N, 1)).astype(np.float32)
    X[9::10] = X[8::10]
    n_swipes = rng.integers(0, 10, N)
    db = database(folder)
    put_photos(
        db,
        pl.DataFrame(
            {
                "photo_id": names(range(N)),
                "gender": [("female", "male", None)[i % 3] for i in range(N)],
                "n_swipes": n_swipes,
                "n_likes": rng.integers(0, n_swipes + 1),
            }
        ),
    )
    put_vectors(db.layout, "toy", names(range(N)), X)
    put_vectors(db.layout, "toy_cosine", names(range(N)), X, metric="cosine")
    index.build(Store(db), "toy")
    index.build(Store(db), "toy_cosine")
    return db, X


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, np.ndarray]:
    return world(tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="module")
def searcher(store: tuple[Database, np.ndarray]) -> Searcher:
    return Searcher(Store(store[0]))


def labels(db: Database) -> pl.DataFrame:
    with db.read() as con:
        return con.sql("select * from photo_labels").pl()


def brute_force(X: np.ndarray, q: np.ndarray, matching: list[str], k: int, encoder: str) -> list[tuple[str, float]]:
    """Sorted by distance, then id, in float64."""
    X64, q64 = X.astype(np.float64), q.astype(np.float64)
    if encoder == "toy":
        every = np.linalg.norm(X64 - q64, axis=1)
    else:
        unit = (X64.T / np.linalg.norm(X64, axis=1)).T
        every = 1 - unit @ (q64 / np.linalg.norm(q64))
    by_id = {name: round(every[int(name[1:])], 7) for name in matching}
    return sorted(by_id.items(), key=lambda item: (item[1], item[0]))[:k]


PREDICATES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "gender = 'female'": lambda frame: frame.filter(pl.col("gender") == "female"),
    "gender is null": lambda frame: frame.filter(pl.col("gender").is_null()),
    "weight >= 5 and value < 0.5": lambda frame: frame.filter(pl.col("weight") >= 5, pl.col("value") < 0.5),
    "like_ratio = 1 -- a comment": lambda frame: frame.filter(pl.col("value") == 1),
    "photo_id < 'p0010'": lambda frame: frame.filter(pl.col("photo_id") < "p0010"),
    "width > 305": lambda frame: frame.filter(pl.col("weight") > 5),
    "photo_id in (select photo_id from photo_setups where split = 'train')": lambda frame: frame,
    "false": lambda frame: frame.clear(),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.integers(0, N - 1),
    k=st.integers(1, 40),
    where=st.sampled_from([None, *PREDICATES]),
    popular=st.booleans(),
    encoder=st.sampled_from(["toy", "toy_cosine"]),
)
def test_equals_a_scan_of_what_matches(
    store: tuple[Database, np.ndarray],
    searcher: Searcher,
    query: int,
    k: int,
    where: str | None,
    popular: bool,
    encoder: str,
) -> None:
    db, X = store
    known = labels(db)
    if where is None and not popular:
        matching = names(range(N))
    else:
        frame = known if where is None else PREDICATES[where](known)
        if where and "train" in where:
            with db.read() as con:
                train = con.sql("select photo_id from photo_setups where split = 'train'").pl()
            frame = known.join(train, on="photo_id", how="semi")
        matching = frame.filter(pl.col("popular")) if popular else frame
        matching = matching["photo_id"].to_list()
    own = names([query])[0]
    expected = brute_force(X, X[query], [name for name in matching if name != own], k, encoder)
    found = searcher.similar(own, k=k, where=where, popular=popular, encoder=encoder)
    assert found.columns == COLUMNS
    assert found["rank"].to_list() == list(range(1, len(expected) + 1))
    np.testing.assert_allclose(found["distance"], [distance for _, distance in expected], atol=2e-7)
    assert found["photo_id"].to_list() == [name for name, _ in expected]


def test_each_result_has_the_label_and_path_of_its_photo(
    store: tuple[Database, np.ndarray], searcher: Searcher
) -> None:
    found = searcher.similar("p0000", k=N, encoder="toy")
    assert len(found) == N - 1
    known = labels(store[0])
    joined = found.join(known, on="photo_id", how="left", suffix="_label", maintain_order="left")
    assert joined["like_ratio"].equals(joined["value"], null_equal=True)
    for column in ("weight", "percentile", "popular"):
        assert joined[column].equals(joined[f"{column}_label"], null_equal=True)
    assert joined["like_ratio"].null_count() > 0  # photos without swipes are found too
    assert (found["user_id"] == "u-" + found["photo_id"]).all()
    assert (found["path"] == found["photo_id"] + ".jpg").all()


def test_the_same_vector_twice_comes_in_order_of_id(searcher: Searcher) -> None:
    found = searcher.similar("p0008", k=1, encoder="toy")
    assert found.select("photo_id", "distance").rows() == [("p0009", 0.0)]
    twins = searcher.find(np.array(searcher.cache.index("toy").vectors[8:9]), k=2, encoder="toy").photos
    assert twins["photo_id"].to_list() == ["p0008", "p0009"]


def test_a_search_by_vector_or_in_batches_is_the_same(store: tuple[Database, np.ndarray], searcher: Searcher) -> None:
    _, X = store
    ids = names(range(0, N, 7))
    where = "gender = 'male'"
    many = searcher.find(ids, k=5, encoder="toy_cosine", where=where)
    assert many.photos["query"].to_list() == sorted(many.photos["query"].to_list())
    for number, photo_id in enumerate(ids):
        one = searcher.similar(photo_id, k=5, encoder="toy_cosine", where=where)
        assert many.photos.filter(query=number).drop("query").equals(one)
    vector = searcher.similar(X[0], k=6, encoder="toy")
    assert vector["photo_id"].to_list()[0] == "p0000"  # a vector is not a photo, so no photo is left out
    assert vector["photo_id"].to_list()[1:] == searcher.similar("p0000", k=5, encoder="toy")["photo_id"].to_list()


def test_fewer_than_k_matches_are_noted(store: tuple[Database, np.ndarray]) -> None:
    class Notes:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def note(self, text: str) -> None:
            self.lines.append(text)

    notes = Notes()
    db, _ = store
    found = Searcher(Store(db, notes)).similar("p0001", k=10, encoder="toy", where="photo_id <= 'p0004'")  # type: ignore[arg-type]
    assert len(found) < 10
    assert notes.lines == [f"{len(found)} photos match; 10 were requested."]


def test_an_unknown_photo_names_near_ones(searcher: Searcher) -> None:
    with pytest.raises(InputError, match=r"p0017"):
        searcher.similar("p00170", encoder="toy")


def test_a_photo_without_a_vector_says_why(tmp_path: Path) -> None:
    db, X = world(tmp_path)
    put_vectors(db.layout, "toy", names(range(10)), X[:10])
    index.build(Store(db), "toy")
    with pytest.raises(InputError, match="no toy vector"):
        Searcher(Store(db)).similar("p0200", encoder="toy")


@pytest.mark.parametrize(
    "where",
    [
        "nonsense = 1",
        "gender = ",
        "",
        " ",
        "true; select 1",
        "true) union select * from users --",
        "true) or (false",
        "sum(value) > 1",
        "1; drop",
    ],
)
def test_a_bad_predicate_names_the_columns(searcher: Searcher, where: str) -> None:
    with pytest.raises(QueryError, match=r"percentile, path.*\n.*--where"):
        searcher.similar("p0000", encoder="toy", where=where)


def test_invalid_vectors_and_k_are_refused(searcher: Searcher) -> None:
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        searcher.similar(np.ones(3, np.float32), encoder="toy")
    with pytest.raises(InputError, match="finite"):
        searcher.similar(np.full(DIM, np.nan, np.float32), encoder="toy")
    with pytest.raises(InputError, match="from 1 to"):
        searcher.similar("p0000", k=0, encoder="toy")


def test_a_store_without_labels_names_the_build_command(tmp_path: Path) -> None:
    db = database(tmp_path)
    with db.write("test"):
        pass
    put_vectors(db.layout, "toy", ["a"], np.ones((1, 3)))
    index.build(Store(db), "toy")
    with pytest.raises(StoreError, match="features build"):
        Searcher(Store(db)).similar(np.ones(3, np.float32), encoder="toy")


def test_photos_that_left_the_store_vanish_before_the_index_is_rebuilt(tmp_path: Path) -> None:
    db, _X = world(tmp_path)
    with Searcher(Store(db)) as searcher:
        before = searcher.similar("p0000", k=3, encoder="toy")["photo_id"].to_list()
        with db.write("erase") as con:
            con.execute("delete from facts.photos where photo_id in (select unnest($1))", [before])
        after = searcher.similar("p0000", k=3, encoder="toy")["photo_id"].to_list()
        assert not set(before) & set(after)
        with pytest.raises(InputError, match="no photo"):
            searcher.similar(before[0], encoder="toy")


def test_new_photos_are_found_after_the_next_index(tmp_path: Path) -> None:
    db, X = world(tmp_path)
    put_vectors(db.layout, "toy", names(range(N - 1)), X[:-1])
    index.build(Store(db), "toy")
    with Searcher(Store(db)) as searcher:
        assert "p0299" not in searcher.similar(X[-1], k=N, encoder="toy")["photo_id"].to_list()
        put_vectors(db.layout, "toy", names(range(N)), X)
        index.build(Store(db), "toy")
        assert "p0299" in searcher.similar(X[-1], k=N, encoder="toy")["photo_id"].to_list()


def test_the_ivf_index_answers_batches_within_the_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photogenic.features.search.ivf.EXACT_BYTES", 0)
    monkeypatch.setattr("photogenic.features.search.ivf._MIN_PHOTOS", 100)
    db, _X = world(tmp_path)
    (db.layout.index("toy") / "manifest.json").unlink()
    assert index.build(Store(db), "toy", recall=0.9).kind.startswith("IVF")
    with Searcher(Store(db)) as searcher:
        males = set(labels(db).filter(gender="male")["photo_id"])
        for where, way in ((None, "ivf"), ("gender = 'male'", "selector")):
            found = searcher.find(names(range(N)), k=5, encoder="toy", where=where, exact=False)
            assert found.plan.way == way
            assert found.recall >= 0.9
            assert found.photos.group_by("query").len()["len"].to_list() == [5] * N
            assert where is None or set(found.photos["photo_id"]) <= males
            true = searcher.find(names(range(N)), k=5, encoder="toy", where=where, exact=True)
            assert true.plan.way == "exact"
            assert (true.photos["photo_id"] == found.photos["photo_id"]).mean() > 0.85
        few = searcher.find(["p0000"], k=50, encoder="toy", where="photo_id < 'p0020'", exact=False)
        assert len(few.photos) == few.n_matching - 1  # all matching photos without itself


def test_filters_are_cached_within_their_memory(store: tuple[Database, np.ndarray]) -> None:
    db, _ = store
    some = labels(db).filter(gender="female").height * DIM * 4
    with Searcher(Store(db), cache_bytes=some + 10) as searcher:
        female = searcher.cache.photo_filter("toy", "gender = 'female'")
        assert searcher.cache.photo_filter("toy", "gender = 'female'") is female
        searcher.cache.photo_filter("toy", "gender is not null")  # larger than the cache
        assert searcher.cache.photo_filter("toy", "gender = 'female'") is female
        searcher.cache.photo_filter("toy", "gender = 'female' and weight > 1")
        assert searcher.cache.photo_filter("toy", "gender = 'female'") is not female
