"""Words find pictures: a pair that this test trains, from its weights file through build and index to every door."""

from __future__ import annotations

import contextlib
import logging

import numpy as np
import polars as pl
import pytest

pytest.importorskip("open_clip", reason="the extra text is not installed")

from photogenic import FeatureStore
from photogenic.app.serve.http.limits import Limits
from photogenic.features.text import towers
from photogenic.warehouse import EncoderError, InputError, PhotogenicError, StoreError
from tests.app.serve.live_server import live_server
from tests.features.gallery import Gallery
from tests.features.text.tiny_pair import CAPTIONS, NAME, png, put_config, put_random, put_trained
from tests.features.toy import put_vectors

EACH = 8


def kind_of(photo_id):
    return photo_id.rsplit("-", 1)[0].replace("-", " ")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    assert put_trained(folder) > 0.9
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATURES_WEIGHTS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def root(tmp_path_factory, weights):
    root = tmp_path_factory.mktemp("words") / "store"
    pictures = {
        f"{caption.replace(' ', '-')}-{seed}": png(kind, seed)
        for kind, caption in enumerate(CAPTIONS)
        for seed in range(EACH)
    }
    gallery = Gallery(root, pictures)
    with FeatureStore(root) as store:
        store.build(encoders=[NAME])
        ids = sorted(pictures)
        put_vectors(store.layout, "toy", ids, np.random.default_rng(0).standard_normal((len(ids), 8), np.float32))
        store.build(only="index", encoders=["toy", NAME])
    assert gallery.layout.root == root
    return root


@pytest.fixture
def store(root):
    with FeatureStore(root) as store:
        yield store


@pytest.fixture(scope="module")
def server(root):
    with live_server(root, limits=Limits()) as server:
        yield server


@pytest.mark.parametrize("caption", CAPTIONS)
def test_a_caption_finds_its_pictures(store, caption):
    found = store.similar(text=caption, k=EACH)
    right = sum(kind_of(photo_id) == caption for photo_id in found["photo_id"])
    assert right >= EACH - 2
    assert kind_of(found["photo_id"][0]) == caption
    assert found["distance"].is_sorted()


def test_the_distances_are_those_of_the_towers(store):
    found = store.similar(text="a red circle", k=3)
    ids, X = store.embeddings(NAME)
    similarities = X @ store.text_vector("a red circle")
    best = np.argsort(-similarities)[:3]
    assert found["photo_id"].to_list() == [ids[at] for at in best]
    np.testing.assert_allclose(found["distance"], 1 - similarities[best], atol=1e-5)


def test_every_door_gives_the_same_answer(store, server):
    wanted = store.similar(text="a blue square", k=5)
    by_vector = store.similar(store.text_vector("a blue square"), k=5, encoder=NAME)
    assert by_vector.equals(wanted)
    told = server.post("/api/v1/similar", {"text": "a blue square", "k": 5}).json
    assert told["encoder"] == NAME
    assert [photo["photo_id"] for photo in told["photos"]] == wanted["photo_id"].to_list()
    assert [photo["distance"] for photo in told["photos"]] == wanted["distance"].to_list()
    assert store.sql("from similar(null, 5, text := 'a blue square')").drop("score").equals(wanted)
    by_column = store.sql(
        "select s.* from (values ('a blue square')) t(words), similar(null, 5, text := words) s order by rank"
    )
    assert by_column.drop("score").equals(wanted)


def test_words_in_sql_need_an_encoder_for_words(store):
    with pytest.raises(EncoderError, match="toy has no text tower"):
        store.sql("from similar(null, text := 'x', encoder := 'toy')")


def test_a_photo_and_a_text_are_one_query(store, server):
    found = store.similar("a-red-circle-0", text="a green square", k=48)
    both = store.embeddings(NAME, ["a-red-circle-0"])[1][0] + store.text_vector("a green square")
    wanted = store.similar(both / 2, k=48, encoder=NAME).filter(pl.col("photo_id") != "a-red-circle-0")
    assert found["photo_id"].to_list() == wanted["photo_id"].to_list()
    body = {"photo_id": "a-red-circle-0", "text": "a green square", "k": 48, "encoder": NAME}
    told = server.post("/api/v1/similar", body).json
    assert [photo["photo_id"] for photo in told["photos"]] == found["photo_id"].to_list()


SQL = {
    "a text": ("from similar(text := 'a blue square', k := 5)", {}, None, "a blue square"),
    "a parameter": ("from similar(text := $words, k := 5)", {"words": "a blue square"}, None, "a blue square"),
    "a photo and a text": (
        f"from similar('a-red-circle-0', text := 'a green square', k := 5, encoder := '{NAME}')",
        {},
        "a-red-circle-0",
        "a green square",
    ),
    "photos and a text": (
        f"from similar(['a-red-circle-0', 'a-red-circle-1'], text := 'a green square', k := 5, encoder := '{NAME}')",
        {},
        ["a-red-circle-0", "a-red-circle-1"],
        "a green square",
    ),
}


@pytest.mark.parametrize("name", SQL)
def test_sql_gives_the_same_answer(store, server, name):
    query, parameters, photos, text = SQL[name]
    vectors = [
        store.embeddings(NAME, [photo])[1][0] for photo in ([photos] if isinstance(photos, str) else photos or [])
    ]
    together = np.mean([*vectors, store.text_vector(text)], axis=0)
    left_out = photos or []
    wanted = store.similar(together, k=8, encoder=NAME)["photo_id"].to_list()
    wanted = [photo_id for photo_id in wanted if photo_id not in left_out][:5]
    assert store.sql(query, parameters or None)["photo_id"].to_list() == wanted
    told = server.post("/api/v1/sql", {"query": f"select photo_id from ({query})", "parameters": parameters})
    assert [row[0] for row in told.json["rows"]] == wanted


def test_each_row_has_its_text(store, server):
    query = (
        "select words, near.photo_id from (values ('a red circle'), ('a green square')) asked (words),"
        " similar(text := words, k := 2) near order by words, rank"
    )
    wanted = [
        (text, photo_id)
        for text in ("a green square", "a red circle")
        for photo_id in store.similar(text=text, k=2)["photo_id"]
    ]
    assert store.sql(query).rows() == wanted
    told = server.post("/api/v1/sql", {"query": query})
    assert [tuple(row) for row in told.json["rows"]] == wanted
    with pytest.raises(InputError, match="neither a query nor a text"):
        store.sql(query.replace("'a green square')", "'a green square'), (null)"))


def test_a_query_in_the_server_has_few_texts(server):
    query = "from range(5) numbers (n), similar(text := 'circle ' || n, k := 1)"
    told = server.post("/api/v1/sql", {"query": query})
    assert told.code == "not_usable"
    assert "at most 4 texts in a query" in told.json["message"]
    export = server.get("/api/v1/sql/export?format=csv&query=from+similar(text+:=+'a+circle')")
    assert export.code == "not_usable"
    assert "Words cannot be compared with photos here" in export.json["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "neither a query nor a text"),
        ("text := ''", "The text is empty"),
        ("text := 5", "text is 5"),
        ("text := 'x', encoder := 'toy'", "toy has no text tower"),
        ("text := repeat('x', 1001)", "1,001 characters"),
    ],
)
def test_sql_refuses_what_is_no_text(store, server, arguments, said):
    with pytest.raises(PhotogenicError) as caught:
        store.sql(f"from similar({arguments})")
    assert said in caught.value.what
    told = server.post("/api/v1/sql", {"query": f"from similar({arguments})"})
    assert told.status >= 400
    assert said in told.json["message"]


def test_the_same_words_give_the_same_bits_after_loading_again(store):
    before = store.text_vector("a red circle")
    towers._loaded.clear()
    assert np.array_equal(before, store.text_vector("a red circle"))
    assert np.isclose(np.linalg.norm(before), 1, atol=1e-6)


def test_a_tower_is_loaded_once(store, server, monkeypatch):
    store.text_vector("a red circle")
    (loaded,) = (tower for (digest, _), tower in towers._loaded.items() if digest)
    monkeypatch.setattr(towers, "Tower", None)
    assert server.post("/api/v1/similar", {"text": "a green circle"}).status == 200
    assert list(towers._loaded.values())[-1] is loaded


def test_the_end_of_a_long_text_is_left_out_with_a_note(store, server):
    text = "a red circle " * 12
    told = server.post("/api/v1/similar", {"text": text, "k": 1}).json
    assert told["remarks"] == [f"The text is longer than {NAME} reads: its last 26 tokens were left out."]
    notes = []
    store.store.progress.note = notes.append
    store.similar(text=text, k=1)
    assert notes == told["remarks"]


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (
            {"text": "x", "encoder": "toy"},
            "not_ready",
            f"has no text tower, so words cannot be compared with its vectors. Expected: one of {NAME}",
        ),
        ({"text": "\u3000"}, "not_usable", "The text is empty."),
        ({"text": ""}, "bad_request", "Expected: of 1 to 1000 characters"),
        ({"text": "x" * 1001}, "bad_request", "1000 characters"),
        ({"text": 5}, "bad_request", "Expected: of type string"),
        ({"text": "x", "photo_ids": ["a-red-circle-0"]}, "bad_request", "The body has text and photo_ids."),
        ({}, "bad_request", "The body has no query."),
    ],
)
def test_the_api_refuses_what_is_no_text(server, body, code, said):
    answer = server.post("/api/v1/similar", body)
    assert answer.code == code
    assert said.split(" characters")[0] in answer.json["message"]


def test_python_refuses_what_is_no_query(store):
    with pytest.raises(InputError, match="nothing to compare"):
        store.similar()
    with pytest.raises(EncoderError, match="toy has no text tower") as caught:
        store.similar(text="x", encoder="toy")
    assert caught.value.remedy == f"--encoder {NAME}"


def test_no_log_has_the_words(store, server, caplog):
    with caplog.at_level(logging.DEBUG):
        store.similar(text="confidential words", k=1)
        for body in ({"text": "confidential words"}, {"text": "confidential words", "encoder": "toy"}):
            server.post("/api/v1/similar", body)
    assert "confidential" not in caplog.text


def test_words_are_not_compared_with_the_index_of_other_weights(store, weights):
    former = (weights / "openclip--tiny.safetensors").read_bytes()
    put_random(weights, seed=9)
    try:
        with pytest.raises(StoreError, match="was made with weights"):
            store.similar(text="a red circle")
    finally:
        (weights / "openclip--tiny.safetensors").write_bytes(former)
        put_config(weights)
    assert store.similar(text="a red circle", k=1).height == 1


def test_without_an_encoder_for_words_the_error_names_one(tmp_path, weights):
    gallery = Gallery(tmp_path / "store", {"p1": png(0, 0)})
    with FeatureStore(tmp_path / "store") as store:
        with pytest.raises(StoreError, match="it has no search index") as caught:
            store.similar(text="x")
        assert caught.value.remedy == "features build --encoder openclip:ViT-B-32.openai"
        put_vectors(gallery.layout, "toy", ["p1"], np.ones((1, 8), np.float32))
        store.build(only="index", encoders=["toy"])
        with pytest.raises(StoreError, match="none of toy has a text tower"):
            store.similar(text="x")


def test_the_command_prints_what_python_returns(store, root, weights, forks, tmp_path):
    environment = {"FEATURES_STORE": str(root), "FEATURES_WEIGHTS": str(weights)}
    words = ("similar", "--text", "a green circle", "-k", "4", "--format", "json")
    ended = forks.run(tmp_path, *words, call="tests.app.typed:typed", environment=environment)
    assert ended.code == 0, ended.err
    found = store.similar(text="a green circle", k=4)["photo_id"].to_list()
    assert pl.read_json(ended.out.encode())["photo_id"].to_list() == found


def test_one_field_of_the_page_takes_photo_ids_and_words(browser, server):
    with contextlib.closing(browser.new_context(base_url=server.url)) as context:
        complaints, addresses = [], []
        context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("request", lambda request: addresses.append(request.url))
        page = context.new_page()
        page.goto("/similar?popular=false&encoder=toy&where=")
        field = page.locator("[name=photo_id]").last
        field.fill("a green square")
        field.press("Enter")
        page.wait_for_selector("#answer .row")
        first = page.locator("#answer .row a").first.get_attribute("href")
        assert "a-green-square" in first
        assert page.locator("[name=encoder]").input_value() == NAME
        assert not any("green%20square" in url or "green+square" in url for url in [*addresses, page.url])
        field.fill("a-red-circle-0")
        field.press("Enter")
        page.wait_for_url("**/similar?*a-red-circle-0*")
        page.wait_for_selector("#answer .row")
        assert complaints == []
