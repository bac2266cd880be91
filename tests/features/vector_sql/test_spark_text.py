"""One text of a NEAREST join has the same rows on DuckDB and on Spark, whose version has the join."""

from __future__ import annotations

import pytest

from photogenic.warehouse.spark.session import Cluster, session
from tests.features.vector_sql.joins import open_duckdb, same_as_duckdb

pytest.importorskip("pyspark")

_JOINS = (
    "exact nearest 3 by distance vector_l2_distance(a.embedding, b.embedding)",
    "approx nearest 3 by similarity vector_cosine_similarity(a.embedding, b.embedding)",
)


@pytest.mark.thorough
def test_spark_runs_the_same_text():
    con, sources = open_duckdb()
    spark = session(Cluster())
    for name in ("vectors_x", "vectors_y"):
        rows = [(key, list(vector)) for key, vector in con.execute(f"from {name}").fetchall()]
        spark.createDataFrame(rows, "photo_id string, embedding array<float>").createOrReplaceTempView(name)
    for join in _JOINS:
        text = f"select a.photo_id, b.photo_id as near from vectors_x a join vectors_y b {join}"
        same_as_duckdb(con, sources, text)
        want = sorted(con.execute(text).fetchall())
        assert sorted(tuple(row) for row in spark.sql(text).collect()) == want
    con.close()
