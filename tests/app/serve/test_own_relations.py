"""Own relations over HTTP and on the pages: rows, failures, other moments, newer builds, and hostile texts."""

from __future__ import annotations

import re
import urllib.parse

import pytest

from photogenic.warehouse.labels.build import build_labels
from tests.app.serve.live_server import live_server
from tests.warehouse.definitions.own import RECEIVED, audit_file, received, sql_file, within
from tests.warehouse.small import add_facts, ask, store

BRITTLE = """
select
    cast(recipient_id as varchar) as user_id, -- who received them
    cast(case when count(*) > 1 then error('more than one') else count(*) end as bigint) as n -- swipes
from swipes
group by recipient_id
"""
HOSTILE = RECEIVED.replace("-- swipes", "-- <script>alert(1)</script>")
FILES = {
    "received": received(),
    "brittle": sql_file("brittle", BRITTLE, reads="swipes"),
    "markup": sql_file("markup", HOSTILE, reads="swipes"),
    "never": sql_file("never", BRITTLE.replace("> 1", "> 0"), reads="swipes"),
    "angry": sql_file(
        "angry", "select cast(error('<b>no</b>') as varchar) as why -- x\nfrom swipes", reads="swipes", grain="why"
    ),
    "unreadable": "select '/etc/passwd' from read_text('/etc/passwd')",
}
AUDITS = {
    "some": audit_file("some", "select 1 from received where n_received < 1", reads="received"),
    "none": audit_file("none", "select 1 from users", reads="users"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Ann received one swipe when `brittle` was computed, and then a second one, with which it fails."""
    db = store(tmp_path_factory.mktemp("own"))
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male")],
        photos=[("p1", "ann")],
        main_photos=[("ann", "p1", 1)],
        swipes=[("bob", "ann", True, 2)],
    )
    build_labels(within(db, FILES, AUDITS))
    add_facts(db, swipes=[("bob", "ann", False, 3)], arrived=48)
    report = build_labels(within(db, FILES, AUDITS)).own
    failed = {one.name for one in report.relations if one.action == "failed"}
    assert failed == {"brittle", "never", "angry", "unreadable"}
    with live_server(db.layout.root) as server:
        yield server, db


def rows(server, query, **more):
    answer = server.sql(query, **more)
    assert answer.status == 200, answer.body
    return answer.json["rows"]


def test_rows_are_those_of_the_last_build_that_computed_them(served):
    server, db = served
    assert rows(server, "from received") == [list(row) for row in ask(db, "from received")] == [["ann", 2]]
    assert rows(server, "from brittle") == [["ann", 1]]
    query = "select relation, status, error from own_relations order by all"
    states = {name: (status, error) for name, status, error in rows(server, query)}
    assert {name: status for name, (status, _) in states.items()} == {
        "received": "ok", "markup": "ok",
        **dict.fromkeys(("brittle", "never", "angry", "unreadable"), "failed"),
    }  # fmt: skip
    assert "more than one" in states["brittle"][1]


@pytest.mark.parametrize(("form", "first"), [("csv", b"user_id,n_received"), ("parquet", b"PAR1")])
def test_they_can_be_exported(served, form, first):
    query = urllib.parse.urlencode({"query": "from received", "format": form})
    answer = served[0].get(f"/api/v1/sql/export?{query}")
    assert answer.status == 200
    assert answer.body.startswith(first)
    assert b"ann" in answer.body


@pytest.mark.parametrize("name", ["never", "unreadable"])
def test_one_without_rows_is_refused_with_the_reason(served, name):
    server, db = served
    answer = server.sql(f"select count(*) from {name}")
    assert (answer.status, answer.code) == (400, "query_refused")
    assert f"The relation {name} failed, and has no rows" in answer.json["message"]
    assert "features build" in answer.json["remedy"]
    assert str(db.layout.root) not in answer.body.decode()


def test_another_moment_is_computed_and_one_that_fails_there_stops_only_its_readers(served):
    server, _ = served
    assert rows(server, "from received", as_of="2024-01-01T02:30:00") == [["ann", 1]]
    assert rows(server, "from brittle", as_of="2024-01-01T02:30:00") == [["ann", 1]]
    answer = server.sql("from brittle", as_of="2024-01-01T04:00:00")
    assert (answer.status, answer.code) == (400, "query_refused")
    assert "more than one" in answer.json["message"]
    assert rows(server, "from received", as_of="2024-01-01T04:00:00") == [["ann", 2]]


def test_the_dictionary_and_its_completions_have_them_and_escape_their_texts(served):
    server, _ = served
    page = server.get("/sql", Accept="text/html").body.decode()
    for name in ("received", "brittle", "markup"):
        assert f'data-query="from {name} limit 100"' in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    lineage = server.get("/lineage/markup", Accept="text/html").body.decode()
    assert "<script>alert" not in lineage
    assert 'href="/lineage/swipes"' in lineage


def test_the_store_page_names_what_failed_and_escapes_the_reason(served):
    page = served[0].get("/store", Accept="text/html").body.decode()
    own = re.search(r'id="own".*?</table>', page, re.DOTALL)[0]
    rows = re.findall(r'<tr><td class="text">(relation|audit) (\w+)</td>.*?<span class="badge[^>]*>([^<]*)<', own)
    assert {(kind, name): state for kind, name, state in rows} == {
        **{("relation", name): "up to date" for name in ("received", "markup")},
        **{("relation", name): "failed" for name in ("brittle", "never", "angry", "unreadable")},
        ("audit", "some"): "up to date",
        ("audit", "none"): "failed",
    }
    assert "&lt;b&gt;no" in own
    assert "<b>no" not in own


def test_a_newer_build_is_seen_by_the_next_query(served):
    server, db = served
    bobs = received("bobs").replace("from swipes", "from swipes\nwhere not liked")
    build_labels(within(db, FILES | {"bobs": bobs}, AUDITS))
    assert rows(server, "from bobs") == [["ann", 1]]
    server.until("/sql", lambda answer: b'data-query="from bobs limit 100"' in answer.body)
    report = build_labels(within(db, FILES, AUDITS)).own
    assert report.dropped == ("bobs",)
    assert server.sql("from bobs").code == "query_refused"
