"""The pages as documents: one round trip, safe whatever the store holds, and each says what to run next."""

import io
import re
from urllib.parse import quote, urlencode

import pytest
from PIL import Image

from photogenic.app.serve.pages.routes import PAGES
from tests.app.serve.here import served
from tests.app.serve.http.test_attacks import TOKEN
from tests.features.toy import database

PATHS = [path for _, path in PAGES]
PERSON = {"Accept": "text/html"}


@pytest.mark.parametrize("path", PATHS)
def test_a_page_comes_whole_and_loads_nothing_from_elsewhere(here, path):
    answer = here.get(path, **PERSON)
    text = answer.body.decode()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert text.count("<h1>") == 1
    assert 'aria-current="page"' in text
    assert not re.search(r"""(src|href|action)=["'](https?:)?//""", text)
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", text), "what the policy would refuse"


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A server on a store that knows one user and nothing else."""
    db = database(tmp_path_factory.mktemp("empty"))
    with db.write("test") as con:
        con.execute("insert into facts.users values ('u', 'female', null, null, timestamp '2024-01-01')")
    with served(db.layout.root) as here:
        yield here


@pytest.mark.parametrize("path", PATHS)
def test_a_store_without_anything_says_what_to_run(empty, path):
    answer = empty.get(path, **PERSON)
    assert answer.status == 200
    if path not in ("/sql", "/api"):
        assert re.search(r"features (build|train|ingest)", answer.body.decode())


def test_ids_that_are_markup_stay_text(tmp_path):
    db, name = database(tmp_path), "<img src=x onerror=alert(1)>'\"/..%2f"
    with db.write("test") as con:
        values = [name, "u", "x.jpg"]
        con.execute(
            "insert into facts.photos values ($1, $2, $3, null, null, null, null, timestamp '2024-01-01')", values
        )
    with served(db.layout.root) as here:
        text = here.get(f"/photos/{quote(name, safe='')}", **PERSON).body.decode()
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text
        assert here.get(f"/thumbs/{quote(name, safe='')}").headers["Content-Type"] == "image/svg+xml"


def test_the_photo_page_shows_what_is_known(here, portrait):
    photo_id, _ = portrait
    text = here.get(f"/photos/{photo_id}", **PERSON).body.decode()
    assert f'src="/pictures/{photo_id}"' in text
    assert 'aria-label="1 face found"' in text
    assert "Swipes over time" in text
    assert "Similar popular photos" in text
    assert "dlib_face" in text


def test_thumbnails_are_square_small_and_made_once(here, root, portrait):
    photo_id, _ = portrait
    answer = here.get(f"/thumbs/{photo_id}")
    with Image.open(io.BytesIO(answer.body)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (240, 240))
        assert not picture.getexif()
    (made,) = (root / "thumbnails" / "thumb").rglob(f"{_digest(here, photo_id)}.jpg")
    before = made.stat().st_mtime_ns
    assert here.get(f"/thumbs/{photo_id}").body == answer.body
    assert made.stat().st_mtime_ns == before
    assert here.get(f"/thumbs/{photo_id}", **{"If-None-Match": answer.headers["ETag"]}).status == 304


def test_unknown_photos_have_no_thumbnail(here):
    assert here.get("/thumbs/nobody").code == "not_found"
    assert here.get("/pictures/nobody").code == "not_found"


def test_an_error_is_a_page_where_a_person_looks(here):
    answer = here.get("/photos/nobody", **PERSON)
    assert answer.status == 404
    assert "<h1>Nothing here</h1>" in answer.body.decode()
    assert here.get("/photos/nobody").code == "not_found"


def test_filters_that_no_form_offers_are_refused(here):
    assert here.get("/?by=evil").status == 400
    assert here.get("/?offset=-1").status == 400


@pytest.fixture(scope="module")
def locked(root):
    with served(root, token=TOKEN) as here:
        yield here


def test_a_person_logs_in_once(locked):
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
def test_the_way_in_leads_nowhere_else(locked, target):
    body = urlencode({"token": TOKEN, "next": target})
    answer = locked.ask("POST", "/login", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.headers["Location"] == "/"


def _digest(here, photo_id):
    return here.sql(f"select sha256 from photos where photo_id = '{photo_id}'").json["rows"][0][0]
