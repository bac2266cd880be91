"""The encoder of a search that names none: that of the settings, else a default one, else any."""

import asyncio
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.http.server import make_guard, running_server
from photogenic.features.search import index as indices
from photogenic.warehouse import InputError, Settings, StoreError
from tests.app.serve.live_server import LiveServer
from tests.features.toy import SETTINGS, put_photos, put_vectors


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("default") / "store", np.random.default_rng(0)
    ids = [f"p{at}" for at in range(9)]
    with FeatureStore(root, settings=SETTINGS) as store:
        put_photos(store.database, pl.DataFrame({"photo_id": ids, "gender": "female", "n_likes": 1, "n_swipes": 2}))
        for name in ("first", "second"):
            put_vectors(store.layout, name, ids, rng.normal(size=(9, 3)).astype("f4"))
            indices.build(store.store, name)
    return root


def test_the_encoder_of_the_settings_is_taken(root):
    for chosen, expected in ((None, "first"), ("second", "second"), ("first", "first")):
        with FeatureStore(root, settings=replace(SETTINGS, encoder=chosen)) as store:
            assert store.searcher.cache.default_encoder() == expected
            by_default, by_name = store.similar("p3", k=4), store.similar("p3", k=4, encoder=expected)
            assert by_default.equals(by_name)


async def test_the_server_and_its_processes_of_sql_take_the_encoder_of_the_settings(root):
    with FeatureStore(root, settings=replace(SETTINGS, encoder="second")) as store:
        expected = store.similar("p3", k=8)["photo_id"].to_list()
        assert store.similar("p3", k=8, encoder="first")["photo_id"].to_list() != expected
        async with running_server(store, make_guard("127.0.0.1", None), limits=Limits(sql_at_once=1)) as url:
            query = "select photo_id from similar('p3', k := 8) order by rank"
            answer = await asyncio.to_thread(LiveServer(url).sql, query)
            similar = await asyncio.to_thread(LiveServer(url).post, "/api/v1/similar", {"photo_id": "p3", "k": 8})
    assert [photo_id for (photo_id,) in answer.json["rows"]] == expected
    assert [photo["photo_id"] for photo in similar.json["photos"]] == expected


def test_an_encoder_of_the_settings_without_index_is_no_other_one(root):
    with (
        FeatureStore(root, settings=replace(SETTINGS, encoder="third")) as store,
        pytest.raises(StoreError, match="third"),
    ):
        store.similar("p3", k=2)


def test_the_variable_wins_over_the_file(monkeypatch):
    monkeypatch.setenv("FEATURES_ENCODER", "second")
    assert Settings.from_environment({"encoder": "first"}).encoder == "second"
    monkeypatch.delenv("FEATURES_ENCODER")
    assert Settings.from_environment({"encoder": "first"}).encoder == "first"
    assert Settings.from_environment().encoder is None


@pytest.mark.parametrize("wrong", ["   ", "a\nb", "x" * 201, 3])
def test_a_name_that_cannot_be_one_is_refused(wrong):
    with pytest.raises(InputError, match="encoder is"):
        replace(SETTINGS, encoder=wrong)
