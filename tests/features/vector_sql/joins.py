"""A small DuckDB with vectors, the answer of our search and that of DuckDB's own NEAREST, and random queries."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from photogenic.features.search.index_files import Index
from photogenic.features.vector_sql.nearest import Answered, VectorSources, answer_nearest, discard, markers_of
from photogenic.features.vectors.reader import VectorSet
from photogenic.warehouse.duckdb_store.distances import NAMES, create_distances

DIM = 6


class MemoryVectors(VectorSet):
    """Vectors in memory."""

    def __init__(self, ids: list[str], X: NDArray[np.float32]) -> None:
        self._ids, self._X = ids, X

    @property
    def dim(self) -> int:
        return self._X.shape[1]

    def ids(self, *, flip: bool = False) -> list[str]:
        del flip
        return self._ids

    def positions(self, photo_ids, *, flip: bool = False) -> NDArray[np.int64]:  # type: ignore[no-untyped-def]
        del flip
        place = {photo_id: at for at, photo_id in enumerate(self._ids)}
        return np.array([place.get(photo_id, -1) for photo_id in photo_ids], np.int64)

    def at(self, positions: NDArray[np.int64], *, flip: bool = False) -> NDArray[np.float32]:
        del flip
        return self._X[positions]


@dataclass
class Vectors(VectorSources):
    """The relations `vectors_x` and `vectors_y`."""

    held: dict[str, MemoryVectors] = field(default_factory=dict)

    def relations(self) -> set[str]:
        return set(self.held)

    def vectors(self, relation: str) -> VectorSet:
        return self.held[relation]

    def index(self, relation: str) -> Index | None:
        del relation
        return None

    def markers(self, con: duckdb.DuckDBPyConnection, relation: str) -> pa.Table:
        return markers_of(con, self, relation)


def open_duckdb(seed: int = 0, n: int = 90) -> tuple[duckdb.DuckDBPyConnection, Vectors]:
    """Photos with two kinds of vectors. No two distances are equal, save that of a photo that is repeated."""
    rng = np.random.default_rng(seed)
    ids = [f"p{at:03}" for at in range(n)]
    con, sources = duckdb.connect(), Vectors()
    con.execute("set timezone = 'UTC'")
    for name, some in (("vectors_x", ids), ("vectors_y", ids[: n // 2])):
        X = rng.normal(size=(len(some), DIM)).astype(np.float32)
        sources.held[name] = MemoryVectors(some, X)
        embedding = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), DIM)
        con.register(f"{name}_arrow", pa.table({"photo_id": some, "embedding": embedding}))
        con.execute(f"create view {name} as from {name}_arrow")
    con.register(
        "labels_arrow",
        pa.table(
            {
                "photo_id": ids,
                "user_id": [f"u{rng.integers(n // 3)}" for _ in ids],
                "gender": [("female", "male", None)[rng.choice(3, p=(0.5, 0.4, 0.1))] for _ in ids],
                "popular": [bool(rng.integers(2)) for _ in ids],
                "like_ratio": rng.random(n),
            }
        ),
    )
    con.execute("create table labels as from labels_arrow")
    create_distances(con, " ".join(NAMES))
    return con, sources


def answered(
    con: duckdb.DuckDBPyConnection, sources: Vectors, query: str, values: dict[str, object] | None = None
) -> Answered:
    found = answer_nearest(con, query, values, sources)
    assert found is not None
    return found


def same_as_duckdb(
    con: duckdb.DuckDBPyConnection, sources: Vectors, query: str, values: dict[str, object] | None = None
) -> list[str]:
    """Check that rows, columns and types are those of DuckDB's own NEAREST, and return the plan."""
    want = con.execute(query, values)
    columns, rows = [(one[0], str(one[1])) for one in want.description], Counter(map(repr, want.fetchall()))
    found = answered(con, sources, query, values)
    try:
        made = con.execute(found.text, found.values)
        assert [(one[0], str(one[1])) for one in made.description] == columns, query
        assert Counter(map(repr, made.fetchall())) == rows, (query, found.text, found.plan)
    finally:
        discard(con, found)
    assert not con.execute("select 1 from duckdb_tables() where starts_with(table_name, '_photogenic')").fetchall()
    return found.plan


_DISTANCES = (
    "distance array_distance({a}, {b})",
    "distance {a} <-> {b}",
    "distance vector_l2_distance({b}, {a})",
    "distance array_cosine_distance({a}, {b})",
    "similarity array_cosine_similarity({b}, {a})",
    "similarity vector_cosine_similarity({a}, {b})",
    "similarity array_inner_product({a}, {b})",
    "distance array_negative_inner_product({a}, {b})",
)
_LEFTS = (
    "vectors_x a",
    "(from vectors_x limit 20) a",
    "(select v.*, l.* exclude (photo_id) from vectors_x v join labels l using (photo_id)) a",
    "(select l.photo_id, v.embedding, gender, user_id from labels l left join vectors_y v using (photo_id)) a",
    "labels join vectors_x a using (photo_id)",
    "(values ('q', [1, 2, 3, 4, 5, 6]::float[6]), ('r', null)) a(photo_id, embedding)",
)
_RIGHTS = (
    "vectors_x b",
    "vectors_y as b",
    "(from vectors_x where photo_id > 'p030') b",
    "(select l.gender, v.embedding as embedding, v.photo_id from vectors_x v join labels l using (photo_id)"
    " where popular) b",
    "(select v.* exclude (photo_id), l.photo_id from labels l left join vectors_y v using (photo_id)) b",
    "(from vectors_x union all from vectors_x) b",
    "(from vectors_x where false) b",
    "(from w) b",
    "(select v.photo_id, embedding from vectors_x v, range(3) t(i) where i < 2) b",
    "(from vectors_x order by photo_id limit 7 offset 5) b",
)
_CORRELATED = (
    "l.gender <> a.gender",
    "l.user_id <> a.user_id",
    "l.gender <> a.gender and l.user_id <> a.user_id and popular",
    "l.user_id = a.user_id",
    "l.like_ratio > a.like_ratio - 0.1",
    "a.photo_id <> v.photo_id or l.popular",
    "coalesce(a.gender, 'none') = coalesce(l.gender, 'none') and l.like_ratio > 0.3",
)
_WITH = "with w as (select photo_id, embedding from vectors_x where photo_id < 'p060') "


def random_query(seed: int) -> str:
    """A query with a NEAREST join that DuckDB accepts."""
    draw = random.Random(seed)
    k = draw.choice((1, 2, 3, 7, 200))
    ranking = draw.choice(_DISTANCES).format(a="a.embedding", b="b.embedding")
    join, word = draw.choice(("join", "left join")), draw.choice(("exact ", ""))
    what = draw.choice(
        ("a.photo_id, b.photo_id", "b.*", "*", "* exclude (photo_id)", "count(*), count(distinct b.photo_id)")
    )
    if join == "left join" and "*" in what.split("(")[0]:
        # DuckDB 2.0.0 may return zeros, or fail, for vectors of the right side of its own LEFT join.
        what = what.removesuffix(" exclude (photo_id)") + " exclude (embedding)"
    if draw.random() < 0.4:
        left = _LEFTS[2]
        right = (
            "lateral (select v.photo_id, v.embedding, l.gender from vectors_x v join labels l using (photo_id)"
            f" where {draw.choice(_CORRELATED)}) b"
        )
    else:
        left, right = draw.choice(_LEFTS), draw.choice(_RIGHTS)
    if "null" in left or "left join" in left + right:  # DuckDB refuses NULL in a list
        ranking = ranking.replace("a.embedding <-> b.embedding", "array_distance(a.embedding, b.embedding)")
    query = f"{_WITH}select {what} from {left} {join} {right} {word}nearest {k} by {ranking}"
    if draw.random() < 0.2:
        query += " where b.photo_id > 'p020' or b.photo_id is null"
    if draw.random() < 0.2 and "count" not in what:
        query = f"select count(*) from ({query})"
    return query
