"""Places where data of an erased person could remain; the store is that of the backup tests."""

import json

import numpy as np
import polars as pl
import pytest

from photogenic.features.vectors.privacy import holds_vectors
from photogenic.models.runs import run_store
from photogenic.warehouse import StoreError
from photogenic.warehouse.erasure.id_words import IdWords
from photogenic.warehouse.storage.layout import write_atomically
from tests.maintenance.kept import IDS, PERSON, PHOTO
from tests.scanner import found

pytestmark = pytest.mark.slow

RUN = run_store.Run(
    *(
        "kernel-run",
        "popular",
        "all",
        "toy",
        "kernel",
        "mse",
        0.1,
        0.1,
        0.2,
        1,
        1,
        1,
        16,
        "fc",
        "identity",
        {},
        "",
        {},
        {},
    ),
    created_at="2024-06-01T00:00:00",
)


def left(store):
    hits = found(store.layout.root, {"person": [PERSON.encode()], "photo": [PHOTO.encode()]})
    return {name: files for name, files in hits.items() if files}


def test_ids_in_values_of_slices_are_removed(store):
    """`--slices` may group photos by user; verification used to treat such a text as another user's."""
    results = json.dumps({"slices": [{"column": "taken_by", "value": PERSON, "n": 3}, {"value": "u-photo-0071"}]})
    with store.database.write("test") as con:
        con.execute(
            "insert into facts.runs values ('run-1', 'popular', 'all', 'toy', 'ridge', 'mse', 1, 1, 1, 9, 9, '{}', $1,"
            " timestamp '2024-06-01', null, 'trained')",
            [results],
        )
    manifest = store.layout.models / "run-1" / "manifest.json"
    write_atomically(manifest, json.dumps({"results": json.loads(results)}).encode())
    store.erase([PERSON])
    kept = [{"column": "taken_by", "value": "(erased)", "n": 3}, {"value": "u-photo-0071"}]
    assert json.loads(store.sql("select results from runs").item())["slices"] == kept
    assert json.loads(manifest.read_text())["results"]["slices"] == kept


def test_leftovers_of_restores_and_demos_are_removed(store):
    text = f"user_id\n{PERSON}\n".encode()
    places = [*store.layout.restoring, store.layout.root / "demo" / "network", store.layout.root / "demo" / "world"]
    for place in places:
        write_atomically(place / "users.csv", text)
    store.erase([PERSON])
    assert not any(place.exists() for place in places)
    assert left(store) == {}


def test_an_open_search_does_not_find_erased_people(store):
    near = store.similar("photo-001", k=len(IDS))["photo_id"].to_list()
    assert PHOTO in near
    store.erase([PERSON])
    assert PHOTO not in store.similar("photo-001", k=len(IDS))["photo_id"].to_list()


def test_an_index_whose_vectors_a_repair_removed_is_removed(store):
    """`doctor --fix` was killed between the two: there are no vectors for the index."""
    (store.layout.embeddings("toy") / "manifest.json").unlink()
    store.erase([PERSON])
    assert not list(store.layout.index("toy").iterdir())
    assert left(store) == {}
    with pytest.raises(StoreError, match="no search index"):
        store.similar("photo-001", k=3)


@pytest.mark.parametrize("said_after", [True, False])
def test_a_head_finished_after_the_erase_loses_its_vectors(store, said_after):
    """Its training began before; its predictions were computed before or after."""
    from safetensors.numpy import save

    store.erase([PERSON])
    folder = store.layout.models / RUN.run_id
    write_atomically(folder / "weights.safetensors", save({"0|support": np.ones((2, 16), np.float32)}))
    write_atomically(folder / "manifest.json", b"{}")
    assert holds_vectors(folder)
    ids = ["photo-001"] if said_after else ["photo-001", PHOTO]
    said = pl.DataFrame({"run_id": RUN.run_id, "photo_id": ids, "split": "train", "prediction": 0.5})
    learned = pl.DataFrame({"run_id": RUN.run_id, "photo_id": ["photo-001", PHOTO]})
    run_store.record(store.database, [RUN], said, learned)
    assert store.sql("select results->>'trained_on_erased', results->>'weights' from runs").rows() == [("1", "removed")]
    assert not folder.exists()
    assert store.sql("select photo_id from predictions").to_series().to_list() == ["photo-001"]


def test_words_are_removed_and_parts_of_words_are_not():
    assert IdWords(["u-1"]).redact('{"a": "u-1", "b": ["u-12", "x u-1.", "u-1u-1"]}') == (
        '{"a": "(erased)", "b": ["u-12", "x (erased).", "u-1u-1"]}'
    )
    assert IdWords(["u-1", "p(2)"]).redact("u-1 u-1 p(2)") == "(erased) (erased) (erased)"


def test_a_word_that_begins_another_id_is_kept():
    words = IdWords(["kilroy-42"], ["kilroy-42-junior", "x-kilroy-42"])
    assert words.redact("kilroy-42-junior, kilroy-42.csv, x-kilroy-42, kilroy-42-seniors") == (
        "kilroy-42-junior, (erased).csv, x-kilroy-42, (erased)-seniors"
    )
    assert words.is_one("Kilroy-42")
    assert not words.is_one("kilroy-42-junior")


def test_numbers_and_our_own_words_are_kept_in_json():
    words = IdWords(["7", "log", 'say "hi"'])
    told = json.dumps({"n": 7, "scale": "log", "hashtag": "log", "who": ["7", 'x say "hi"']})
    kept = {"n": 7, "scale": "log", "hashtag": "log", "who": ["(erased)", "x (erased)"]}
    assert json.loads(words.redact_json(told, frozenset({"log"}))) == kept


@pytest.mark.parametrize(
    ("word", "other"), [("kilroy-was-here-42", "kilroy-was-here-42-junior"), ("bob", "old-bob"), ("bob", "somebody")]
)
def test_an_id_in_hashtags_of_others_is_removed_and_a_longer_id_kept(store, tmp_path, word, other):
    users, photos = tmp_path / "users.ndjson", tmp_path / "photos.ndjson"
    users.write_text("".join(json.dumps({"user_id": id_}) + "\n" for id_ in (word, other, "user-3")))
    tags = ["sun", word.upper(), word, other, f"{word}!"]
    told = [
        {"photo_id": "theirs", "user_id": word, "hashtags": [word]},
        {"photo_id": "tagged", "user_id": "user-3", "hashtags": tags, "url": f"http://x.example/{other}/1.jpg"},
        {"photo_id": "refused", "user_id": "user-3", "likes": f"ask {word}"},
        {"photo_id": "others", "user_id": "user-3", "likes": f"ask {other}"},
    ]
    photos.write_text("".join(json.dumps(row) + "\n" for row in told))
    store.ingest_users(users)
    store.ingest_photos(photos)
    held = store.sql("select hashtags from photos where photo_id = 'tagged'").item().to_list()
    [receipt] = store.erase([word])
    kept = store.sql("select hashtags from photos where photo_id = 'tagged'").item().to_list()
    assert kept == [tag for tag in held if tag.casefold() in ("sun", other.casefold())]
    assert receipt.counts["photos.hashtags"] == 1
    refused = store.sql("select raw from rejects where reason = 'bad_number' order by line").to_series().to_list()
    assert refused[0] is None
    assert other in refused[1]
    assert receipt.left == {}


def test_a_path_of_another_photo_is_kept_and_is_in_the_receipt(store, tmp_path):
    with store.database.write("test") as con:
        con.execute(
            "insert into facts.photos (photo_id, user_id, path, url, posted_at, likes, hashtags, ingested_at)"
            " values ('tagged', 'u-photo-001', null, $1, null, null, null, now()::timestamp)",
            [f"http://x.example/{PERSON}/1.jpg"],
        )
    [receipt] = store.erase([PERSON])
    assert receipt.left == {"photos.url": 1}
