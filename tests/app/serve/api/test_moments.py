"""The HTTP API and the pages show the relations of another moment, as the command line and Python do."""

import json
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program

LABELS = "select photo_id, value, weight from photo_labels order by photo_id"
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


def test_readers_leave_the_published_labels_as_they_are(root, server, middle):
    before = server.post("/api/v1/sql", {"query": PUBLISHED}).json["rows"]
    n_bytes = (root / "snapshot.duckdb").read_bytes()
    for month in range(1, 13):
        server.post("/api/v1/sql", {"query": PUBLISHED, "as_of": f"2025-{month:02}-01"})
    assert server.post("/api/v1/sql", {"query": PUBLISHED}).json["rows"] == before
    assert (root / "snapshot.duckdb").read_bytes() == n_bytes
