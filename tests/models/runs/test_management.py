"""Runs are listed, shown, promoted and removed; a run is found by id, name or the beginning of its id."""

from __future__ import annotations

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.features.encoders.registry import ENCODERS
from photogenic.models.runs import management, run_store
from photogenic.models.runs.run_names import find_run
from photogenic.warehouse import InputError, StoreError
from tests.models.put_heads import Head, put_encoder, put_heads

OWN = "0a1b2c3d4e5f"


@pytest.fixture
def store(tmp_path):
    for name, kind in (("bright", "photo"), ("bright_face", "face"), ("own", "photo")):
        put_encoder(name, kind)
    return FeatureStore(tmp_path / "store")


def put_own(store, run_id=OWN, name="mine", target="like_ratio"):
    """Add a run of predictions, as `add_run` does, without labels."""
    with store.database.write("test") as con:
        con.execute(
            "insert into facts.runs values ($1, $3, 'one_face', 'ingested', $2, 'mse', 0.001, 0.1, 0.2, 0, 2, '{}', $4,"
            " timestamp '2030-01-01', $2, 'ingested')",
            [run_id, name, target, json.dumps({"coverage": {"share": 0.5}, "audit": {"learned_from": "not_said"}})],
        )
        con.execute("insert into facts.predictions values ($1, 'dev0', 'test', 0.5)", [run_id])


def found(store, text):
    return find_run(store.layout, store.database.frame, text)


def cli(store, *words):
    return CliRunner().invoke(program, [*words, "--store", str(store.layout.root)])


def test_a_run_is_found_by_id_name_and_beginning(store):
    put_heads(store, Head("aabb11", 0.1), Head("aacc22", 0.2))
    put_own(store)
    put_own(store, "f" * 12, "aabb11x")
    assert [found(store, text) for text in ("aabb11", "aac", OWN, "mine", "0a1b", "aabb11x")] == [
        "aabb11",
        "aacc22",
        OWN,
        OWN,
        OWN,
        "f" * 12,
    ]
    for text, what in (
        ("zzz", "no run 'zzz'"),
        ("", "no run ''"),
        ("aa", "no run 'aa'"),
        ("../models", "no run"),
        ("%", "no run"),
    ):
        with pytest.raises(InputError, match=what):
            found(store, text)
    put_heads(store, Head("aac333", 0.2))
    with pytest.raises(InputError, match="2 runs begin with 'aac'"):
        found(store, "aac")


def test_a_name_is_the_newest_run_of_that_name(store):
    put_own(store, "1" * 12)
    with store.database.write("test") as con:
        con.execute("update facts.runs set created_at = timestamp '2020-01-01'")
    put_own(store, "2" * 12)
    assert found(store, "mine") == "2" * 12


def test_the_list_says_which_runs_answer_and_why_others_cannot(store, monkeypatch):
    put_heads(
        store,
        Head("faces", 0.4, encoder="bright_face"),
        Head("any", 0.6, dev=0.01, setup="all"),
        Head("theirs", 0.9, dev=0.001, encoder="own"),
    )
    put_own(store)
    monkeypatch.delitem(ENCODERS, "own")
    rows = {row["run_id"]: row for row in store.runs().to_dicts()}
    assert {name for name, row in rows.items() if row["answers"]} == {"faces", "any"}
    assert {name for name, row in rows.items() if row["problem"] is None} == {"faces", "any"}
    assert "'own'" in rows["theirs"]["problem"]
    assert "elsewhere" in rows[OWN]["problem"]
    assert (rows[OWN]["coverage"], rows[OWN]["audit"], rows["any"]["audit"]) == (0.5, "not_said", "split")
    told = store.show_run("theirs")
    assert "FEATURES_MODULES" in told["remedy"]
    assert "features.py" in told["remedy"]
    assert store.runs("gender").is_empty()
    assert store.runs("gender").schema == store.runs().schema
    with pytest.raises(InputError, match="not a target"):
        store.runs("beauty")
    typed = cli(store, "runs", "list", "--format", "json")
    assert {row["run_id"] for row in json.loads(typed.stdout)} == {"faces", "any", "theirs", OWN}
    listed = cli(store, "runs", "list")
    assert "theirs" in listed.stderr


def test_the_list_shows_figures_of_targets_with_other_units(store):
    put_own(store)
    put_own(store, "f" * 12, "large", "users.followers")
    with store.database.write("test") as con:
        con.execute("update facts.runs set dev = 1825880.11, test = null where name = 'large'")
    listed = cli(store, "runs", "list").stdout
    assert "0.0010" in listed
    assert "0.1000" in listed
    assert "1,825,880.1" in listed


def test_an_empty_store_has_no_runs(store):
    put_heads(store)
    assert store.runs().is_empty()
    with pytest.raises(InputError, match="there are none yet"):
        store.show_run("x1y2")


def test_a_run_is_shown_whole(store):
    put_heads(store, Head("aabb11", 0.1))
    told = store.show_run("aabb")
    assert told["encoder_digests"].keys() == {"bright"}
    assert told["predictions"] == {"dev": 10}
    assert {path.rpartition("/")[2] for path in told["files"]} == {"manifest.json", "weights.safetensors"}
    assert told["answers"]
    assert told["results"]["conformal"] == {"radius": 0.1}
    typed = cli(store, "runs", "show", "aabb11", "--format", "json")
    assert json.loads(typed.stdout)[0]["run_id"] == "aabb11"
    assert "hyperparameters.division" in cli(store, "runs", "show", "aabb11").stdout


def test_promotion_is_kept_until_changed_and_is_recorded(store):
    put_heads(store, Head("better", 0.1, dev=0.1), Head("worse", 0.2, dev=0.2), Head("other", 0.3, target="gender"))
    store.promote_run("worse")
    store.promote_run("other")
    promoted = "select target, run_id from runs where promoted order by all"
    assert store.sql(promoted).rows() == [("gender", "other"), ("like_ratio", "worse")]
    store.promote_run("better")
    assert store.sql(promoted).rows() == [("gender", "other"), ("like_ratio", "better")]
    assert store.demote_run("like_ratio") == "better"
    assert store.demote_run("like_ratio") is None
    assert store.sql(promoted).rows() == [("gender", "other")]
    done = cli(store, "runs", "promote", "worse")
    assert done.exit_code == 0, done.output
    assert "predicts like_ratio from now on" in done.stderr
    rows = store.sql("select stages from commands where command = 'runs promote'").rows()
    assert any('"worse": 1' in stages for (stages,) in rows)
    assert cli(store, "runs", "demote", "like_ratio").exit_code == 0


def test_a_run_that_cannot_predict_is_promoted_by_force_only(store, monkeypatch):
    put_heads(store, Head("theirs", 0.9, encoder="own"), Head("ours", 0.3))
    monkeypatch.delitem(ENCODERS, "own")
    with pytest.raises(StoreError, match="FEATURES_MODULES"):
        store.promote_run("theirs")
    store.promote_run("theirs", force=True)
    assert store.sql("select run_id from runs where promoted").rows() == [("theirs",)]
    with pytest.raises(StoreError, match="promoted for like_ratio, and cannot predict here"):
        store.predict("x.jpg")
    store.demote_run("like_ratio")
    assert store.predict("x.jpg")[0].run_id == "ours"


def test_a_removed_run_is_gone_everywhere(store):
    put_heads(store, Head("aabb11", 0.1), Head("aacc22", 0.2))
    put_own(store)
    removed = store.remove_run(["aabb", "mine"])
    assert [(one.run_id, one.n_predictions, one.n_files) for one in removed] == [("aabb11", 10, 2), (OWN, 1, 0)]
    assert store.sql("select distinct run_id from predictions").rows() == [("aacc22",)]
    assert store.sql("select run_id from runs").rows() == [("aacc22",)]
    assert not (store.layout.models / "aabb11").exists()
    with pytest.raises(InputError, match="no run 'aabb'"):
        store.remove_run("aabb")


def test_the_promoted_run_is_removed_by_force_only(store):
    put_heads(store, Head("aabb11", 0.1))
    store.promote_run("aabb11")
    with pytest.raises(InputError, match="promoted for like_ratio"):
        store.remove_run("aabb11")
    assert store.remove_run("aabb11", force=True)[0].was_promoted
    assert store.database.rows("select count(*) from facts.promoted_runs") == [(0,)]


def test_a_network_that_other_runs_stand_on_stays(store):
    tuned = f"efficientnet_lite0@{OWN}"
    put_encoder(tuned)
    put_heads(
        store,
        Head(OWN, 0.1, encoder=tuned),
        Head("head11", 0.2, encoder=tuned),
        Head("joined", 0.2, encoder=f"bright+{tuned}"),
    )
    vectors = store.layout.embeddings(tuned)
    vectors.mkdir(parents=True)
    (vectors / "part.parquet").write_bytes(b"vectors")
    assert store.show_run(OWN)["needed_by"] == ["head11", "joined"]
    with pytest.raises(InputError, match="2 runs stand on the network"):
        store.remove_run(OWN, force=True)
    store.remove_run(["head11", "joined", OWN])
    assert not vectors.exists()
    assert not (store.layout.models / OWN).exists()
    del ENCODERS[tuned]


@pytest.mark.parametrize("at", ["_delete_rows", "rmtree"])
def test_a_killed_removal_is_completed_by_the_same_call(store, monkeypatch, at):
    put_heads(store, Head("aabb11", 0.1))

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(*((management, at) if at == "_delete_rows" else (management.shutil, at)), killed)
    with pytest.raises(KeyboardInterrupt):
        store.remove_run("aabb11")
    monkeypatch.undo()
    assert not run_store.finished(store.layout, "aabb11")
    store.remove_run("aabb11")
    assert not (store.layout.models / "aabb11").exists()
    assert store.sql("select count(*) from runs").item() == 0
    assert store.sql("select count(*) from predictions").item() == 0


def test_removing_asks(store):
    put_heads(store, Head("aabb11", 0.1))
    refused = cli(store, "runs", "remove", "aabb11")
    assert refused.exit_code == 1
    assert "--yes" in str(refused.exception) + refused.output
    assert store.sql("select count(*) from runs").item() == 1
    assert cli(store, "runs", "remove", "aabb11", "--yes").exit_code == 0
    assert store.sql("select count(*) from runs").item() == 0


def test_backup_and_restore_keep_a_promotion_and_an_ingested_run(store, tmp_path):
    put_heads(store, Head("aabb11", 0.1), Head("aacc22", 0.2))
    put_own(store)
    store.promote_run("aacc22")
    store.backup(tmp_path / "backup")
    other = FeatureStore(tmp_path / "other")
    other.restore(tmp_path / "backup")
    names = ["run_id", "name", "promoted", "answers"]
    assert other.runs().select(names).sort("run_id").equals(store.runs().select(names).sort("run_id"))
    assert other.runs().filter(pl.col("promoted"))["run_id"].to_list() == ["aacc22"]
