"""SQL as a stream of Arrow has the rows, limits and notes of the answer in JSON. And no client gives its own tables."""

import ast
import json
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from photogenic import FeatureStore

ARROW = "application/vnd.apache.arrow.stream"
ROOT = Path(__file__).parents[4]


def arrow(server, query, **more):
    answer = server.post("/api/v1/sql", {"query": query, **more}, Accept=ARROW)
    assert (answer.status, answer.headers["Content-Type"]) == (200, ARROW)
    table = pa.ipc.open_stream(answer.body).read_all()
    told = json.loads(table.schema.metadata[b"photogenic"])
    said = (answer.headers["Photogenic-Rows"], answer.headers["Photogenic-Cut"])
    assert said == (str(table.num_rows), str(told["cut"]).lower())
    assert told["n_rows"] == table.num_rows
    return table, told


def test_the_rows_and_types_are_those_of_the_store(server, root):
    query = "select photo_id, value, weight, popular, gender from photo_labels order by photo_id, source"
    table, told = arrow(server, query)
    with FeatureStore(root) as store:
        expected = store.sql(query)
    assert pl.from_arrow(table).equals(expected)
    plain = server.sql(query).json
    assert told["columns"] == plain["columns"]
    assert (told["n_rows"], told["cut"]) == (plain["n_rows"], plain["cut"]) == (expected.height, False)


def test_the_limits_are_those_of_json(server):
    table, told = arrow(server, "from range(5000)", limit=3000)
    assert (table.num_rows, told["n_rows"], told["cut"]) == (3000, 3000, True)
    table, told = arrow(server, "from range(3000)", limit=3000)
    assert (table.num_rows, told["cut"]) == (3000, False)
    table, told = arrow(server, "from range(5)", limit=0)
    assert (table.num_rows, told["cut"]) == (0, True)
    table, told = arrow(server, "select 1 as a where false")
    assert (table.num_rows, table.schema.names, told["cut"]) == (0, ["a"], False)
    table, told = arrow(server, "select repeat('x', 1000000) as a from range(100)", limit=100)
    assert 0 < told["n_rows"] < 100
    assert told["cut"]
    assert table.nbytes <= 16_000_000
    table, told = arrow(server, "select repeat('x', 20000000) as a")
    assert (table.num_rows, told["cut"]) == (0, True)
    table, _ = arrow(server, "from range(1000)", sample=7)
    assert table.num_rows == 7


def test_notes_parameters_and_moments_come_along(server):
    table, told = arrow(server, "select $n as n", parameters={"n": 7})
    assert table.column("n").to_pylist() == [7]
    told = arrow(server, "select count(*) as n from swipes", as_of="1990-01-01")[1]
    assert "1990-01-01" in told["moment"]
    assert told["notes"]
    query = (
        "select count(*) as n from vectors_dlib_face as a join vectors_dlib_face as b exact nearest 2"
        " by distance array_distance(a.embedding, b.embedding)"
    )
    assert arrow(server, query)[1]["plan"] == server.sql(query).json["plan"]


def test_types_without_an_arrow_type_are_texts(server):
    table, _ = arrow(server, "select interval 1 year as a, 2::hugeint ** 100 as b, timestamptz 'infinity' as c")
    assert table.num_rows == 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (ARROW, ARROW),
        (f"{ARROW}, application/json", ARROW),
        (f"text/html, {ARROW};q=0.9, */*", ARROW),
        (f"application/json, {ARROW}", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("text/html", "application/json"),
    ],
)
def test_the_form_is_what_the_client_accepts(server, accept, kind):
    answer = server.post("/api/v1/sql", {"query": "select 1 as a"}, Accept=accept)
    assert answer.headers["Content-Type"].partition(";")[0] == kind


@pytest.mark.parametrize(
    ("query", "code"),
    [("selec", "query_refused"), ("from nowhere", "query_refused"), ("from read_text('/etc/passwd')", "query_refused")],
)
def test_errors_are_json(server, query, code):
    answer = server.post("/api/v1/sql", {"query": query}, Accept=ARROW)
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize("field", ["frames", "table", "tables", "attach"])
def test_no_client_gives_tables_of_its_own(server, tmp_path, field):
    with duckdb.connect(tmp_path / "other.duckdb") as con:
        con.execute("create table t as select 1 as a")
    path = str(tmp_path / "other.duckdb")
    answer = server.post("/api/v1/sql", {"query": "select 1", field: {"other": path}})
    assert (answer.status, answer.code) == (400, "bad_request")
    assert server.sql(f"attach '{path}' as other").code == "query_refused"
    assert server.sql("from other.t").code == "query_refused"
    answer = server.get(f"/api/v1/sql/export?query=select+1&format=csv&{field}=other%3D{path}")
    assert answer.code == "bad_request"


def test_the_server_has_no_code_that_opens_them():
    for path in (ROOT / "app" / "serve").rglob("*.py"):
        names = {
            node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
        }
        assert not [name for name in names if "given_tables" in str(name)], path
        assert ".joined(" not in path.read_text(), path
