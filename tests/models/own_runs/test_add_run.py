"""Predictions from elsewhere: read from any door, evaluated by the test of the heads, and counted."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from photogenic import FeatureStore
from photogenic.models.evaluation.leaderboard import leaderboard
from photogenic.models.own_runs import add_run as adding
from photogenic.warehouse import InputError, StoreError
from photogenic.warehouse.errors import ThresholdError
from tests.models.planted import planted, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with a head for like_ratio and one for gender, and their predictions."""
    store = planted(tmp_path_factory.mktemp("trained"))
    train(store, ["like_ratio"], ["toy_a"], ["ridge"], "all")
    train(store, ["gender"], ["toy_a"], ["logistic"], "all")
    return store


@pytest.fixture
def store(trained, tmp_path):
    shutil.copytree(trained.layout.root, tmp_path / "store")
    return FeatureStore(tmp_path / "store")


def add(store, name, data, **given):
    return store.add_run(name, data, **({"setup": "all"} | given))


def said_by_head(store, target="like_ratio", splits=("train", "dev", "test")):
    return store.sql(
        "select photo_id, prediction from predictions inner join runs using (run_id)"
        " where target = $target and origin = 'trained' and contains($splits, split) order by photo_id",
        {"target": target, "splits": " ".join(splits)},
    )


def run_of(store, run_id):
    return store.sql("from runs where run_id = $run", {"run": run_id}).to_dicts()[0]


@pytest.mark.parametrize("target", ["like_ratio", "gender"])
def test_the_predictions_of_a_head_get_its_figures(store, target):
    added = add(store, "mine", said_by_head(store, target), target=target)
    mine, [head] = run_of(store, added.run_id), store.sql(
        "from runs where target = $t and origin = 'trained'", {"t": target}
    ).to_dicts()  # fmt: skip
    for name in ("target", "setup", "metric", "dev", "test", "baseline", "n_test"):
        assert mine[name] == pytest.approx(head[name]), name
    ours, theirs = json.loads(mine["results"]), json.loads(head["results"])
    for name in ("intervals", "slices", "spearman", "conformal", "constant", "auc"):
        assert ours.get(name) == theirs.get(name), name
    assert ours["coverage"]["share"] == 1
    assert (mine["name"], mine["origin"], mine["head"], mine["promoted"]) == ("mine", "ingested", "mine", False)
    [comparison] = added.leaderboard.comparisons
    assert [one.verdict for one in comparison.comparisons] == ["less", "undecided"]
    assert comparison.comparisons[1].ratio[0] == pytest.approx(1)


def test_every_door_gives_the_same_run(store, tmp_path):
    frame = said_by_head(store)
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_ndjson(tmp_path / "a.ndjson")
    (tmp_path / "parts").mkdir()
    frame[:50].write_csv(tmp_path / "parts" / "1.csv")
    frame[50:].write_csv(tmp_path / "parts" / "2.csv")
    frame.rename({"prediction": "score"}).write_csv(tmp_path / "named.csv")
    first = add(store, "mine", frame)
    assert first.is_new
    state = store.sql("select count(*) from predictions").item(), store.sql("select count(*) from ingests").item()
    for data in (
        frame.lazy(),
        frame.to_pandas(),
        frame.to_arrow(),
        pa.table(frame.to_arrow()).to_reader(),
        frame.to_dicts(),
        frame.to_dict(as_series=False),
        dict(frame.iter_rows()),
        str(tmp_path / "a.csv"),
        tmp_path / "a.parquet",
        [tmp_path / "a.ndjson"],
        tmp_path / "parts",
    ):
        added = add(store, "mine", data)
        assert (added.run_id, added.is_new) == (first.run_id, False), type(data)
        assert all(report.repeated and report.n_read == 0 for report in added.reports)
    added = add(store, "mine", tmp_path / "named.csv", mapping={"prediction": "score"})
    assert not added.is_new
    assert state == (
        store.sql("select count(*) from predictions").item(),
        store.sql("select count(*) from ingests").item(),
    )


def test_each_refused_row_has_its_reason_and_the_counts_add_up(store, tmp_path):
    store.erase("u-p007")
    frame = said_by_head(store)
    photos = frame["photo_id"].to_list()
    extra = [
        f"{photos[0]},{frame['prediction'][0]!r}",  # the same again: known
        f"{photos[1]},0.123",  # another prediction: none of the two is kept
        "nobody,0.5",
        "p007,0.5",
        f"{photos[2]},much",
        f"{photos[2]},nan",
        f"{photos[2]},",
        ",0.5",
        f"{photos[3]},1.5",
        f"{photos[3]},-0.1",
        f"{photos[4]}",
    ]
    path = tmp_path / "mine.csv"
    path.write_text(frame.write_csv() + "\n".join(extra) + "\n")
    added = add(store, "mine", path)
    [report] = added.reports
    wanted = {
        "erased": 1,
        "no_photo_id": 1,
        "not_a_number": 3,
        "out_of_range": 2,
        "repeated_photo": 2,
        "too_few_columns": 1,
        "unknown_photo": 1,
    }
    assert report.refused == wanted
    assert report.n_read == len(frame) + len(extra) == report.n_new + report.n_known + report.n_refused
    assert report.n_known == 1
    rows = store.sql("select reason, count(*) as n from rejects where kind = 'predictions' group by all")
    assert dict(rows.iter_rows()) == wanted
    stored = store.sql("select count(*) from predictions where run_id = $r", {"r": added.run_id}).item()
    assert stored == report.n_new == len(frame) - 1
    ingest = store.sql("from ingests where kind = 'predictions'").to_dicts()[0]
    assert (ingest["n_read"], ingest["n_new"], ingest["n_known"], ingest["n_refused"]) == (
        report.n_read,
        report.n_new,
        1,
        report.n_refused,
    )


def test_a_repeated_photo_in_two_files_is_refused_in_both(store, tmp_path):
    frame = said_by_head(store)
    frame.write_csv(tmp_path / "a.csv")
    frame[:1].with_columns(prediction=0.999).write_csv(tmp_path / "b.csv")
    added = add(store, "mine", [tmp_path / "a.csv", tmp_path / "b.csv"])
    assert [report.refused for report in added.reports] == [{"repeated_photo": 1}, {"repeated_photo": 1}]


def test_photos_without_a_label_are_kept_and_not_evaluated(store):
    with store.database.write("test") as con:
        con.execute(
            "insert into facts.photos (photo_id, user_id, ingested_at) values ('new', 'u-new', timestamp '2024-01-01')"
        )
    frame = pl.concat([said_by_head(store), pl.DataFrame({"photo_id": ["new"], "prediction": [0.5]})])
    added = add(store, "mine", frame)
    row = store.sql("from predictions where run_id = $r and photo_id = 'new'", {"r": added.run_id})
    assert row["split"].to_list() == [None]


def test_limits_hold_and_the_run_is_there(store):
    frame = said_by_head(store)
    bad = pl.concat([frame, pl.DataFrame({"photo_id": ["nobody"], "prediction": [0.5]})])
    with pytest.raises(ThresholdError, match="unknown_photo 1"):
        add(store, "mine", bad, max_refused=0)
    assert store.sql("select count(*) from runs where name = 'mine'").item() == 1
    with pytest.raises(ThresholdError, match="least-rows"):
        add(store, "mine", bad, least_rows=10_000)
    with pytest.raises(ThresholdError, match="unknown_photo 1"):  # the same again has the same result
        add(store, "mine", bad, max_refused=0)


def test_photos_that_were_learned_from_do_not_count(store):
    frame = said_by_head(store)
    test = said_by_head(store, splits=["test"])["photo_id"].to_list()
    plain = add(store, "mine", frame)
    known = run_of(store, plain.run_id)
    assert json.loads(known["results"])["audit"] == {
        "learned_from": "not_said",
        "n_learned": None,
        "n_test_left_out": 0,
    }
    by_list = add(store, "mine", frame, trained_on=test[:3])
    found = run_of(store, by_list.run_id)
    assert found["n_test"] == known["n_test"] - 3
    assert json.loads(found["results"])["audit"] == {"learned_from": "said", "n_learned": 3, "n_test_left_out": 3}
    split = pl.when(pl.col("photo_id").is_in(test[:3])).then(pl.lit("Train")).otherwise(None)
    by_column = add(store, "mine", frame.with_columns(split=split))
    assert (by_column.run_id, by_column.is_new) == (by_list.run_id, False)
    assert set(
        store.sql(
            "select photo_id from predictions where run_id = $r and split = 'train'", {"r": by_list.run_id}
        ).to_series()
    ) == set(test[:3])
    with pytest.raises(InputError, match="learned from"):
        add(store, "mine", frame, trained_on=test)


def test_a_photo_of_the_same_person_counts_as_learned_from(store):
    """A run that was trained on another photo of the owner of a test photo."""
    test = said_by_head(store, splits=["test"])["photo_id"].to_list()
    owner = store.sql("select user_id from photos where photo_id = $p", {"p": test[0]}).item()
    with store.database.write("test") as con:
        con.execute(
            "insert into facts.photos (photo_id, user_id, ingested_at) values ('other', $1, timestamp '2024-01-01')",
            [owner],
        )
    added = add(store, "mine", said_by_head(store), trained_on=["other"])
    assert json.loads(run_of(store, added.run_id)["results"])["audit"]["n_test_left_out"] == 1


def test_a_refused_row_still_says_what_was_learned_from(store):
    test = said_by_head(store, splits=["test"])["photo_id"].to_list()
    rows = said_by_head(store).with_columns(split=pl.lit(None, pl.String)).to_dicts()
    for row in rows:
        if row["photo_id"] == test[0]:
            row |= {"prediction": 7.0, "split": "dev"}
    added = add(store, "mine", rows)
    audit = json.loads(run_of(store, added.run_id)["results"])["audit"]
    assert (audit["learned_from"], audit["n_learned"]) == ("said", 1)


def test_a_list_of_photos_with_a_gap_is_not_used(store, tmp_path):
    (tmp_path / "train.csv").write_text("photo_id,n\np001,1\n,2\n")
    with pytest.raises(InputError, match="no photo_id"):
        add(store, "mine", said_by_head(store), trained_on=tmp_path / "train.csv")
    assert store.sql("select count(*) from runs where name = 'mine'").item() == 0


def test_a_run_of_few_photos_is_shown_as_one_and_stands_last(store):
    test = said_by_head(store, splits=["test"])
    added = add(store, "few", test[:3].with_columns(prediction=pl.col("prediction")))
    board = leaderboard(store.database)
    rows = board.frame.filter(board.frame["target"] == "like_ratio").to_dicts()
    assert rows[-1]["run_id"] == added.run_id
    assert rows[-1]["coverage"] == pytest.approx(3 / len(test))
    assert rows[-1]["dev"] is None
    [table] = [table for table in board.tables if table.target == "like_ratio"]
    assert any("few" in remark and "not comparable" in remark for remark in table.remarks)
    [cell] = [row.cells[0] for row in table.rows if row.head == "few"]
    assert cell.is_partial
    [comparison] = added.leaderboard.comparisons
    assert {one.n_photos for one in comparison.comparisons} == {3}


def test_a_run_without_dev_never_comes_first_where_higher_is_better(store):
    test = said_by_head(store, "gender", ["test"])
    add(store, "perfect", test, target="gender")
    frame = leaderboard(store.database).frame
    assert frame.filter(frame["target"] == "gender")["head"].to_list() == ["logistic", "perfect"]


def test_the_name_means_the_newest_and_older_runs_stay(store):
    frame = said_by_head(store)
    old = add(store, "mine", frame)
    new = add(store, "mine", frame.with_columns(prediction=1 - pl.col("prediction")))
    assert old.run_id != new.run_id
    assert store.show_run("mine")["run_id"] == new.run_id
    assert store.show_run(old.run_id[:6])["run_id"] == old.run_id
    again = add(store, "mine", frame)
    assert (again.run_id, again.is_new) == (old.run_id, False)


@pytest.mark.parametrize("name", ["", "../x", "0123456789ab", "a b", "é", "-x", "x" * 65, "a;b", 3])
def test_a_name_that_is_no_plain_word_is_refused(trained, name):
    with pytest.raises(InputError, match="no name for a run"):
        add(trained, name, {"p000": 0.5})


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"photo_id": ["p000"]}, "prediction"),
        ([], "holds no rows"),
        (3, "A source is a int"),
        (np.zeros((2, 2)), "row 1 is a ndarray"),
    ],
)
def test_what_is_no_table_of_predictions_is_refused(trained, data, what):
    with pytest.raises(InputError, match=what):
        add(trained, "mine", data)


def test_no_test_photo_is_predicted(store):
    with pytest.raises(InputError, match="None of the"):
        add(store, "mine", said_by_head(store, splits=["train"]))
    assert store.sql("select count(*) from rejects where kind = 'predictions'").item() == 0


def test_a_store_without_labels_names_the_build(tmp_path):
    with pytest.raises(StoreError):
        add(FeatureStore(tmp_path / "none"), "mine", {"p1": 0.5})


def test_a_crash_in_the_middle_leaves_nothing_and_the_same_call_completes(store, monkeypatch):
    frame = pl.concat([said_by_head(store), pl.DataFrame({"photo_id": ["nobody"], "prediction": [0.5]})])
    real = adding._insert

    def broken(*given):
        real(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(adding, "_insert", broken)
    with pytest.raises(KeyboardInterrupt):
        add(store, "mine", frame)
    for relation in (
        "rejects where kind = 'predictions'",
        "ingests where kind = 'predictions'",
        "runs where name = 'mine'",
    ):
        assert store.sql(f"select count(*) from {relation}").item() == 0
    monkeypatch.undo()
    assert add(store, "mine", frame).is_new
    assert not add(store, "mine", frame).is_new


def test_erasing_a_person_removes_her_predictions(store):
    added = add(store, "mine", said_by_head(store), trained_on=["p001"])
    store.erase("u-p001")
    rows = store.sql("select photo_id from predictions where run_id = $r", {"r": added.run_id}).to_series()
    assert "p001" not in rows.to_list()
    assert len(rows) > 100
    assert json.loads(run_of(store, added.run_id)["results"])["trained_on_erased"] == 1


def test_it_has_nothing_to_run(store):
    added = add(store, "mine", said_by_head(store))
    for text in ("mine", added.run_id, added.run_id[:5]):
        with pytest.raises(InputError, match="no weights"):
            store.predict("x.jpg", run=text)
        with pytest.raises(InputError, match="no weights"):
            store.crop("x.jpg", run=text)
    with pytest.raises(InputError, match="no weights"):
        store.promote_run("mine")
