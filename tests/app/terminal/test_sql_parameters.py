import pytest

from photogenic.app.terminal.sql_parameters import read_parameters
from photogenic.warehouse.errors import QueryError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("null", None),
        ('"5"', "5"),
        ('"null"', "null"),
        ("female", "female"),
        ("007", "007"),
        ("2024-02-01", "2024-02-01"),
        ("a=b", "a=b"),
        ("", ""),
        ("True", "True"),
        ("[x", "[x"),
        ("👩‍🚀", "👩‍🚀"),
    ],
)
def test_a_value_is_json_or_else_text(text, value):
    (found,) = read_parameters([f"n={text}"]).values()
    assert (found, type(found)) == (value, type(value))


def test_names_may_have_their_dollar_sign():
    assert read_parameters(["$a=1", "b=2"]) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "given",
    [
        ["n"],
        ["=1"],
        ["n=1", "n=2"],
        ["n=[1]"],
        ['n={"a": 1}'],
        ["n=NaN"],
        ["n=-Infinity"],
        ["n=1e999"],
        [f"n={'1' * 5000}"],
        [f"n={'[' * 100_000}"],
    ],
)
def test_what_is_no_single_value_is_refused(given):
    with pytest.raises(QueryError) as refused:
        read_parameters(given)
    assert refused.value.expected
    assert len(str(refused.value)) < 400
