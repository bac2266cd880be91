"""A picture beside a query: in the form of the API and on the page SQL; and a process that is full is replaced."""

from __future__ import annotations

import json

import pytest

from photogenic import FeatureStore
from tests.app.serve.conftest import SMALL
from tests.app.serve.live_server import LiveServer, form, live_server

QUERY = "select photo_id from similar($upload, k := 3, encoder := 'dlib_face') order by rank"


def sent(server: LiveServer, pictures, **fields):
    body, kind = form(pictures, **fields)
    return server.ask("POST", "/api/v1/sql", body.replace(b'name="image"', b'name="upload"'), {"Content-Type": kind})


@pytest.fixture
def nearest(root, portrait, tmp_path):
    """The photos that Python finds for the file."""
    path = tmp_path / "me.jpg"
    path.write_bytes(portrait[1])
    with FeatureStore(root) as store:
        by_file = store.similar(path, k=3, encoder="dlib_face")["photo_id"].to_list()
        assert store.sql(QUERY, {"upload": portrait[1]})["photo_id"].to_list() == by_file
    return by_file


def test_a_picture_in_the_form_is_the_parameter(server, portrait, nearest):
    told = sent(server, [("me.jpg", portrait[1])], request=json.dumps({"query": QUERY}), encoder="dlib_face")
    assert told.status == 200, told.body
    assert [photo_id for (photo_id,) in told.json["rows"]] == nearest
    assert nearest[0] == portrait[0]


@pytest.mark.parametrize(
    ("pictures", "request_", "said"),
    [
        (0, json.dumps({"query": QUERY}), "no field 'upload'"),
        (2, json.dumps({"query": QUERY}), "1"),
        (1, "{", "JSON"),
        (1, json.dumps({"query": QUERY, "more": 1}), "more"),
    ],
)
def test_a_form_that_is_no_query_with_a_picture_is_refused(server, portrait, pictures, request_, said):
    told = sent(server, [("me.jpg", portrait[1])] * pictures, request=request_)
    assert told.status in (400, 413), told.body
    assert said in told.json["message"]


def test_what_is_no_picture_is_refused(server):
    told = sent(server, [("me.jpg", b"no picture")], request=json.dumps({"query": QUERY}), encoder="dlib_face")
    assert told.code == "not_usable"
    assert "me.jpg is not_an_image" in told.json["message"]
    told = server.sql("from similar('\\xFF\\xD8'::blob)")
    assert told.code == "not_usable"
    assert "A picture cannot be decoded inside a query here" in told.json["message"]


def test_the_page_asks_for_the_picture_and_sends_it(open_page, portrait):
    page = open_page("/sql")
    assert page.locator("#picture").is_hidden()
    page.locator("#query").fill("select photo_id, distance from similar($upload, k := 2)")
    page.locator("#run").click()
    page.get_by_text("The query needs a picture.").wait_for()
    assert page.locator("#picture").is_visible()
    page.set_input_files("#upload", files=[{"name": "me.jpg", "mimeType": "image/jpeg", "buffer": portrait[1]}])
    page.locator("#run").click()
    page.get_by_text("2 rows").wait_for()
    assert portrait[0] in page.locator("#answer").inner_text()


def test_a_process_that_is_full_is_replaced_and_the_answer_is_whole(root, monkeypatch):
    from photogenic.app.serve.sql_sandbox import pool

    exchange = pool._exchange
    asked = []

    async def full(process, request, end):
        asked.append(process.pid)
        async for data in exchange(process, request, end):
            yield data
        end[0] = b"full"  # as after a search that took most of the memory of the process

    monkeypatch.setattr(pool, "_exchange", full)
    with live_server(root, limits=SMALL) as server:
        for _ in range(3):
            assert server.sql("select count(*) > 0 from photos").json["rows"] == [[True]]
    assert len(asked) >= 3
    assert len(set(asked)) == len(asked)
