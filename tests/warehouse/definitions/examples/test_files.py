"""Files with examples: values by type, and the place and reason of everything that cannot be read."""

import datetime as dt
import math
from pathlib import Path

import pytest

from photogenic.warehouse.catalog import parse, relation
from photogenic.warehouse.definitions.examples.files import read_examples
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.moment import EVERYTHING, Moment
from tests.warehouse.definitions.own import sql_file

ALL_TYPES = """
select
    cast(a as varchar) as user_id, -- a
    cast(b as bigint) as n, -- b
    cast(c as double) as x, -- c
    cast(d as boolean) as yes, -- d
    cast(e as timestamp) as at, -- e
    cast(f as date) as day, -- f
    cast(g as varchar[]) as tags, -- g
    cast(h as tinyint) as small, -- h
    cast(i as blob) as bytes -- i
from swipes
"""
MINE = parse("mine", sql_file("mine", ALL_TYPES, reads="swipes"))
PATH = Path("relations/mine.examples.toml")


def lookup(name):
    return {"swipes": relation("swipes"), "photos": relation("photos"), "mine": MINE}.get(name)


def read(text):
    return read_examples(PATH, text, MINE, lookup)


def example(expect="user_id\nann", more=""):
    return f"[[example]]\nname = \"one\"\n{more}expect = '''\n{expect}\n'''\n"


def values(expect):
    (one,) = read(example(expect))
    return one.expect.rows


def test_an_example_has_its_clock_its_parameters_and_its_rows():
    text = example(
        more='as_of = 2024-02-01\nknown_at = "2024-03-01T00:00:00+01:00"\nparameters = { days = 7 }\ntolerance = 0.5\n'
        "swipes = '''\n\nrecipient_id | liked | ingested_at\nann | true | 2024-01-01\n'''\n"
    )
    (one,) = read(text)
    assert (one.name, one.relation, one.where) == ("one", "mine", "relations/mine.examples.toml:1")
    assert one.moment == Moment(dt.datetime(2024, 2, 1), dt.datetime(2024, 2, 29, 23))
    assert one.parameters == {"days": 7}
    assert one.tolerance == 0.5
    (given,) = one.given
    assert given.relation == "swipes"
    assert given.rows == (("ann", True, dt.datetime(2024, 1, 1)),)
    (other,) = read(example())
    assert other.moment == Moment(EVERYTHING, EVERYTHING)
    assert read("") == ()


def test_values_have_the_types_of_their_columns():
    ((*row, nan),) = values(
        "user_id | n | yes | at | day | tags | small | x\nO'Brien | -9223372036854775808 | FALSE | "
        "2024-01-31T10:00:00.5+02:00 | 2024-01-31 | [a, 'b, c', NULL] | 127 | nan"
    )
    at = dt.datetime(2024, 1, 31, 8, 0, 0, 500_000)
    assert row == ["O'Brien", -(2**63), False, at, dt.date(2024, 1, 31), ["a", "b, c", None], 127]
    assert math.isnan(nan)
    assert values("x\n-0.0\n1e3\n-inf\n5") == ((-0.0,), (1000.0,), (-math.inf,), (5.0,))
    assert values("tags\n[]\nNULL") == (([],), (None,))


def test_texts_in_quotes():
    assert values("user_id | n\n'a|b' | 1\n'it''s ' | 2\n'NULL' | 3\n'' | 4\nnull | 5\n  a b  |6") == (
        ("a|b", 1),
        ("it's ", 2),
        ("NULL", 3),
        ("", 4),
        (None, 5),
        ("a b", 6),
    )


@pytest.mark.parametrize(
    ("expect", "place", "words"),
    [
        ("user_id | n\nann | 1.5", "5:7", "'1.5' is no bigint for n"),
        ("user_id | n\n\nann | 9223372036854775808", "6:7", "is no bigint for n"),
        ("small\n128", "5:1", "'128' is no tinyint"),
        ("yes\n1", "5:1", "'1' is no boolean"),
        ("x\none", "5:1", "'one' is no double"),
        ("x\n1_000", "5:1", "'1_000' is no double"),
        ("at\nyesterday", "5:1", "'yesterday' is no timestamp"),
        ("day\n2024-02-30", "5:1", "'2024-02-30' is no date"),
        ("tags\na", "5:1", "'a' is no varchar[]"),
        ("bytes\nx", "5:1", "'x' is no blob"),
        ("user_id | n\n | 1", "5:2", "'' is no varchar"),
        ("user_id | n\nann", "5", "the row of expect has 1 value"),
        ("user_id | n\nann | 1 | 2", "5", "the row of expect has 3 values"),
        ("user_id | m\nann | 1", "4:11", "'m' in expect is no column of mine"),
        ("user_id | user_id\nann | 1", "4:11", "'user_id' in expect stands there twice"),
    ],
)
def test_what_cannot_be_read_is_named_with_line_and_column(expect, place, words):
    with pytest.raises(InputError) as raised:
        read(example(expect))
    assert raised.value.what.startswith(f"relations/mine.examples.toml:{place}: example 'one': ")
    assert words in raised.value.what
    assert raised.value.expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("example = 3", "example is 3"),
        ("[other]\n", "no key 'other' outside an example"),
        ('[[example]]\nname = "one"\n', "examples.toml:1: 'one' does not say what comes out"),
        (example(more="swipe = ''\n"), "examples.toml:3: 'one' gives swipe, which is not a relation"),
        (example(more="mine = ''\n"), "gives mine, which is what the example tests"),
        (example(more="swipes = 3\n"), "swipes is 3"),
        (example(more="swipes = ''\n"), "swipes has no line with the names of its columns"),
        (example(more="as_of = 3\n"), "examples.toml:3: 'one': as_of is 3"),
        (example(more="known_at = 'soon'\n"), "examples.toml:3: 'one': known_at is soon"),
        (example(more="parameters = 3\n"), "parameters is 3"),
        (example(more="tolerance = -1\n"), "tolerance is -1"),
        (example(more="tolerance = nan\n"), "tolerance is nan"),
        (example().replace('"one"', "3"), "the name is 3"),
        (example().replace('"one"', '"a\\nb"'), "the name is 'a\\nb'"),
        ("[[example]", "is not TOML"),
    ],
)
def test_a_file_of_another_form_is_refused(text, words):
    with pytest.raises(InputError) as raised:
        read(text)
    assert words in raised.value.what
