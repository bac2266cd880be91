"""Tables 2 and 3 as data."""

import datetime as dt
import json

import polars as pl
import pytest

from photogenic.models.evaluation.leaderboard import Cell, Figure, leaderboard
from photogenic.models.runs.run_store import Run, record
from photogenic.warehouse import InputError
from tests.features.toy import database

ROWS = [
    ("a", "like_ratio", "all", "inception_v3", "0fc", 0.030, 0.031),
    ("b", "like_ratio", "one_face", "inception_v3", "0fc", 0.020, 0.021),
    ("c", "like_ratio", "one_face", "facenet", "1fc", 0.010, 0.040),
    ("d", "gender", "one_face", "facenet", "1fc", 0.95, 0.96),
    ("e", "gender", "one_face", "facenet", "2fc", 0.97, 0.93),
]


def run(number, run_id, target, setup, encoder, head, dev, test, n_test=50):
    metric = "mse" if target == "like_ratio" else "accuracy"
    results = {"intervals": {"metric": [test / 2, test * 2], "baseline": [0.1, 0.3]}, "noise_floor": 0.006}
    created = dt.datetime(2024, 1, 1, 0, number).isoformat()
    return Run(
        run_id, target, setup, encoder, head, metric, dev, test, 0.2, 400, 50, n_test, 8,
        "fc", "identity", {encoder: "1"}, "s", {}, results, "0", created,
    )  # fmt: skip


@pytest.fixture
def db(tmp_path):
    made = database(tmp_path)
    empty = pl.DataFrame(schema={"run_id": str, "photo_id": str, "split": str, "prediction": float})
    record(made, [run(at, *row) for at, row in enumerate(ROWS)], empty)
    return made


def test_the_best_on_dev_comes_first_regardless_of_test(db):
    frame = leaderboard(db).frame
    assert frame["run_id"].to_list() == ["a", "c", "b", "e", "d"]
    assert frame.filter(run_id="c").select("low", "high", "baseline").row(0) == (0.02, 0.08, 0.2)
    assert frame["noise_floor"].to_list() == [0.006] * 5


def test_tables_have_the_published_layout(db):
    two, three = leaderboard(db).tables
    assert [(row.encoder, row.head) for row in two.rows] == [
        ("best constant", ""),
        ("inception_v3", "0fc"),
        ("facenet", "1fc"),
    ]
    assert two.rows[0].cells == (Cell(0.2, 0.1, 0.3, n=50), Cell(0.2, 0.1, 0.3, n=50))
    assert two.rows[0].published == (0.187, 0.163)
    assert two.rows[1].cells == (Cell(0.031, 0.0155, 0.062, "a", n=50), Cell(0.021, 0.0105, 0.042, "b", n=50))
    assert two.rows[1].published == (0.0252, 0.0193)
    assert two.rows[2].cells[0] is None
    assert two.rows[2].published == (None, 0.0121)
    assert two.floor == (0.006, 0.006)
    assert (three.target, three.metric) == ("gender", "accuracy")
    assert three.rows[0].cells[0] is None
    assert three.rows[1].published == (None, 0.959)


def test_a_cell_has_the_share_of_variance_that_is_explained_without_noise(db):
    """R2 is 0.6 at an error of 0.02: the labels have a variance of 0.05, of which 0.01 is noise."""
    figures = {"r2": 0.6, "spearman": 0.8, "noise_floor": 0.01}
    made = run(9, "x", "like_ratio", "all", "facenet", "0fc", 0.02, 0.02)
    made.results.update(figures, intervals={"metric": [0.01, 0.03], "r2": [0.4, 0.7], "spearman": [0.7, 0.9]})
    record(db, [made], pl.DataFrame(schema={"run_id": str, "photo_id": str, "split": str, "prediction": float}))
    cell = leaderboard(db, ["x"]).tables[0].rows[1].cells[0]
    assert (cell.r2, cell.spearman) == (Figure(0.6, 0.4, 0.7), Figure(0.8, 0.7, 0.9))
    assert (cell.explained.value, cell.explained.low) == pytest.approx((0.6 / 0.8, 0.4 / 0.8))


def test_the_newer_of_two_runs_in_one_cell_is_shown(db):
    empty = pl.DataFrame(schema={"run_id": str, "photo_id": str, "split": str, "prediction": float})
    record(db, [run(9, "f", "like_ratio", "all", "inception_v3", "0fc", 0.5, 0.5)], empty)
    board = leaderboard(db)
    assert board.tables[0].rows[1].cells[0].run_id == "f"
    assert {"a", "f"} <= set(board.frame["run_id"])
    assert leaderboard(db, ["a", "d"]).frame["run_id"].to_list() == ["a", "d"]


def test_a_table_has_runs_of_one_division_only(db):
    empty = pl.DataFrame(schema={"run_id": str, "photo_id": str, "split": str, "prediction": float})
    for number, run_id in enumerate("xy"):
        made = run(20 + number, run_id, "like_ratio", "all", "inception_v3", "0fc", 0.1, 0.1)
        made.hyperparameters["division"] = "5 folds" if run_id == "y" else "3:1"
        record(db, [made], empty)
    assert leaderboard(db).tables[0].rows[1].cells[0].run_id == "a"
    assert leaderboard(db, ["x", "y"]).tables[0].rows[1].cells[0].run_id == "y"
    lucky = run(30, "z", "like_ratio", "all", "inception_v3", "1fc", 0.001, 0.1)
    lucky.hyperparameters["division"] = "3:1"
    record(db, [lucky], empty)
    frame = leaderboard(db, ["a", "x", "y", "z"]).frame
    assert frame["run_id"].to_list() == ["a", "z", "x", "y"], "a better dev figure in another division comes later"
    assert frame["division"].to_list() == ["8:1:1", "3:1", "3:1", "5 folds"]


def test_results_are_json_in_the_warehouse(db):
    with db.read() as con:
        ((text,),) = con.execute("select results from runs where run_id = 'a'").fetchall()
    assert json.loads(text)["noise_floor"] == 0.006


def test_a_leaderboard_without_runs_is_refused(db):
    with pytest.raises(InputError, match=r"No head was trained[\s\S]*features train"):
        leaderboard(db, ["nobody"])
