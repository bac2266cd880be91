"""Outer joins of a user over a relation of vectors: DuckDB 2.0.0 failed in them, or returned zeros."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

N, DIM = 3_000, 3

QUERIES = [
    "select asked, embedding from asked left join vectors_x using (photo_id)",
    "select * exclude (photo_id) from asked left join vectors_x using (photo_id)",
    "select asked, b.* exclude (photo_id) from asked a left join vectors_x b on a.photo_id = b.photo_id and a.odd = 1",
    "select asked, embedding from asked left join vectors_x b on asked.photo_id = b.photo_id and asked < 'p3'",
    "select asked, embedding from vectors_x right join asked using (photo_id)",
    "select asked, embedding from asked full join vectors_x using (photo_id)",
    "select asked, (select embedding from vectors_x b where b.photo_id = a.photo_id) as embedding from asked a",
    "select asked, e as embedding from asked left join (select photo_id, embedding e from vectors_x) using (photo_id)",
]


@pytest.fixture(scope="module")
def con():
    X = np.random.default_rng(0).normal(size=(N, DIM)).astype(np.float32) + 7
    with duckdb.connect() as con:
        con.execute("set threads = 1")
        embedding = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), DIM)
        con.register("arrow", pa.table({"photo_id": [f"p{at}" for at in range(N)], "embedding": embedding}))
        con.execute(
            "create view vectors_x as from arrow"
            f" where photo_id in (select 'p' || n from range({N}) as one (n) where n % 11 <> 0)"
        )
        con.execute(
            "create table asked as select 'p' || n * 7919 % 4000 as photo_id, photo_id as asked, n % 2 as odd"
            " from range(1500) as one (n)"
        )
        yield con, {f"p{at}": tuple(map(float, x)) for at, x in enumerate(X) if at % 11}


@pytest.mark.parametrize("query", QUERIES)
def test_vectors_are_those_of_the_photo(con, query):
    con, vectors = con
    found = con.execute(f"select asked, embedding from ({query}) where asked is not null").fetchall()
    assert len(found) == 1500
    only_odd, only_small = "odd = 1" in query, "< 'p3'" in query
    odd = {one for (one,) in con.execute("select asked from asked where odd = 1").fetchall()}
    for asked, embedding in found:
        is_joined = (not only_odd or asked in odd) and (not only_small or asked < "p3")
        assert embedding == (vectors.get(asked) if is_joined else None), (asked, embedding)
