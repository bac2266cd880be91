"""The pages as documents: complete in one request, safe with any data, and with the next command to run."""

import io
import re
from urllib.parse import quote, urlencode

import pytest
from PIL import Image

from photogenic.app.serve.pages.routes import PAGES
from tests.app.serve.http.test_attacks import TOKEN
from tests.app.serve.live_server import live_server
from tests.features.toy import database

PATHS = [path for _, path in PAGES]
PERSON = {"Accept": "text/html"}


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_complete_and_loads_nothing_from_other_hosts(server, path):
    answer = server.get(path, **PERSON)
    text = answer.body.decode()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert text.count("<h1>") == 1
    assert 'aria-current="page"' in text
    assert not re.search(r"""(src|href|action)=["'](https?:)?//""", text)
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", text), "what the policy would refuse"


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A server on a store with one user and no other data."""
    db = database(tmp_path_factory.mktemp("empty"))
    with db.write("test") as con:
        con.execute(
            "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
            " values ('u', 'female', null, null, timestamp '2024-01-01')"
        )
    with live_server(db.layout.root) as server:
        yield server


@pytest.mark.parametrize("path", PATHS)
def test_pages_of_an_empty_store_name_the_command(empty, path):
    answer = empty.get(path, **PERSON)
    assert answer.status == 200
    if path not in ("/sql", "/api"):
        assert re.search(r"features (build|train|ingest)", answer.body.decode())


def test_ids_with_markup_are_escaped(tmp_path):
    db, name = database(tmp_path), "<img src=x onerror=alert(1)>'\"/..%2f"
    with db.write("test") as con:
        values = [name, "u", "x.jpg"]
        con.execute(
            "insert into facts.photos (photo_id, user_id, path, url, posted_at, likes, hashtags, ingested_at)"
            " values ($1, $2, $3, null, null, null, null, timestamp '2024-01-01')",
            values,
        )
    with live_server(db.layout.root) as server:
        text = server.get(f"/photos/{quote(name, safe='')}", **PERSON).body.decode()
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text
        assert server.get(f"/thumbs/{quote(name, safe='')}").headers["Content-Type"] == "image/svg+xml"


def test_the_photo_page_shows_all_sections(server, portrait):
    photo_id, _ = portrait
    text = server.get(f"/photos/{photo_id}", **PERSON).body.decode()
    assert f'src="/pictures/{photo_id}"' in text
    assert 'aria-label="1 face found"' in text
    assert "Swipes over time" in text
    assert "Similar popular photos" in text
    assert "dlib_face" in text


def test_thumbnails_are_square_small_and_made_once(server, root, portrait):
    photo_id, _ = portrait
    answer = server.get(f"/thumbs/{photo_id}")
    with Image.open(io.BytesIO(answer.body)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (240, 240))
        assert not picture.getexif()
    (made,) = (root / "thumbnails" / "thumb").rglob(f"{_digest(server, photo_id)}.jpg")
    before = made.stat().st_mtime_ns
    assert server.get(f"/thumbs/{photo_id}").body == answer.body
    assert made.stat().st_mtime_ns == before
    assert server.get(f"/thumbs/{photo_id}", **{"If-None-Match": answer.headers["ETag"]}).status == 304


def test_unknown_photos_have_no_thumbnail(server):
    assert server.get("/thumbs/nobody").code == "not_found"
    assert server.get("/pictures/nobody").code == "not_found"


def test_an_error_is_a_page_for_browsers(server):
    answer = server.get("/photos/nobody", **PERSON)
    assert answer.status == 404
    assert "<h1>Not found</h1>" in answer.body.decode()
    assert server.get("/photos/nobody").code == "not_found"


def test_filters_that_no_form_offers_are_refused(server):
    assert server.get("/?by=evil").status == 400
    assert server.get("/?offset=-1").status == 400


@pytest.fixture(scope="module")
def locked(root):
    with live_server(root, token=TOKEN) as server:
        yield server


def test_a_login_is_kept_in_a_cookie(locked):
    sent_away = locked.get("/models", **PERSON)
    assert (sent_away.status, sent_away.headers["Location"]) == (303, "/login?next=/models")
    assert locked.get("/login").status == 200
    assert locked.get("/thumbs/p000001").code == "unauthorized"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert locked.ask("POST", "/login", "token=wrong&next=/models", form).status == 403
    answer = locked.ask("POST", "/login", f"token={TOKEN}&next=/models", form)
    assert (answer.status, answer.headers["Location"]) == (303, "/models")
    cookie = answer.headers["Set-Cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert locked.get("/models", Cookie=cookie.partition(";")[0]).status == 200
    assert locked.get("/models", Cookie="photogenic=wrong").status == 303


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\r\nX: y"]
)
def test_a_login_redirects_to_this_server_only(locked, target):
    body = urlencode({"token": TOKEN, "next": target})
    answer = locked.ask("POST", "/login", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.headers["Location"] == "/"


def _digest(server, photo_id):
    return server.sql(f"select sha256 from photos where photo_id = '{photo_id}'").json["rows"][0][0]


def test_similar_photos_need_no_script(server, portrait):
    query = {"photo_id": portrait[0], "k": 24, "where": "", "popular": "false", "per_user": 1, "diverse": 0.5}
    text = server.get(f"/similar?{urlencode(query)}", **PERSON).body.decode()
    found = server.post("/api/v1/similar", {"photo_id": portrait[0], "k": 24, "per_user": 1, "diverse": 0.5}).json
    shown = re.findall(r'<span class="more">(\d+)\. (\S+) · ', text)
    assert shown == [(str(photo["rank"]), photo["photo_id"]) for photo in found["photos"]]
    assert f"Popular: above the median of {found['population']}" in text
    assert "<option selected>24</option>" in text
    assert 'name="per_user" min="1" max="1000" step="1" value="1"' in text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("photo_id=%3Cb%3Enobody", "There is no photo &#39;&lt;b&gt;nobody&#39;."),
        ("photo_id=nobody&unlike=a&unlike=b", "There is no photo"),
        ("popular_within=x.y&photo_id={}", "There is no relation"),
        ("where=nothing+%3D+1&photo_id={}", "predicate"),
        ("popularity=7&photo_id={}", "popularity does not match"),
        ("k=0&photo_id={}", "k does not match"),
        ("unknown=1", "unknown"),
        ("&".join(["photo_id=a"] * 33), "to 32 items"),
    ],
)
def test_what_a_search_cannot_use_is_said_on_its_page(server, portrait, query, said):
    answer = server.get(f"/similar?{query.format(portrait[0])}", **PERSON)
    assert said in answer.body.decode()
