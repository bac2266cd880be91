"""An encoder of one's own that is missing here is named with the setting that brings it, and is in no one's way."""

from __future__ import annotations

import contextlib

import pytest

from photogenic.features.encoders.registry import ENCODERS
from photogenic.models.evaluation.leaderboard import leaderboard
from photogenic.warehouse import EncoderError
from tests.app.serve.live_server import live_server
from tests.models.planted import planted, train


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with a head on the vectors of an encoder that is not registered here, and one on those of another."""
    store = planted(tmp_path_factory.mktemp("missing"))
    train(store, ["like_ratio"], ["toy_a", "toy_b"], ["ridge"], "all")
    store.add_run(
        "mine",
        store.sql(
            "select photo_id, prediction from predictions inner join runs using (run_id) where encoder = 'toy_a'"
        ),
        setup="all",
    )
    removed = ENCODERS.pop("toy_a")
    yield store
    ENCODERS["toy_a"] = removed


def run_on(store, encoder):
    return store.sql("select run_id from runs where encoder = $e", {"e": encoder}).item()


def test_reading_doors_do_not_need_it(store):
    assert {row["encoder"] for row in leaderboard(store.database).frame.to_dicts()} == {"toy_a", "toy_b", "ingested"}
    assert set(store.status()["embeddings"]) == {"toy_a", "toy_b"}
    assert [one for one in store.doctor() if one.state == "fault" and "toy_a" in one.found] == []
    assert store.report().stat().st_size > 10_000
    assert "toy_b" in [one.name for one in store.encoders()]


def test_the_list_of_runs_names_it_with_the_setting(store):
    rows = {row["encoder"]: row for row in store.runs().to_dicts()}
    assert "'toy_a'" in rows["toy_a"]["problem"]
    assert rows["toy_b"]["answers"]
    remedy = store.show_run(run_on(store, "toy_a"))["remedy"]
    assert "FEATURES_MODULES" in remedy
    assert "features.py" in remedy


def test_predicting_photos_of_the_store_is_done_by_the_other_head(store):
    scored = store.predict()
    assert {one.run_id for one in scored} == {run_on(store, "toy_b")}


def test_a_named_run_and_a_named_encoder_tell_the_setting(store):
    for call in (
        lambda: store.predict("x.jpg", run=run_on(store, "toy_a")),
        lambda: store.crop("x.jpg", run=run_on(store, "toy_a")),
        lambda: store.build(encoders=["toy_a"]),
    ):
        with pytest.raises(EncoderError) as refused:
            call()
        assert "toy_a" in refused.value.what
        assert "FEATURES_MODULES" in refused.value.remedy
        assert "features.py" in refused.value.remedy


def test_training_leaves_it_out_with_a_note(store):
    progress = Notes()
    board = train(store, ["like_ratio"], None, ["ridge"], "all", progress=progress)
    assert set(board.frame["encoder"]) == {"toy_b"}
    assert any("toy_a" in note and "FEATURES_MODULES" in note for note in progress.notes)


class Notes:
    """Progress callback that stores the notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)

    def stage(self, *_, **__):
        return contextlib.nullcontext(lambda _: None)


@pytest.mark.slow
def test_the_server_starts_and_shows_models(store):
    with live_server(store.layout.root) as server:
        for path in ("/", "/models", "/store", "/api/v1/runs", "/api/v1/health", "/api/v1/metrics"):
            assert server.get(path).status == 200, path
