"""The SQL guard at every interface: command line, Python and HTTP, with the predicates of search."""

import datetime as dt
import hashlib
import json
import urllib.parse

import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.warehouse import QueryError
from photogenic.warehouse.duckdb_store.query import stream
from tests.warehouse.queries import AROUND, STATEMENTS, WRITERS

KINDS = {
    **{
        name: STATEMENTS[name]
        for name in (
            *("INSERT", "UPDATE", "CREATE temp", "DROP", "COPY", "COPY the log", "ATTACH", "DETACH", "USE"),
            *("SET VARIABLE", "PREPARE", "CALL", "EXPLAIN ANALYZE of COPY", "two", "two, one writes"),
        )
    },
    "a WITH that copies": AROUND["used"].replace("{w}", WRITERS["COPY"]),
    "a WITH that inserts": AROUND["in a PIVOT"].replace("{w}", WRITERS["INSERT"]),
    "a function that logs": "from enable_logging(storage := 'file', storage_path := '{root}/evil')",
    "a function that reads": "from read_text('{root}/snapshot.json')",
    "a query in a text": "from query('copy (select 1) to ''{root}/evil.csv''')",
    "paths of the machine": "select path from duckdb_databases()",
    "rewriting by another name": "use memory; detach store; attach '{snapshot}' as y;"
    " update y.facts.users set gender = 'male'; select 1",
}
READS = {
    "select": "select 1 as a",
    "an end": "select 1 as a; -- that is all",
    "from": "from users order by all limit 2",
    "with": "with x as (select 1 as a) from x",
    "values": "values (1)",
    "explain": "explain select 1",
    "describe": "describe users",
    "show": "show tables",
    "summarize": "summarize select 1 as a",
    "pivot": "pivot users on gender using count(*) group by followers order by all limit 2",
}
PREDICATES = [
    "true; select 1",
    "true) = 1; drop view users; select (true",
    "exists (with x as (copy (select 1) to '{root}/evil.csv') select 1)",
    "exists (with x as (update facts.users set gender = 'male' returning 1) from x)",
    "user_id in (select content from read_text('{root}/snapshot.json'))",
    "(select count(*) from '{root}/snapshot.json') > 0",
    "exists (from duckdb_settings())",
    "exists (from checkpoint())",
    "write_log('x') is null",
]


@pytest.fixture(scope="module")
def store(root):
    with FeatureStore(root) as store:
        yield store


@pytest.fixture
def untouched(root):
    """Check that no byte of the store has changed."""
    before = _bytes_of(root)
    yield
    assert _bytes_of(root) == before


def _bytes_of(root):
    files = (path for path in root.rglob("*") if path.is_file() and "thumbnails" not in path.parts)
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _filled(query, root):
    return query.replace("{snapshot}", str(root / "snapshot.duckdb")).replace("{root}", str(root))


class Doors:
    """Interfaces for SQL: three of Python, six of the command line, three of HTTP. Each may raise QueryError."""

    def __init__(self, store, server, folder):
        self.store, self.here, self.folder = store, server, folder

    def python(self, query):
        return self.store.sql(query).rows()

    def rows_of_a_stream(self, query):
        with stream(self.store.database, query) as cursor:
            return list(cursor.rows())

    def batches_of_a_stream(self, query):
        with stream(self.store.database, query) as cursor:
            return list(cursor.batches())

    def argument(self, query):
        return self._run(query)

    def file(self, query):
        path = self.folder / "query.sql"
        path.write_text(query)
        return self._run("-f", str(path))

    def stdin(self, query):
        return self._run(stdin=query)

    def csv(self, query):
        return self._written(query, "all.csv")

    def json(self, query):
        return self._written(query, "all.json")

    def parquet(self, query):
        return self._written(query, "all.parquet")

    def http(self, query):
        return self._answered(self.here.sql(query)).json["rows"]

    def http_csv(self, query):
        return self._answered(self.here.get(f"/api/v1/sql/export?{self._asked(query, 'csv')}")).body.splitlines()

    def http_parquet(self, query):
        answer = self._answered(self.here.get(f"/api/v1/sql/export?{self._asked(query, 'parquet')}"))
        assert answer.body.startswith(b"PAR1")
        return [answer.body]

    def _asked(self, query, form):
        return urllib.parse.urlencode({"query": query, "format": form})

    def _answered(self, answer):
        if answer.status != 200:
            assert (answer.status, answer.code) == (400, "query_refused")
            raise QueryError(answer.json["message"])
        return answer

    def _run(self, *arguments, stdin=None):
        environment = {"FEATURES_STORE": str(self.store.layout.root)}
        done = CliRunner().invoke(program, ["sql", *arguments], input=stdin, env=environment)
        if done.exit_code:
            assert done.stdout == ""
            assert done.exception is not None
            raise done.exception
        return done.stdout.splitlines() or [done.stderr]

    def _written(self, query, name):
        path = self.folder / name
        path.unlink(missing_ok=True)
        try:
            return self._run(query, "--output", str(path))
        except QueryError:
            assert not path.exists()
            raise


@pytest.fixture(scope="module")
def doors(store, server, tmp_path_factory):
    found = Doors(store, server, tmp_path_factory.mktemp("answers"))
    return {name: getattr(found, name) for name in vars(Doors) if not name.startswith("_")}


EVERYWHERE = (
    "COPY the log",
    "SET VARIABLE",
    "two, one writes",
    "a WITH that inserts",
    "a function that reads",
    "pivot",
)
"""Kinds tested at every interface; others at one of Python, two of the command line and one of HTTP in turn."""


def _in_turn(kinds):
    for at, kind in enumerate(kinds):
        names = [name for name in vars(Doors) if not name.startswith("_")]
        yield pytest.param(kind, names if kind in EVERYWHERE else names[at % 3 :: 3], id=kind)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("kind", "names"), list(_in_turn(KINDS)))
def test_statements_that_do_not_only_read_are_refused_at_every_interface(doors, root, kind, names):
    for name in names:
        with pytest.raises(QueryError, match=r"statements|is not allowed here|would change data") as caught:
            doors[name](_filled(KINDS[kind], root))
            pytest.fail(name)
        if "{" not in KINDS[kind]:
            assert str(root) not in str(caught.value)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("kind", "names"), list(_in_turn(READS)))
def test_statements_that_read_are_answered_at_every_interface(doors, kind, names):
    for name in names:
        assert doors[name](READS[kind]), name


@pytest.mark.usefixtures("untouched")
def test_predicates_that_do_not_only_read_are_refused_at_every_interface(store, server, portrait, root):
    photo_id, environment = portrait[0], {"FEATURES_STORE": str(root)}
    for predicate in (_filled(predicate, root) for predicate in PREDICATES):
        with pytest.raises(QueryError, match="cannot be evaluated"):
            store.similar(photo_id, where=predicate)
        answer = server.post("/api/v1/similar", {"photo_id": photo_id, "where": predicate})
        assert (answer.status, answer.code) == (400, "query_refused")
        done = CliRunner().invoke(program, ["similar", photo_id, "--where", predicate], env=environment)
        assert (type(done.exception), done.stdout) == (QueryError, "")
    for predicate in PREDICATES[:3]:
        with pytest.raises(QueryError):
            store.similar(photo_id, where=_filled(predicate, root), as_of=dt.datetime(2100, 1, 1))


def test_predicates_that_read_are_answered_at_every_interface(store, server, portrait, root):
    photo_id = portrait[0]
    for where in ("popular -- those", "percentile > 10 and gender in (select gender from users)", "photo_id like 'p%'"):
        n = store.similar(photo_id, where=where).height
        assert len(server.post("/api/v1/similar", {"photo_id": photo_id, "where": where}).json["photos"]) == n > 0
        arguments = ["similar", photo_id, "--where", where, "--format", "json"]
        done = CliRunner().invoke(program, arguments, env={"FEATURES_STORE": str(root)})
        assert len(json.loads(done.stdout)) == n


def test_a_refusal_does_not_contain_the_path_of_the_store(server, root):
    for query in (
        "from nothing",
        "pragma database_list",
        "from duckdb_databases()",
        "from 'x.csv'",
        "select error('x')",
    ):
        assert str(root.parent) not in server.sql(query).body.decode()
