"""Invalid answers of the network: they end one account, never the crawl, and never a later crawl."""

from __future__ import annotations

import datetime as dt
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photogenic.ingest.instagram.api import Page, Target, read_account, read_hashtag, read_media
from photogenic.ingest.instagram.client import Refusal
from photogenic.ingest.instagram.cursors import Walk, record
from photogenic.ingest.instagram.loop_guard import MOST_WITHOUT_NEWS
from photogenic.ingest.instagram.rate_headers import check_answer, usage
from photogenic.ingest.instagram.responses import LONGEST_ANSWER, InvalidAnswerError
from photogenic.ingest.journal.journal import Journal
from photogenic.synthetic.network import FakeNetwork, FakeWorld
from photogenic.warehouse.storage.layout import Layout
from tests.ingest.instagram.test_crawl import pictures, run, store, vault_of
from tests.ingest.network_store import JumpingClock, rows

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800") | st.just(2**70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
WHEN = dt.datetime(2024, 1, 1)
NAMES = ("id", "like_count", "comments_count", "media_type", "media_url", "timestamp", "caption")


def post(number: int, **changes):
    told = {
        "id": str(17_800_000_000_000_000 + number),
        "caption": "hi #Me",
        "like_count": 5,
        "comments_count": 1,
        "media_type": "IMAGE",
        "media_url": f"http://127.0.0.1/{number}.jpg",
        "timestamp": "2024-01-01T10:00:00+0000",
    }
    return {name: value for name, value in (told | changes).items() if value is not ...}


def body_of(data, after=None, **changes) -> bytes:
    media = {"data": data, **({"paging": {"cursors": {"after": after}}} if after is not None else {})}
    return json.dumps({"business_discovery": {"id": "178", "followers_count": 9, "media": media} | changes}).encode()


def page(data, after=None, **changes):
    return lambda _: (200, body_of(data, after, **changes))


def raw(body: bytes, status: int = 200):
    return lambda _: (status, body)


ODD = {
    "a null among the posts": page([None, post(1)]),
    "a text among the posts": page([post(1), "x"]),
    "a list among the posts": page([[post(1)]]),
    "a number among the posts": page([7]),
    "media is a list": page([], media=[1, 2]),
    "media is a text": page([], media="x"),
    "data is an object": page({"a": 1}),
    "data is a number": page(5),
    "data is true": page(True),
    "paging is a list": page([], media={"data": [post(1)], "paging": []}),
    "paging is a text": page([], media={"data": [], "paging": "next"}),
    "cursors are a list": page([], media={"data": [post(1)], "paging": {"cursors": ["a"]}}),
    "a cursor is a number": page([post(1)], 17),
    "a cursor is an object": page([post(1)], {"a": 1}),
    "a cursor is too long": page([post(1)], "c" * 5000),
    "likes over 2^63": page([post(1, like_count=2**70)]),
    "likes at 2^63": page([post(1, like_count=2**63)]),
    "likes are negative": page([post(1, like_count=-1)]),
    "likes are a fraction": page([post(1, like_count=1.5)]),
    "likes are true": page([post(1, like_count=True)]),
    "likes are a word": page([post(1, like_count="many")]),
    "likes are a list": page([post(1, like_count=[])]),
    "likes are NaN": page([post(1, like_count=float("nan"))]),
    "likes are infinite": page([post(1, like_count=float("inf"))]),
    "comments over 2^63": page([post(1, comments_count=2**64)]),
    "followers over 2^63": page([post(1)], followers_count=2**70),
    "followers are a fraction": page([post(1)], followers_count=1e30),
    "posts are negative": page([post(1)], media_count=-3),
    "no id of a post": page([post(1, id=...)]),
    "an id is null": page([post(1, id=None)]),
    "an id is a list": page([post(1, id=["1"])]),
    "an id is true": page([post(1, id=True)]),
    "an id is a fraction": page([post(1, id=1.5)]),
    "an id is half a character": page([post(1, id="\ud800")]),
    "an id is huge": page([post(1, id="9" * 100_000)]),
    "an id of two lines": page([post(1, id="1\n2")]),
    "an address is a list": page([post(1, media_url=["http://x"])]),
    "an address is half a character": page([post(1, media_url="http://x/\udfff")]),
    "a caption is an object": page([post(1, caption={})]),
    "a time is a number": page([post(1, timestamp=1_700_000_000)]),
    "a kind is a list": page([post(1, media_type=["IMAGE"])]),
    "the account's id is a list": page([], id=[1]),
    "no account's id": page([], id=None),
    "an account that is a list": raw(b'{"business_discovery": [1]}'),
    "an account that is null": raw(b'{"business_discovery": null}'),
    "an empty object": raw(b"{}"),
    "a list": raw(b"[1, 2]"),
    "a number": raw(b"7"),
    "null": raw(b"null"),
    "a name twice": raw(body_of([]).replace(b'"id"', b'"id": "1", "id"')),
    "nested deeply": raw(b"[" * 200_000),
    "nested deeply within": raw(b'{"business_discovery": ' + b'{"a":' * 100_000),
    "too long": raw(b'"' + b"x" * LONGEST_ANSWER + b'"'),
    "an error that is a text": raw(b'{"error": "boom"}'),
    "an error with an infinite code": raw(b'{"error": {"code": 1e999, "error_subcode": NaN}}', 400),
    "an error with a huge code": raw(b'{"error": {"code": %d}}' % 10**400, 400),
}
PASSING = {
    "no bytes": raw(b""),
    "html": raw(b"<html>login</html>"),
    "no UTF-8": raw(b'{"business_discovery": {"id": "\xff\xfe"}}'),
    "cut short": raw(body_of([post(1)])[:-9]),
}
FINE = {
    "no posts": page([]),
    "null instead of posts": page(None),
    "no media": page([], media=None),
    "hidden likes": page([post(1, like_count=...), post(2, like_count=None)]),
    "no address": page([post(1, media_url=...)]),
    "likes in digits": page([post(1, like_count="12")]),
    "the most likes": page([post(1, like_count=2**63 - 1)]),
    "a text that is not a time": page([post(1, timestamp="bad"), post(2, timestamp="0001-01-01T00:00:00+1400")]),
    "a whole number as an id": page([post(1, id=17)]),
    "an empty cursor": page([post(1)], ""),
    "a long caption": page([post(1, caption="#" + "x" * 1_000_000)]),
    "all letters": page([post(1, caption="#h\u00e9 \U0001f600 \u0000", media_url="https://x/\u00e9 a.jpg")]),
}


async def test_an_invalid_answer_ends_one_account_and_no_later_crawl(tmp_path):
    world, clock = FakeWorld.tiny(2, 3, random.Random(0)), JumpingClock()
    odd = {f"odd_{n}": answer for n, answer in enumerate(ODD.values())}
    passing = {f"passing_{n}": answer for n, answer in enumerate(PASSING.values())}
    fine = {f"fine_{n}": answer for n, answer in enumerate(FINE.values())}
    async with FakeNetwork(world, budget=10_000, now=clock.now) as fake:
        fake.graph.odd = odd | passing | fine
        db, vault = store(tmp_path), vault_of(tmp_path, fake)
        names = [*odd, "person_0", *passing, *fine, "person_1"]
        report = await run(db, fake, vault, clock, usernames=names, changes={"attempts": 2, "concurrency": 4})
        assert fake.graph.seen["discovery"] == len(odd) + len(fine) + 2 * len(passing) + 2, "none is requested twice"
        again = await run(db, fake, vault, clock, usernames=names, changes={"attempts": 1})
    assert again.n_skipped == len(odd) + len(fine) + 2, "accounts with invalid answers are not requested again at once"
    ended = dict(rows(db, "select target, status from crawl_targets"))
    wanted = dict.fromkeys(odd, "api_error") | dict.fromkeys(passing, "unavailable")
    wanted |= dict.fromkeys([*fine, "person_0", "person_1"], "done")
    assert ended == {f"user:{name}": status for name, status in wanted.items()}
    assert sum(report.statuses.values()) == len(names)
    assert rows(db, "select count(*) from rejects") == [(0,)]
    likes = dict(rows(db, f"select photo_id, likes from photos where photo_id in ('17', '{post(1)['id']}')"))
    assert likes == {"17": 5, post(1)["id"]: likes[post(1)["id"]]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"data": {"id": "1"}}', "api_error"),
        (b'{"data": [null]}', "api_error"),
        (b'{"data": ["1"]}', "api_error"),
        (b'{"data": [{"id": "../../me"}]}', "api_error"),
        (b'{"data": []}', "unknown"),
        (b'{"data": [{}]}', "unknown"),
        (b"[]", "api_error"),
    ],
)
async def test_an_invalid_answer_about_a_hashtag(tmp_path, body, status):
    clock = JumpingClock()
    async with FakeNetwork(FakeWorld.tiny(1, 1, random.Random(0)), now=clock.now) as fake:
        fake.graph.odd = {"odd": raw(body)}
        report = await run(store(tmp_path), fake, vault_of(tmp_path, fake), clock, usernames=[], hashtags=["odd"])
    assert report.statuses == {status: 1}


def circle(*cursors: str):
    """Pages that return these cursors in turn, without end."""
    after = dict(zip((None, *cursors), (*cursors, cursors[0]), strict=True))
    place = {cursor: n for n, cursor in enumerate(after)}
    return lambda cursor: (200, body_of([post(place[cursor])], after[cursor]))


def row_of_empty_pages(n: int):
    """n pages without a post, and then one with a post."""

    def answer(cursor):
        at = int(cursor or 0)
        return 200, body_of([], str(at + 1)) if at < n else body_of([post(1)])

    return answer


def refused(cursor):
    if cursor:
        return 400, b'{"error": {"message": "Invalid cursor", "code": 100}}'
    return 200, body_of([post(1), post(2)], "CUR2")


def odd_later(cursor):
    return (200, b"{}") if cursor else (200, body_of([post(1)], "CUR2"))


@pytest.mark.parametrize(
    ("answer", "status", "n_requests", "n_posts", "why"),
    [
        (circle("SAME"), "api_error", 2, 2, "a cursor that came back"),
        (circle("A", "B"), "api_error", 3, 3, "a cursor that came back"),
        (circle(*"ABCDEFGHI"), "api_error", 10, 10, "a cursor that came back"),
        (page([post(1)], "SAME"), "api_error", 2, 1, "a cursor that came back"),
        (page([], "SAME"), "api_error", 2, 0, "a cursor that came back"),
        (refused, "api_error", 4, 2, "a cursor refused twice (code 100)"),
        (odd_later, "api_error", 2, 1, "an answer without an account"),
        (row_of_empty_pages(1), "done", 2, 1, None),
        (row_of_empty_pages(MOST_WITHOUT_NEWS - 1), "done", MOST_WITHOUT_NEWS, 1, None),
        (
            row_of_empty_pages(10**9),
            "api_error",
            MOST_WITHOUT_NEWS,
            0,
            f"{MOST_WITHOUT_NEWS} pages in a row without a new post",
        ),
        (
            lambda cursor: (200, body_of([post(1)], str(int(cursor or 0) + 1))),
            "api_error",
            MOST_WITHOUT_NEWS + 1,
            1,
            f"{MOST_WITHOUT_NEWS} pages in a row without a new post",
        ),
    ],
)
async def test_a_walk_ends(tmp_path, answer, status, n_requests, n_posts, why):
    clock = JumpingClock()
    async with FakeNetwork(FakeWorld.tiny(1, 1, random.Random(0)), now=clock.now) as fake:
        fake.graph.odd = {"odd": answer}
        db, vault = store(tmp_path), vault_of(tmp_path, fake)
        report = await run(db, fake, vault, clock, usernames=["odd"])
        assert (await run(db, fake, vault, clock, usernames=["odd"])).n_requests == 0, "not again within an hour"
    assert report.n_requests == n_requests
    assert rows(db, "select status, detail from crawl_targets") == [(status, why)]
    assert rows(db, "select count(*) from photos") == [(n_posts,)]


async def test_a_walk_that_was_interrupted_in_a_circle_ends_too(tmp_path):
    clock = JumpingClock()
    async with FakeNetwork(FakeWorld.tiny(1, 1, random.Random(0)), now=clock.now) as fake:
        fake.graph.odd = {"odd": circle("A", "B", "C")}
        db, vault = store(tmp_path), vault_of(tmp_path, fake)
        with db.write("test") as con:
            con.execute(
                "insert into facts.crawl_targets values"
                " ('user:odd', 'open', null, 'B', 2, '2024-01-01', 2, '178', '2024-01-01', '2024-01-01')"
            )
        report = await run(db, fake, vault, clock, usernames=["odd"])
    assert (report.n_requests, report.statuses) == (3, {"api_error": 1})


POISON = {
    "likes over 2^63": ("likes", 2**70),
    "likes are true": ("likes", True),
    "an address is a list": ("url", [1]),
    "a text that is not a time": ("posted_at", "yesterday"),
    "hashtags are a text": ("hashtags", "me"),
    "no id": ("photo_id", None),
}


async def test_unreadable_pages_of_an_earlier_version_are_counted_and_left_out(tmp_path):
    clock, world = JumpingClock(), FakeWorld.tiny(1, 3, random.Random(0))
    db, journal = store(tmp_path), Journal(Layout(tmp_path / "store").crawl)
    for number, name in enumerate(("before", *POISON, "after")):
        found = read_account(json.loads(body_of([post(number)], id=f"17{number}")), is_first=True)
        line = record(Walk(Target("user", name), WHEN, "done", page=1), WHEN, found)
        if name in POISON:
            field, value = POISON[name]
            line["posts"][0][field] = value
        journal.append(line)
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"target": "user:torn", "posts": [\xff\n\x00\x00\x00\n[1]\n')
    async with FakeNetwork(world, now=clock.now) as fake:
        await run(db, fake, vault_of(tmp_path, fake), clock)
    ended = dict(rows(db, "select target, status from crawl_targets"))
    good = {"user:before": "done", "user:after": "done", "user:person_0": "done"}
    assert ended == good | {f"user:{name}": "api_error" for name in POISON}
    n_bad, n_torn = len(POISON), 3
    lines = [*range(2, 2 + n_bad), *range(3 + n_bad, 3 + n_bad + n_torn)]
    assert rows(db, "select kind, source, line, reason from rejects order by line") == [
        ("photos", "crawl", line, "bad_page") for line in lines
    ]
    assert rows(db, "select count(*) from photos") == [(2 + len(pictures(world)),)]
    assert list(db.layout.crawl.glob("*ndjson*")) == []


@settings(deadline=None, max_examples=150)
@given(ANYTHING, st.sampled_from([*NAMES, "post", "data", "media", "paging", "cursors", "after", "account"]))
def test_any_json_is_a_page_or_an_invalid_answer(anything, place):
    told = post(1)
    if place in NAMES:
        told = told | {place: anything}
    data = anything if place == "data" else [anything if place == "post" else told]
    cursors = anything if place == "cursors" else {"after": anything if place == "after" else "x"}
    paging = anything if place == "paging" else {"cursors": cursors}
    media = anything if place == "media" else {"data": data, "paging": paging}
    whole = anything if place == "account" else {"id": "1", "followers_count": 3, "media": media}
    for read in (
        lambda: read_account({"business_discovery": whole}, is_first=True),
        lambda: read_hashtag({"data": anything}),
        lambda: read_media({"data": anything, "paging": paging}, "the answer", None, None),
    ):
        try:
            found = read()
        except InvalidAnswerError:
            continue
        assert isinstance(found, (Page, Refusal, str))
        if isinstance(found, Page):
            json.dumps(record(Walk(Target("user", "x"), WHEN), WHEN, found), ensure_ascii=False).encode()


@settings(deadline=None, max_examples=100)
@given(st.binary() | ANYTHING.map(lambda value: json.dumps(value).encode()), st.integers(100, 599))
def test_any_bytes_are_an_answer_or_an_error(told, status):
    body, error = check_answer(status, told)
    assert isinstance(body, dict)
    assert error is None or error.detail


@settings(deadline=None, max_examples=100)
@given(ANYTHING)
def test_any_usage_header_is_a_finite_pause(anything):
    told = json.dumps({"1": [{"estimated_time_to_regain_access": anything, "call_count": anything}], "2": anything})
    found = usage({"X-App-Usage": json.dumps(anything), "X-Business-Use-Case-Usage": told})
    assert found.percent == found.percent
    assert found.regain_s <= 86400


def test_deeply_nested_usage_headers_are_ignored():
    assert usage({"X-App-Usage": "[" * 8000}).percent == 0
