"""Values of parameters are bound by DuckDB, checked by one rule, and never part of the text."""

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pytest

from photogenic.warehouse import QueryError
from photogenic.warehouse.duckdb_store.query import sql, stream
from tests.warehouse.small import swipes_store


@pytest.fixture(scope="module")
def swipes_db(tmp_path_factory):
    return swipes_store(tmp_path_factory.mktemp("parameters"))


@pytest.fixture
def rows(swipes_db):
    """Return a function that runs a query as a frame and as a stream, whose rows must be equal."""

    def run(query, params=None, **options):
        framed = sql(swipes_db, query, params).rows()
        with stream(swipes_db, query, params, **options) as cursor:
            streamed = list(cursor.rows())
        with stream(swipes_db, query, params) as cursor:
            assert cursor.batches().read_all().num_rows == len(framed)
        if not options:
            assert streamed == framed
        return streamed

    return run


@pytest.mark.parametrize(
    ("query", "params", "expected"),
    [
        ("select $n + 1", {"n": 41}, 42),
        ("select $N", {"n": 1}, 1),
        ("select ? - ?", [3, 1], 2),
        ("select $2 - $1", (1, 3), 2),
        ("select ?", {"1": "x"}, "x"),
        ("select count(*) from swipes where liked = $liked and sender_id <> $id", {"liked": True, "id": ""}, 1667),
        ("select count(*) from swipes where sender_id = $id", {"id": "x' or 'a' = 'a"}, 0),
        ("select count(*) from swipes where swiped_at < $t", {"t": dt.datetime(1970, 1, 1)}, 0),
        ("select count(*) from swipes where swiped_at < $t", {"t": "1970-01-01"}, 0),
        ("select $n", {"n": 2**100}, 2**100),
        ("select $n", {"n": None}, None),
        ("select $n", {"n": np.int64(7)}, 7),
        ("select $n", {"n": np.float32(0.5)}, 0.5),
        ("select $n", {"n": np.bool_(True)}, True),
        ("select $n", {"n": Decimal("1.50")}, Decimal("1.50")),
        ("select length($n)", {"n": "x" * 100_000}, 100_000),
        ("select $n", {"n": "👩‍🚀"}, "👩‍🚀"),
    ],
)
def test_values_are_bound(rows, query, params, expected):
    assert rows(query, params) == [(expected,)]


def test_parameters_hold_in_every_wrapping_of_a_query(rows):
    assert rows("select $n, interval '1 day', date 'infinity'", {"n": 7}) == [(7, "1 day", "infinity")]
    assert len(rows("from swipes where liked = $liked", {"liked": True}, sample=5)) == 5
    assert rows("pivot (from swipes where liked = $l) on liked in (true) using count(*)", {"l": True})


@pytest.mark.parametrize(
    ("query", "params", "what", "expected"),
    [
        ("select $n", None, "The query needs a value for $n.", "one value"),
        ("select ?, ?", [1], "The query needs a value for ?2.", "one value"),
        ("select $a, $b, $c", {"b": 1}, "The query needs a value for $a and $c.", "one value"),
        ("select 1", {"n": 1}, "The query has no parameter $n.", "a query that names it"),
        ("select ?", [1, 2], "The query has no parameter ?2.", "values for ?1"),
        ("select $like", {"liek": 1}, "The query has no parameter $liek.", "perhaps $like"),
        ("select $n", {"n": 1, "N": 2}, "A parameter is given twice.", "each name once"),
        ("select $n", {"n": [1]}, "$n is a list.", "one value"),
        ("select $n", {"n": {"a": 1}}, "$n is a dict.", "one value"),
        ("select $n", {"n": object}, "$n is a type.", "one value"),
        ("select $n", {"n": math.nan}, "$n is nan, which is not a finite number.", "a finite number"),
        ("select $n", {"n": Decimal("Infinity")}, "$n is Infinity, which is not a finite number.", "a finite number"),
        ("select $n", {"n": Decimal("1e400")}, "$n is a decimal of more than 38 digits.", "as text"),
        ("select $n", {"n": Decimal(f"0.{'1' * 39}")}, "$n is a decimal of more than 38 digits.", "as text"),
        ("select 1 order by $n", {"n": 1}, "Parameter not supported in ORDER BY clause: select 1 order by $n", ""),
        ("select $n", {"n": 2**127}, "$n is a number of 128 bits.", "larger ones as text"),
        ("select $n", {"n": "x" * 10**6}, "$n has 1,000,000 characters.", "at most 100,000"),
        ("select $n", {"n": "\udc80"}, "$n is not text in UTF-8: \\udc80", "UTF-8"),
        ("select $n", "n", "The parameters are a str.", "a dictionary"),
        ("select $n", 5, "The parameters are a int.", "a dictionary"),
        ("select $n", {1: 1}, "The name of a parameter is 1.", "a text"),
    ],
)
def test_what_cannot_be_bound_is_refused_in_three_beats(swipes_db, query, params, what, expected):
    with pytest.raises(QueryError) as refused:
        sql(swipes_db, query, params)
    assert refused.value.what == what
    assert expected in refused.value.expected
    assert refused.value.remedy


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv($f)",
        "from query($f)",
        "from query_table($f)",
        "from histogram($f, liked)",
        "from histogram_values($f, liked)",
        "copy (select $f) to 'x.csv'",
        "set variable x = $f",
        "select getenv($f)",
        "select $f; select 1",
    ],
)
def test_the_guard_refuses_what_it_refused_without_parameters(swipes_db, query):
    with pytest.raises(QueryError) as refused:
        sql(swipes_db, query, {"f": "swipes"})
    with pytest.raises(QueryError) as without:
        sql(swipes_db, query)
    assert refused.value.what == without.value.what
    assert "parameter" not in refused.value.what
