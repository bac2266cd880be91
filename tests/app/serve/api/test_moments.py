"""The HTTP API and the pages show the relations of another moment, as the command line and Python do."""

import json
import re
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program

LABELS = "select photo_id, source, value, weight from photo_labels order by photo_id, source"
PUBLISHED = "select count(*) as n, sum(value) as total from photo_labels"


@pytest.fixture(scope="module")
def middle(root):
    """An instant in the middle of the swipes."""
    with FeatureStore(root) as store:
        return store.sql("select median(swiped_at) from swipes").item().isoformat()


def test_sql_answers_the_same_at_every_interface(root, server, middle):
    answer = server.post("/api/v1/sql", {"query": LABELS, "limit": 10_000, "as_of": middle}).json
    with FeatureStore(root) as store:
        python, now = store.sql(LABELS, as_of=middle), store.sql(LABELS)
    line = ["sql", LABELS, "--as-of", middle, "--format", "json", "--store", str(root)]
    printed = json.loads(CliRunner().invoke(program, line).stdout)
    assert answer["rows"] == [list(row) for row in python.rows()] == [list(row.values()) for row in printed]
    assert (answer["moment"], answer["notes"]) == (f"as of {middle}Z", [])
    assert not python.equals(now)
    assert 0 < len(python) <= len(now)


def test_two_moments_stand_in_one_answer(root, server, middle):
    query = (
        "select count(*) as n, count(*) filter (where late.weight > early.weight) as grown"
        " from early.photo_labels early join late.photo_labels late using (photo_id)"
    )
    late = "2100-01-01"
    answer = server.post("/api/v1/sql", {"query": query, "as_of": {"early": middle, "late": late}}).json
    with FeatureStore(root) as store:
        assert store.sql(query, as_of={"early": middle, "late": late}).row(0) == tuple(answer["rows"][0])
    line = [
        "sql",
        query,
        "--as-of",
        f"early={middle}",
        "--as-of",
        f"late={late}",
        "--format",
        "csv",
        "--store",
        str(root),
    ]
    assert CliRunner().invoke(program, line).stdout.split() == ["n,grown", ",".join(map(str, answer["rows"][0]))]
    assert answer["rows"][0][1] > 0


def test_an_empty_answer_says_why(root, server):
    before = {"query": PUBLISHED, "known_at": "2024-01-01"}
    answer = server.post("/api/v1/sql", before).json
    assert answer["rows"] == [[0, None]]
    (note,) = answer["notes"]
    assert note.startswith("No swipe had arrived before 2024-01-01T00:00:00Z: the first arrival was ")
    done = CliRunner().invoke(program, ["sql", PUBLISHED, "--known-at", "2024-01-01", "--store", str(root)])
    assert note in done.stderr
    assert server.post("/api/v1/sql", {"query": PUBLISHED}).json.keys() == {
        "columns",
        "n_rows",
        "cut",
        "seconds",
        "rows",
    }


def test_searches_and_photos_are_of_the_moment(root, server, portrait, middle):
    photo_id, _ = portrait
    asked = {"photo_id": photo_id, "k": 5, "where": "weight > 1", "as_of": middle}
    answer = server.post("/api/v1/similar", asked).json
    with FeatureStore(root) as store:
        python = store.similar(photo_id, k=5, where="weight > 1", as_of=middle)
        query = "select value from photo_labels where photo_id = $p order by source desc limit 1"
        value = store.sql(query, {"p": photo_id}, as_of=middle).item()
    assert [(p["photo_id"], p["like_ratio"]) for p in answer["photos"]] == python.select(
        "photo_id", "like_ratio"
    ).rows()
    assert answer["moment"] == f"as of {middle}Z"
    everyone = server.post("/api/v1/similar", {"photo_id": photo_id, "as_of": middle}).json
    assert everyone["n_matching"] >= answer["n_matching"]
    photo = server.get(f"/api/v1/photos/{photo_id}?as_of={quote(middle)}").json
    assert photo["label"]["value"] == value
    assert photo["label"] != server.get(f"/api/v1/photos/{photo_id}").json["label"]


def test_breakdown_gallery_and_exports_are_of_the_moment(root, server, middle):
    at = f"as_of={quote(middle)}"
    with FeatureStore(root) as store:
        n = store.sql("select sum(n_swipes) from gender_breakdown where time_window = 'every'", as_of=middle).item()
        n_labels = store.sql("select count(*) from photo_labels", as_of=middle).item()
    rows = server.get(f"/api/v1/breakdown?window=every&{at}").json["rows"]
    assert sum(row["n_swipes"] for row in rows) == n
    gallery = server.get(f"/api/v1/gallery?limit=500&{at}").json
    assert sum(photo["like_ratio"] is not None for photo in gallery["photos"]) <= n_labels
    assert gallery["moment"] == f"as of {middle}Z"
    exported = server.get(f"/api/v1/sql/export?format=csv&query={quote('select count(*) as n from photo_labels')}&{at}")
    assert exported.body.split() == [b"n", str(n_labels).encode()]


@pytest.mark.parametrize(
    "as_of", ["yesterday", "0000-01-01", "9999-12-31T23:59:59", ["2024"], 2024, {"a b": "2024-01-01"}, {"jan": 1}]
)
def test_hostile_moments_are_refused(server, as_of):
    answer = server.post("/api/v1/sql", {"query": "from swipes", "as_of": as_of})
    assert (answer.status, answer.code) in {(400, "bad_request"), (422, "not_usable")}
    if isinstance(as_of, str):
        for path in ("/api/v1/breakdown", "/api/v1/gallery", "/breakdown", "/", "/similar", "/sql"):
            assert server.get(f"{path}?as_of={quote(as_of)}").status == 422


def test_pages_say_of_which_moment_they_are(server, portrait, middle):
    at = quote(middle)
    for path in ("/", "/breakdown", "/similar", "/sql", f"/photos/{portrait[0]}"):
        page = server.get(f"{path}?as_of={at}").body.decode()
        assert f"As of {middle}Z." in page, path
        assert 'role="status"><b>' not in server.get(path).body.decode(), path


def test_pages_say_which_clock_is_limited(server, middle):
    day = quote(middle)
    for query, words in (
        (f"as_of={day}", "what had happened by then, as it is known today."),
        (f"known_at={day}", "what had arrived by then."),
        (f"as_of={day}&known_at={day}", "what had happened and arrived by then."),
    ):
        assert words in server.get(f"/breakdown?{query}").body.decode()


def test_links_of_a_page_keep_its_moment(server, portrait, middle):
    kept = quote(f"{middle}Z", safe="")
    page = server.get(f"/photos/{portrait[0]}?as_of={quote(middle)}").body.decode()
    for path in ("/", "/breakdown", "/similar", "/sql"):
        assert f'href="{path}?as_of={kept}"' in page
    for path in ("/models", "/store", "/api", f"/photos/{portrait[0]}"):
        assert f'href="{path}"' in page
    assert f'href="/similar?photo_id={portrait[0]}&amp;as_of={kept}"' in page or (
        f'href="/similar?photo_id={portrait[0]}&as_of={kept}"' in page
    )
    gallery = server.get(f"/?as_of={quote(middle)}").body.decode()
    assert len(re.findall(rf'href="/photos/[^"?]+\?as_of={kept}"', gallery)) == gallery.count('class="card"') > 0


def test_a_moment_before_all_labels_asks_for_no_build(server):
    page = server.get("/?as_of=2001-01-01")
    assert page.status == 200
    assert b"No photo matches" in page.body
    assert b"features build" not in page.body
    answer = server.get("/api/v1/gallery?least=1&as_of=2001-01-01").json
    assert (answer["n_photos"], answer["photos"]) == (0, [])
    assert "the first one is of" in answer["notes"][0]


def test_errors_name_the_parameter_and_no_option_of_the_command_line(server):
    assert server.get("/api/v1/gallery?as_of=june").json["remedy"] == "as_of=2024-02-01T00:00:00Z"
    refused = server.post("/api/v1/sql", {"query": "from swipes", "as_of": {"main": "2024-01-01"}})
    assert refused.json["remedy"] == '"as_of": {"jan": "2024-01-31"}'


@pytest.mark.parametrize("as_of", [None, "2025-06-01", {"june": "2025-06-01"}])
def test_the_catalog_lists_each_column_once_at_any_moment(server, as_of):
    query = (
        "select count(*), count(distinct (table_name, column_name)), list(distinct table_schema)"
        " from information_schema.columns"
    )
    asked = {"query": query} | ({"as_of": as_of} if as_of else {})
    ((n, n_distinct, schemas),) = server.post("/api/v1/sql", asked).json["rows"]
    assert n == n_distinct > 200
    assert schemas == ["main"]
    shown = server.post("/api/v1/sql", asked | {"query": "show tables"}).json["rows"]
    assert {"photo_labels", "swipes", "gender_changes"} <= {name for (name,) in shown}


def test_readers_leave_the_published_labels_as_they_are(root, server, middle):
    before = server.post("/api/v1/sql", {"query": PUBLISHED}).json["rows"]
    n_bytes = (root / "snapshot.duckdb").read_bytes()
    for month in (3, 6, 9):
        server.post("/api/v1/sql", {"query": PUBLISHED, "as_of": f"2025-{month:02}-01"})
    assert server.post("/api/v1/sql", {"query": PUBLISHED}).json["rows"] == before
    assert (root / "snapshot.duckdb").read_bytes() == n_bytes


@pytest.mark.parametrize("as_of", ["2025-06-01", {"june": "2025-06-01"}])
def test_queries_of_a_moment_only_read(server, as_of):
    for query in (
        "attach ':memory:' as other",
        "detach store",
        "use store",
        "set memory_limit = '9GB'",
        "create or replace temp macro duckdb_tables() as table select 1",
        "update facts.clock set as_of = '9999-01-01'",
        "from duckdb_settings()",
        "from duckdb_databases()",
        "from query_table('store.facts.swipes')",
        "from '/etc/passwd'",
    ):
        answer = server.post("/api/v1/sql", {"query": query, "as_of": as_of})
        assert (answer.status, answer.code) == (400, "query_refused"), query
