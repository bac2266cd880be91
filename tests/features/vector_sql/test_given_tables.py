"""Frames and attached files in the same query as vectors, searches and NEAREST joins, now and at another moment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from photogenic import FeatureStore
from tests.features.vector_sql.test_similar import world

META = pl.DataFrame({"photo_id": ["p003", "p017", "p050", "elsewhere"], "note": ["a", "b", "c", "d"]})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    folder = tmp_path_factory.mktemp("given")
    db, _ = world(folder / "made")
    assert db.extension is not None
    db.extension.close()
    db.close()
    shutil.copytree(db.layout.root, folder / "store")
    with FeatureStore(folder / "store") as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.duckdb"
    with duckdb.connect(path) as con:
        con.execute(
            "create table meta as from (values ('p003', 'a'), ('p017', 'b'), ('p050', 'c')) as t(photo_id, note)"
        )
    return path


NEAREST = """
    select meta.note, near.photo_id
    from {meta} as meta
    join vectors_half as of_meta on meta.photo_id = of_meta.photo_id
    join vectors_half as near exact nearest 3 by distance array_distance(of_meta.embedding, near.embedding)
    order by all
"""
PLAIN = """
    select note, photo_id from (
        select meta.note, near.photo_id, row_number() over (
            partition by meta.photo_id order by array_distance(of_meta.embedding, near.embedding), near.photo_id
        ) as place
        from {meta} as meta join vectors_half as of_meta using (photo_id) cross join vectors_half as near
    ) where place <= 3 order by all
"""


def test_nearest_joins_have_a_frame_or_an_attached_table_on_their_left(store: FeatureStore, other: Path) -> None:
    expected = store.sql(PLAIN.format(meta="meta"), frames={"meta": META}).rows()
    assert len(expected) == 9
    assert store.sql(NEAREST.format(meta="meta"), frames={"meta": META}).rows() == expected
    assert store.sql(NEAREST.format(meta="other.meta"), attach=other).rows() == expected
    beside = "with near as (from meta) " + NEAREST.format(meta="near")
    assert store.sql(beside, frames={"meta": META}).rows() == expected


def test_a_frame_on_the_right_side_of_a_nearest_join(store: FeatureStore) -> None:
    query = """
        select asked.photo_id, near.photo_id, near.note
        from vectors_half as asked
        join (select v.photo_id, v.embedding, note from vectors_half as v join meta using (photo_id)) as near
        exact nearest 1 by distance array_distance(asked.embedding, near.embedding)
        where asked.photo_id in ('p003', 'p017', 'p050') order by all
    """
    found = store.sql(query, frames={"meta": META}).rows()
    assert found == [("p003", "p003", "a"), ("p017", "p017", "b"), ("p050", "p050", "c")]


@pytest.mark.parametrize("moment", [{}, {"as_of": "2030-01-01"}], ids=["now", "as of"])
def test_searches_take_a_query_from_a_frame_and_join_with_it(
    store: FeatureStore, other: Path, moment: dict[str, str]
) -> None:
    query = """
        select rank, found.photo_id, note
        from similar((select min(photo_id) from {meta}), k := 60, encoder := 'half') as found
        join {meta} as meta using (photo_id) order by rank
    """
    expected = store.sql(query.format(meta="meta"), frames={"meta": META[:3]}, **moment).rows()
    assert {photo for _, photo, _ in expected} == {"p017", "p050"}
    assert store.sql(query.format(meta="other.meta"), attach=other, **moment).rows() == expected


def test_vectors_beside_a_frame_at_a_moment(store: FeatureStore) -> None:
    query = "select count(*) as n from vectors_half join meta using (photo_id)"
    assert store.sql(query, frames={"meta": META}, as_of="2030-01-01").item() == 3
