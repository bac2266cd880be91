"""Printed leaderboards."""

import polars as pl

from photogenic.app.terminal.leaderboard import print_leaderboard
from photogenic.models.evaluation.gender_table import Pair
from photogenic.models.evaluation.leaderboard import Cell, Figure, Leaderboard, Row, Table

ROWS = [
    Row("best constant", "", (None, Cell(0.2, 0.1, 0.3, n=38)), (0.187, 0.163)),
    Row(
        "facenet",
        "1fc",
        (None, Cell(0.01, 0.005, 0.02, "r", Figure(0.9, 0.8, 0.95), Figure(0.97, 0.9, 1.0), Figure(0.8, 0.7, 0.9), 37)),
        (None, 0.0121),
    ),
]


def test_tables_are_printed_with_the_published_figures(capsys):
    board = Leaderboard(pl.DataFrame({"run_id": ["r"]}), [Table("Table 2", "like_ratio", "mse", ROWS, (None, 0.006))])
    print_leaderboard(board, [Pair("male", "female", 5, 50, 0.7, 0.6, 0.8, 0.71, 0.75)], "table")
    one, two, explained = capsys.readouterr().out.strip().split("\n\n")
    assert " ".join(one.splitlines()[-1].split()) == "male female 5 50 0.7000 0.6000 to 0.8000 0.7100 0.7500"
    lines = two.splitlines()
    assert " ".join(lines[1].split()) == "encoder head ALL 95 % n 1BBOX 95 % n ALL printed 1BBOX printed"
    assert lines[3].split()[-3:] == ["38", "0.1870", "0.1630"]
    assert lines[4].split()[-1] == "0.0121"
    assert "0.0060 is the noise" in lines[5]
    assert "ALL" not in explained
    assert (
        " ".join(explained.splitlines()[-1].split()[2:]) == "0.9000 0.8000 to 0.9500 0.9700 0.8000 0.7000 to 0.9000 37"
    )


def test_columns_without_a_figure_are_left_out(capsys):
    """A target that is a column: nobody published figures of it, and the noise of its labels is unknown."""
    rows = [
        Row("best constant", "", (None, Cell(4.0, 3.0, 5.0, n=38)), (None, None)),
        Row("none", "ridge", (None, Cell(1.0, 0.5, 2.0, "r", Figure(0.9, 0.8, 0.95), None, None, 37)), (None, None)),
    ]
    print_leaderboard(
        Leaderboard(pl.DataFrame({"run_id": ["r"]}), [Table("likes", "photos.likes", "mse", rows, (None, None))]),
        [],
        "table",
    )
    figures, explained = capsys.readouterr().out.strip().split("\n\n")
    assert " ".join(figures.splitlines()[1].split()) == "encoder head ALL 95 % n 1BBOX 95 % n"
    assert explained.splitlines()[0] == "The same heads: share of variance explained, Spearman"
    assert " ".join(explained.splitlines()[1].split()) == "encoder head 1BBOX R2 95 % 1BBOX rank correlation 95 % n"
    assert explained.splitlines()[-1].split()[2:6] == ["0.9000", "0.8000", "to", "0.9500"]
    assert explained.splitlines()[-1].split()[-1] == "37"


def test_json_has_one_row_per_run(capsys):
    print_leaderboard(Leaderboard(pl.DataFrame({"run_id": ["r"]}), []), [], "json")
    assert capsys.readouterr().out == '[\n{"run_id": "r"}\n]\n'
