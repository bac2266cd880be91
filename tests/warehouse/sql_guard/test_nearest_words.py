"""sqlglot reads a NEAREST join as something else without an error, so it never gets one."""

from __future__ import annotations

import pytest

from photogenic.warehouse.catalog import Column, Relation
from photogenic.warehouse.definitions.additive import check_additive
from photogenic.warehouse.errors import InputError, QueryError
from photogenic.warehouse.lineage.columns import column_lineage
from photogenic.warehouse.spark.sql_translate import to_spark, tree_of
from photogenic.warehouse.sql_guard.rewrite import has_nearest_join

TEXT = (
    "select swipes.sender_id, count(*) as n from swipes join photos exact nearest 5 by distance"
    " abs(swipes.x - photos.x) group by all"
)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "from a join b nearest by similarity f(a.v, b.v)",
        "from a join b approx NEAREST /* five */ 5\nby -- how\n Distance f(a.v, b.v)",
        "with c as (from a left join b exact nearest 1_000 by distance f(a.v, b.v)) from c",
    ],
)
def test_a_nearest_join_is_recognized(text):
    assert has_nearest_join(text)


@pytest.mark.parametrize(
    "text",
    [
        "select nearest from a order by nearest",
        "-- exact nearest 5 by distance\nselect 1",
        "select 'exact nearest 5 by distance'",
        'select "nearest" by from a',
        "from a nearest join b using (distance)",
    ],
)
def test_other_queries_have_no_nearest_join(text):
    assert not has_nearest_join(text)


@pytest.mark.parametrize("translate", [to_spark, tree_of])
def test_the_translation_for_spark_refuses_it_by_name(translate):
    with pytest.raises(QueryError, match="NEAREST join cannot be translated"):
        translate(TEXT)


def relation() -> Relation:
    return Relation(
        name="near",
        text=TEXT,
        summary="",
        grain="sender_id",
        reads=("swipes", "photos"),
        time="",
        source="",
        parameters=(),
        notes="",
        columns=(Column("sender_id", "varchar", ""), Column("n", "bigint", "")),
    )


def test_the_lineage_says_that_columns_cannot_be_distinguished():
    found = column_lineage(relation(), {"swipes": ("sender_id", "x"), "photos": ("photo_id", "x")})
    assert found.problem is not None
    assert "it has a NEAREST join" in found.problem
    assert found.values["n"].rows == ("swipes", "photos")


def test_an_additive_relation_may_not_have_one():
    with pytest.raises(InputError, match="NEAREST join"):
        check_additive(relation(), "swipes", "near.sql")
