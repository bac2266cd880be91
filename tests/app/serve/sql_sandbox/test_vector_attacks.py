"""Attacks through what SQL sees of vectors: files, other people's predicates, hidden names, and memory."""

from __future__ import annotations

import pytest

from photogenic import FeatureStore
from photogenic.app.serve.http.limits import Limits
from photogenic.warehouse import InputError, PhotogenicError, QueryError
from tests.app.serve.live_server import live_server

FILES = ["/etc/passwd", "/proc/self/environ", "../x.jpg", "{root}/snapshot.json", "{picture}", "x\0.jpg"]
"""Names of files: a query that is a text is the id of a photo and nothing else."""

HIDDEN = [
    "select _photogenic_similar(1, '{photo}', 10)",
    "select \"_photogenic_similar\"(1, '{photo}', 10)",
    "from _photogenic_list",
    "from _photogenic_vectors_{encoder}",
    "from memory.main._photogenic_vectors_{encoder}",
    "from temp.main._photogenic_vectors_{encoder}",
    "select _similar('{photo}')",
    "select _nearest(1, [1]::float[1], 3)",
]
WRITES = [
    "copy (from vectors_{encoder}) to '{root}/evil.parquet'",
    "copy vectors_{encoder} to '{root}/evil.csv'",
    "copy (from similar('{photo}')) to '{root}/evil.csv'",
    "create table evil as from vectors_{encoder}",
    "create or replace temp view vectors_{encoder} as select 1",
    "create temp macro vectors() as table select 1",
    "insert into vectors_{encoder} values ('x', null)",
    "delete from vectors_{encoder}",
    "drop view vectors_{encoder}",
    "with evil as (copy (from vectors_{encoder}) to '{root}/evil.csv') from evil",
    "from query('from vectors_{encoder}')",
    "from query_table('vectors_{encoder}')",
]
FILTERS = [
    "true; select 1",
    "true) union all select * from users --",
    "exists (from read_text('/etc/passwd'))",
    "exists (with x as (copy (select 1) to '{root}/evil.csv') select 1)",
    "exists (from duckdb_settings())",
    "exists (from _photogenic_list)",
    "photo_id in (select photo_id from _photogenic_vectors_{encoder})",
    "write_log('x') is null",
    "",
]
JOINS = [
    "from vectors_{encoder} a join (from vectors_{encoder}, read_text('/etc/passwd')) b"
    " exact nearest 1 by distance {d}",
    "from vectors_{encoder} a join vectors_{encoder} b exact nearest 1 by distance {d} + write_log('x')",
    "from vectors_{encoder} a join (from vectors_{encoder} where exists (from glob('/*'))) b"
    " exact nearest 1 by distance {d}",
    "from vectors_{encoder} a join _photogenic_vectors_{encoder} b exact nearest 1 by distance {d}",
]
ODD = {
    "encoder := '../../etc'": "not_ready",
    "encoder := '/etc/passwd'": "not_ready",
    "popular := true, popular_within := 'facts.erased'": "not_usable",
    "popular := true, popular_within := 'duckdb_settings.value'": "not_usable",
    "popular := true, popular_within := 'users.user_id) from users --'": "not_usable",
    "k := 9223372036854775807": "not_usable",
    "k := -1": "not_usable",
    "per_user := 0": "not_usable",
    "popularity := 'nan'::double": "not_usable",
    "diverse := 'inf'::double": "not_usable",
    "unlike := '/etc/passwd'": "not_usable",
}
EATERS = [
    "select count(*) from vectors_{encoder} a, range(3000) b, similar(a.photo_id, k := 1000)",
    "from similar(range(400000000))",
]


@pytest.fixture(scope="module")
def store(root):
    with FeatureStore(root) as store:
        yield store


@pytest.fixture(scope="module")
def filled(store, root):
    """Fill in the places of a text."""
    ((encoder, relation),) = store.sql("select encoder, relation from vectors() order by encoder limit 1").rows()
    photo = store.sql(f"select photo_id from {relation} order by photo_id limit 1").item()
    picture = next(path for path in root.rglob("*") if path.suffix in (".jpg", ".png", "") and path.is_file())
    places = {
        "{root}": str(root),
        "{photo}": photo,
        "{picture}": str(picture),
        "{encoder}": relation.removeprefix("vectors_"),
        "{d}": "array_distance(a.embedding, b.embedding)",
    }

    def fill(text):
        for place, value in places.items():
            text = text.replace(place, value)
        return text

    fill.encoder = encoder
    return fill


def refused(server, store, query, *, values=None):
    """Ask by both doors, and return the code and the message of the server."""
    with pytest.raises(PhotogenicError):
        store.sql(query, values)
    told = server.sql(query, **({"parameters": values} if values else {}))
    assert told.status in (400, 409, 422), (query, told.body[:200])
    assert str(store.layout.root) not in told.json["message"]
    return told.code, told.json["message"]


@pytest.mark.parametrize("name", FILES)
def test_a_text_is_no_file(server, store, filled, name):
    name = filled(name)
    for query in ("from similar($q)", "from similar([$q])", filled("from similar('{photo}', unlike := $q)")):
        code, message = refused(server, store, query, values={"q": name})
        assert code == "not_usable"
        assert "There is no photo" in message
        with pytest.raises(InputError):
            store.sql(query, {"q": name})
    told = server.post("/api/v1/similar", {"photo_id": name})
    assert told.status in (400, 404)
    told = server.post("/api/v1/similar", {"photo_id": filled("{photo}"), "unlike": [name]})
    assert told.status in (400, 404, 422)


@pytest.mark.parametrize("query", HIDDEN + WRITES)
def test_what_an_extension_makes_for_itself_has_no_name_and_nothing_is_written(server, store, filled, root, query):
    code, _ = refused(server, store, filled(query))
    assert code == "query_refused"
    assert not list(root.glob("evil*"))


@pytest.mark.parametrize("predicate", FILTERS)
def test_a_filter_only_reads(server, store, filled, root, predicate):
    code, message = refused(
        server, store, filled("from similar('{photo}', filter := $f)"), values={"f": filled(predicate)}
    )
    assert code == "query_refused"
    assert "cannot be evaluated" in message
    assert not list(root.glob("evil*"))


@pytest.mark.parametrize("query", JOINS)
def test_both_sides_of_a_nearest_join_only_read(server, store, filled, query):
    with pytest.raises(QueryError):
        store.sql(filled(query))
    assert refused(server, store, filled(query))[0] == "query_refused"


@pytest.mark.parametrize(("options", "code"), ODD.items())
def test_odd_options_are_refused(server, store, filled, options, code):
    assert refused(server, store, filled(f"from similar('{{photo}}', {options})"))[0] == code


def test_after_a_search_that_took_much_memory_the_next_query_is_answered(root, filled):
    limits = Limits(sql_at_once=1, sql_s=5.0, sql_memory="200MB", sql_process_bytes=10**9)
    with live_server(root, limits=limits) as server:
        for query in map(filled, EATERS):
            told = server.sql(query)
            assert told.status == 200 or told.code in ("memory_limit", "time_limit"), (query, told.body[:300])
            near = server.sql(filled("select count(*) from similar('{photo}', k := 3)"))
            assert near.status == 200, (query, near.body)
            assert near.json["rows"] == [[3]]
