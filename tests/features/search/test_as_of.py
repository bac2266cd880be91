"""Search as of an instant finds the photos that existed then, with the labels of that time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.features.search import index
from photogenic.features.search.searcher import Searcher
from photogenic.warehouse import InputError, QueryError, Store
from photogenic.warehouse.labels import past
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.labels.past import open_moments
from tests.features.toy import SETTINGS, put_photos, put_vectors

JANUARY, MARCH, MAY = (dt.datetime(2024, month, 15) for month in (1, 3, 5))
NAMES = [f"p{i}" for i in range(6)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    """Six photos on a line. p4 and p5 arrived in April, with swipes that lowered the like ratio of p1."""
    made = FeatureStore(tmp_path_factory.mktemp("past") / "store", settings=SETTINGS)
    put_photos(
        made.database,
        pl.DataFrame({"photo_id": NAMES, "gender": "female", "n_swipes": [4] * 6, "n_likes": [1, 4, 2, 3, 4, 4]}),
    )
    april = "timestamp '2024-04-01'"
    with made.database.write("test") as con:
        for table in ("photos", "photo_files", "main_photos"):
            con.execute(f"update facts.{table} set ingested_at = {april} where photo_id in ('p4', 'p5')")
        con.execute(
            f"insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at)"
            f" select 't-' || range, 'u-p1', false, {april}, {april} from range(12)",
        )
    build_labels(Store(made.database), options=LabelOptions(min_swipes=2))
    put_vectors(made.layout, "toy", NAMES, np.arange(6, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32))
    index.build(Store(made.database), "toy")
    with made:
        yield made


def ratios_found(store: FeatureStore, **asked: object) -> list[tuple[str, float]]:
    """Search; `at` is a moment of both clocks."""
    if (at := asked.pop("at", None)) is not None:
        asked |= {"as_of": at, "known_at": at}
    return store.similar("p0", k=9, encoder="toy", **asked).select("photo_id", "like_ratio").rows()  # type: ignore[arg-type]


def test_later_photos_are_not_found_and_labels_are_as_of_the_instant(store: FeatureStore) -> None:
    assert ratios_found(store) == [("p1", 0.25), ("p2", 0.5), ("p3", 0.75), ("p4", 1.0), ("p5", 1.0)]
    assert ratios_found(store, at=MARCH) == [("p1", 1.0), ("p2", 0.5), ("p3", 0.75)]
    assert ratios_found(store, at=MAY) == ratios_found(store)
    assert ratios_found(store, at=JANUARY) == [("p1", None), ("p2", None), ("p3", None)]  # before any swipe
    assert ratios_found(store, at=dt.datetime(2023, 1, 1)) == []


def test_predicates_and_popularity_are_as_of_the_instant(store: FeatureStore) -> None:
    assert [name for name, _ in ratios_found(store, popular=True)] == ["p3", "p4", "p5"]
    assert [name for name, _ in ratios_found(store, popular=True, at=MARCH)] == ["p1", "p3"]
    assert [name for name, _ in ratios_found(store, where="value >= 0.75 and likes is null", at=MARCH)] == [
        "p1",
        "p3",
    ]


def test_it_equals_a_build_as_of_that_instant(store: FeatureStore) -> None:
    before = store.layout.snapshot.stat().st_ino
    rehearsed = store.sql("select * from photo_labels order by photo_id", as_of=MARCH).rows()
    assert store.layout.snapshot.stat().st_ino == before  # a query writes nothing
    build_labels(Store(store.database), as_of=MARCH, options=LabelOptions(min_swipes=2))
    assert store.sql("select * from photo_labels order by photo_id").rows() == rehearsed
    build_labels(Store(store.database), options=LabelOptions(min_swipes=2))
    assert len(ratios_found(store)) == 5


def test_a_photo_with_other_bytes_than_then_is_left_out(store: FeatureStore) -> None:
    with store.database.write("test") as con:
        con.begin()
        con.execute("insert into facts.photo_files values ('p2', 'other', 9, 9, 9, 'ok', null, timestamp '2024-04-02')")
        con.commit()
    try:
        assert [name for name, _ in ratios_found(store, at=MARCH)] == ["p1", "p3"]
        assert "p2" in [name for name, _ in ratios_found(store)]
    finally:
        with store.database.write("test") as con:
            con.execute("delete from facts.photo_files where sha256 = 'other'")
    assert "p2" in [name for name, _ in ratios_found(store, at=MARCH)]  # a new snapshot


def test_labels_of_an_instant_are_computed_once(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(
        past, "open_moments", lambda *given, **more: opened.append(given) or open_moments(*given, **more)
    )
    with Searcher(Store(store.database)) as searcher:
        for where in (None, "popular", "weight > 1", None):
            searcher.similar("p0", encoder="toy", where=where, as_of=MARCH)
        assert len(opened) == 1
        searcher.similar("p0", encoder="toy", as_of=MAY)
        assert len(opened) == 2


def test_invalid_queries_are_refused(store: FeatureStore) -> None:
    with pytest.raises(InputError, match="as_of"):
        ratios_found(store, as_of=dt.datetime(1, 1, 1))
    with pytest.raises(QueryError, match="nonsense"):
        ratios_found(store, where="nonsense > 1", at=MARCH)
    with pytest.raises(QueryError):
        ratios_found(store, where="1 = (select count(*) from read_text('/etc/passwd'))", at=MARCH)
