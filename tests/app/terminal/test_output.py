import csv
import datetime as dt
import io
import json
import math
from decimal import Decimal

import polars as pl
import pytest

from photogenic.app.terminal.cells import to_plain
from photogenic.app.terminal.output import Table, print_table

NOON = dt.datetime(2024, 2, 1, 12, 0, 0)
ROWS = [
    ("a", 12, 0.5, NOON, None, True, [1, None]),
    ("b,\n", -3, 0.31234567, NOON.replace(microsecond=6), None, False, []),
]
TABLE = Table(("photo_id", "n", "ratio", "at", "nothing", "popular", "tags"), ROWS)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def printed(table, form="table", out=None, **options):
    out = out or io.StringIO()
    print_table(table, form, file=out, **options)
    return out.getvalue()


def test_json_is_one_array_of_objects_and_nothing_else():
    found = json.loads(printed(TABLE, "json", title="not data"))
    assert found[0] == {
        "photo_id": "a",
        "n": 12,
        "ratio": 0.5,
        "at": "2024-02-01T12:00:00Z",
        "nothing": None,
        "popular": True,
        "tags": [1, None],
    }
    assert found[1]["ratio"] == 0.31234567
    assert found[1]["at"] == "2024-02-01T12:00:00.000006Z"


def test_no_rows_are_an_empty_array_and_only_a_header():
    empty = Table(("a", "b"), [])
    assert json.loads(printed(empty, "json")) == []
    assert printed(empty, "csv") == "a,b\n"
    assert "no rows" in printed(empty)


def test_csv_can_be_read_back():
    header, first, second = csv.reader(io.StringIO(printed(TABLE, "csv")))
    assert header == list(TABLE.columns)
    assert first == ["a", "12", "0.5", "2024-02-01T12:00:00Z", "", "true", "[1, null]"]
    assert second[0] == "b,\n"


def test_repeated_column_names_keep_all_values_in_json():
    assert json.loads(printed(Table(("a", "a", "a_1"), [(1, 2, 3)]), "json")) == [{"a": 1, "a_1": 2, "a_1_1": 3}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (Decimal("1.50"), 1.5),
        (Decimal(10) ** 30, 10**30),
        (dt.date(2024, 2, 29), "2024-02-29"),
        (NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))), "2024-02-01T10:00:00Z"),
        (b"\x00\xff", "00ff"),
        ({"k": [math.nan]}, {"k": ["NaN"]}),
        (Decimal("12345678901234567890.123456789"), "12345678901234567890.123456789"),
    ],
)
def test_values_are_converted_to_json(value, expected):
    assert to_plain(value) == expected
    assert json.loads(json.dumps(to_plain(value), allow_nan=False)) == expected


def test_a_pipe_gets_every_column_at_full_width():
    wide = Table(tuple(f"column_{n}" for n in range(60)), [["x" * 30] * 60])
    lines = printed(wide).splitlines()
    assert lines[0].split() == list(wide.columns)
    assert lines[2].split() == ["x" * 30] * 60


def test_a_narrow_terminal_gets_records_with_every_column(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    shown = printed(TABLE, out=Terminal())
    assert all(name in shown for name in TABLE.columns)
    assert "row 2" in shown
    monkeypatch.setenv("COLUMNS", "200")
    assert "row 2" not in printed(TABLE, out=Terminal())


def test_numbers_are_aligned_right_with_the_same_decimals():
    lines = printed(TABLE).splitlines()
    assert "  12   0.5000   2024-02-01 12:00:00.000000" in lines[2]
    assert "  -3   0.3123   2024-02-01 12:00:00.000006" in lines[3]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([27.41234, 3.0], ["27.41", "3.00"]),
        ([1503.2], ["1503.2"]),
        ([0.00002], ["2.000e-05"]),
        ([0.0], ["0.0000"]),
        ([1.0, 0.5], ["1.0000", "0.5000"]),
        ([math.nan, 0.25], ["nan", "0.2500"]),
    ],
)
def test_numbers_have_four_significant_digits(values, expected):
    assert [line.strip() for line in printed(Table(("x",), [[v] for v in values])).splitlines()[2:]] == expected


def test_null_differs_from_an_empty_string():
    line = printed(Table(("a", "b", "c"), [(None, "", "x")])).splitlines()[2]
    assert line.split() == ["∅", "x"]


def test_an_ascii_terminal_gets_ascii_only():
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    print_table(Table(("a", "b"), [(None, "é")]), file=out)
    assert raw.getvalue().split()[-2:] == [b"NULL", b"\\xe9"]


def test_wide_characters_keep_the_columns_aligned():
    lines = printed(Table(("name", "n"), [("佐藤", 1), ("abc", 20)])).splitlines()
    assert lines[2] == "佐藤    1"
    assert lines[3] == "abc    20"


def test_colors_on_a_terminal_unless_no_color_is_set(monkeypatch):
    table = Table(("a", "b"), [(None, 1)])
    assert "\x1b[2m∅" in printed(table, out=Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in printed(table, out=Terminal())
    assert "\x1b" not in printed(table)


def test_a_value_cannot_control_the_terminal():
    shown = printed(Table(("a",), [("\x1b[2Jred\n\u202e",)]), out=Terminal())
    assert "\\x1b[2Jred\\n\\u202e" in shown


def test_markup_and_emoji_codes_in_data_are_printed_as_they_are():
    table = Table(("[bold]id[/bold]", "n"), [("[red]a[/red] :smile: http://b.c", 1), ("[/]", 2)])
    lines = printed(table, out=Terminal(), title="[dim]rows[/dim]").splitlines()
    assert lines[0] == "\x1b[1m[dim]rows[/dim]\x1b[0m"
    assert "[bold]id[/bold]" in lines[1]
    assert lines[3:] == ["[red]a[/red] :smile: http://b.c   1", "[/]                               2"]


def test_escapes_of_a_small_character_set_keep_the_columns_aligned():
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="latin-1", errors="strict")
    print_table(Table(("a", "→"), [("é→", 1), ("x", 20)]), file=out)
    assert raw.getvalue().decode("latin-1").splitlines() == [
        "a         \\u2192",
        "----------------",
        "é\\u2192        1",
        "x             20",
    ]


def test_a_pipe_has_no_colors_even_if_forced(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "10")
    assert printed(Table(("a", "b"), [("x" * 30, None)]), title="t" * 60).splitlines() == [
        "t" * 60,
        f"a{' ' * 29}   b",
        "─" * 34,
        f"{'x' * 30}   ∅",
    ]


def test_wide_characters_fold_at_the_edge_of_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("NO_COLOR", "1")
    lines = printed(Table(("name",), [("佐藤" * 10,)]), out=Terminal()).splitlines()
    assert lines[2:] == ["佐藤佐藤佐藤佐藤佐藤"] * 2
    wide = Table(("n_1", "n_2", "n_3", "name"), [(10**5, 10**5, 10**5, "佐藤" * 4)])
    assert [line.split() for line in printed(wide, out=Terminal()).splitlines()[4:]] == [
        ["name", "佐藤佐藤佐藤"],
        ["佐藤"],
    ]


ID = "0123456789abcdef" * 4


def test_one_long_value_folds_in_its_column_and_the_rows_stay_a_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [("a", 1, None), (ID, 20, "me"), ("c", 300, "x")]
    assert printed(Table(("photo_id", "n", "tag"), rows), out=Terminal()).splitlines() == [
        f"photo_id{' ' * 43}  n   tag",
        "─" * 60,
        f"a{' ' * 50}  1   ∅",
        f"{ID[:48]}    20   me",
        ID[48:],
        f"c{' ' * 50}300   x",
    ]


def test_records_replace_a_short_table_that_would_be_taller(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    rows = [[ID * 2] * 3] * 2
    assert "row 2" in printed(Table(("a", "b", "c"), rows), out=Terminal())
    assert "row 2" not in printed(Table(("a", "b", "c"), rows))


def test_many_long_values_are_cut_on_a_terminal_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    table = Table(("photo_id", "n"), [(ID, n) for n in range(30)])
    lines = printed(table, out=Terminal()).splitlines()
    assert (len(lines), max(map(len, lines)), lines[2]) == (32, 40, f"{ID[:34]}…    0")
    assert printed(table).count(ID) == 30


def test_records_can_be_asked_for():
    out = io.StringIO()
    print_table(Table(("a", "bcd"), [(1, "x"), (None, "y")]), file=out, records=True)
    assert [line.split() for line in out.getvalue().splitlines() if not line.startswith("row")] == [
        ["a", "1"],
        ["bcd", "x"],
        ["a", "∅"],
        ["bcd", "y"],
    ]


@pytest.mark.parametrize("text", ["👩‍🚀", "👨‍👩‍👧", "❤️", "👍🏽", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🩷", "é", "क्‍ष", "می‌خواهم", "佐藤"])
def test_emoji_and_combined_characters_are_printed_as_they_are(text):
    shown = printed(Table(("a", "n"), [(text, 1), ("x" * 20, 2)]), out=Terminal())
    assert text in shown
    assert "\\u" not in shown.lower()


@pytest.mark.parametrize(
    "text",
    [
        "a\u200db",
        "\u200d",
        "👩\u200d",
        "\u200d🚀",
        "a\U000e0067",
        "👩\u200d\u202e",
        "é\u200dé",
        "🏴\U000e0068\U000e0069\U000e007f",
        "x🏴y\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\u2066x",
        "\u00ad",
        "\x9b1m",
        "\ufeff",
    ],
)
def test_characters_that_hide_or_steer_are_escaped(text):
    shown = printed(Table(("a",), [(text,)]), out=Terminal()).splitlines()[2]
    assert all(c.isprintable() for c in shown)
    assert "\\" in shown


def test_a_long_value_is_cut_in_tables_only():
    table = Table(("a",), [["y" * 5000]])
    assert "… (5000 characters)" in printed(table)
    assert json.loads(printed(table, "json"))[0]["a"] == "y" * 5000


def test_frames_and_records():
    frame = pl.DataFrame({"a": [1], "at": [NOON]})
    assert json.loads(printed(Table.of(frame), "json")) == [{"a": 1, "at": "2024-02-01T12:00:00Z"}]
    assert printed(Table.of_records([{"a": 1, "b": None}]), "csv") == "a,b\n1,\n"
    assert json.loads(printed(Table.of_records([]), "json")) == []
