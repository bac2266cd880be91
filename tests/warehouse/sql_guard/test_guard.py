"""The SQL guard, with every statement, node and function of DuckDB classified, and the connection without files."""

import hashlib
import re
from pathlib import Path

import duckdb
import pytest

from photogenic.warehouse import Database, QueryError, Store
from photogenic.warehouse.duckdb_store import distances
from photogenic.warehouse.duckdb_store.query import sql, stream
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.sql_guard import allowed, guard, rewrite
from tests.warehouse.queries import ALLOWED, AROUND, FUNCTIONS, STATEMENTS, WRITERS
from tests.warehouse.small import add_facts, store


def words(text):
    return set(text.split())


READING = {"SELECT", "EXPLAIN", "MULTI"}
"""Statement types that may read; MULTI is a PIVOT whose values are looked up."""

OFF = {
    *("INVALID", "INSERT", "UPDATE", "CREATE", "DELETE", "PREPARE", "EXECUTE", "ALTER", "TRANSACTION", "COPY"),
    *("ANALYZE", "VARIABLE_SET", "CREATE_FUNC", "DROP", "EXPORT", "PRAGMA", "VACUUM", "CALL", "SET", "LOAD"),
    *("RELATION", "EXTENSION", "LOGICAL_PLAN", "ATTACH", "DETACH", "COPY_DATABASE", "MERGE_INTO"),
}

OFF_FUNCTIONS = words(
    """
    __cast combine combine_aggr current_setting currval finalize index_key
    json_copy_strftime_if_date json_copy_strftime_if_timestamp json_serialize_plan nextval pg_sleep setval sleep_ms
    to_aggregate_state variant_bytes_to_variant variant_to_parquet_variant write_log
"""
)
"""Scalar and aggregate functions that wait, advance a sequence, write, read settings, or read internal states."""

OFF_TABLE_FUNCTIONS = words(
    """
    add_grammar_extension arrow_scan arrow_scan_dumb checkpoint create_external_resource deregister_external_resource
    destroy_external_resource disable_logging disable_profiling duckdb_approx_database_count duckdb_available_metrics
    duckdb_connection_count duckdb_databases duckdb_dialects duckdb_eviction_queues duckdb_extension_repositories
    duckdb_extensions duckdb_external_file_cache duckdb_external_resource_types duckdb_external_resources
    duckdb_grammar_extensions duckdb_live_query_metrics duckdb_log_contexts duckdb_logs duckdb_logs_parsed
    duckdb_prepared_statements
    duckdb_profiling_settings duckdb_secret_type_parameters duckdb_secret_types duckdb_secrets duckdb_settings
    duckdb_table_sample duckdb_temporary_files duckdb_variables enable_logging enable_profiling force_checkpoint glob
    histogram histogram_values json_execute_serialized_sql pandas_scan parquet_bloom_probe parquet_file_metadata
    parquet_full_metadata parquet_kv_metadata parquet_metadata parquet_page_index
    remove_grammar_extension parquet_scan parquet_schema pragma_user_agent python_arrow_scan
    python_map_function query query_table read_blob read_csv read_csv_auto read_duckdb read_json read_json_auto
    read_json_objects read_json_objects_auto read_ndjson read_ndjson_auto read_ndjson_objects read_parquet
    read_single_csv_file read_single_json_file read_single_parquet_file read_text register_external_resource
    register_external_resource_type seq_scan sniff_csv truncate_duckdb_logs which_secret
"""
)

OFF_VIEWS = words(
    """
    duckdb_databases duckdb_logs pg_prepared_statements pg_settings pg_tablespace pragma_database_list
"""
)

INNER = re.compile(r"__internal_\w+|(icu_)?collate_\w+|is (not )?distinct from")
"""Functions that DuckDB calls internally: a query uses them through other keywords, such as COLLATE."""

NODES_OFF = {
    *("COPY_QUERY_NODE", "INSERT_QUERY_NODE", "UPDATE_QUERY_NODE", "DELETE_QUERY_NODE", "MERGE_QUERY_NODE"),
    *("EXECUTE_QUERY_NODE", "STATEMENT_NODE", "BOUND_SUBQUERY_NODE"),
}


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    db = store(tmp_path_factory.mktemp("guard"))
    add_facts(
        db,
        users=[("ann", "female"), ("bob", None), ("cid", "male")],
        main_photos=[("ann", "p", 1)],
        swipes=[("bob", "ann", True, 2)],
    )
    build_labels(Store(db))
    return db


@pytest.fixture(scope="module")
def con(db):
    with db.read() as con:
        yield con


@pytest.fixture
def untouched(db):
    """Check that every byte in the folder of the store is unchanged."""
    before = bytes_of(db.layout.root)
    yield
    assert bytes_of(db.layout.root) == before


def bytes_of(root: Path):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


# --- everything of this DuckDB is classified: new functions of a later version fail here


def test_every_statement_type_is_classified():
    assert set(duckdb.StatementType.__members__) == READING | OFF
    assert not READING & OFF


def test_every_function_is_classified():
    with duckdb.connect() as con:
        found = con.execute("select distinct function_type, function_name from duckdb_functions()").fetchall()
    tables = {name.lower() for kind, name in found if kind in {"table", "table_macro"}}
    values = {name.lower() for kind, name in found if kind in {"scalar", "aggregate", "macro", "window"}}
    assert {kind for kind, _ in found} <= {"table", "table_macro", "scalar", "aggregate", "macro", "window", "pragma"}
    assert tables - allowed.TABLE_FUNCTIONS == OFF_TABLE_FUNCTIONS
    assert {name for name in values - allowed.FUNCTIONS if not INNER.fullmatch(name)} == OFF_FUNCTIONS
    assert not allowed.TABLE_FUNCTIONS & OFF_TABLE_FUNCTIONS
    assert not allowed.FUNCTIONS & OFF_FUNCTIONS
    assert allowed.TABLE_FUNCTIONS - tables == {"unlist"}
    assert allowed.FUNCTIONS - values == {"unlist", "unnest", *distances.NAMES}


def test_every_system_view_is_classified():
    with duckdb.connect() as con:
        found = {name for (name,) in con.execute("select view_name from duckdb_views()").fetchall()}
    assert found - allowed.VIEWS == OFF_VIEWS
    assert found >= allowed.VIEWS


def test_every_node_of_a_query_is_classified():
    library = next(Path(duckdb.__file__).parents[1].glob("_duckdb*"))
    found = {name.decode() for name in re.findall(rb"\0([A-Z_]+_NODE)\0", library.read_bytes())}
    found = {name for name in found if not name.startswith("SLURM")}
    ours = {name for name in allowed.NODES if name.endswith("_NODE")}
    assert found - ours <= NODES_OFF
    assert {"COPY_QUERY_NODE"} | found >= NODES_OFF - {"COPY_QUERY_NODE"}


# --- each kind of statement that does more than read


def filled(db: Database, query: str) -> str:
    return query.replace("{snapshot}", str(db.layout.snapshot)).replace("{root}", str(db.layout.root))


def refused(db: Database, query: str) -> QueryError:
    with pytest.raises(QueryError) as caught:
        sql(db, filled(db, query))
    with pytest.raises(QueryError), stream(db, filled(db, query)):
        pass
    return caught.value


@pytest.mark.usefixtures("untouched")
def test_statements_that_do_more_than_read_are_refused(con, db):
    for name, query in STATEMENTS.items():
        with pytest.raises((QueryError, duckdb.ParserException)):
            guard.parse_read_only(con, filled(db, query))
            pytest.fail(name)
    for name in ("INSERT", "COPY", "ATTACH", "SET", "two"):
        assert "a statement that reads" in refused(db, STATEMENTS[name]).expected


@pytest.mark.parametrize("place", AROUND)
def test_writers_inside_of_queries_are_refused(con, db, place):
    for name, writer in WRITERS.items():
        query = filled(db, AROUND[place].replace("{w}", writer))
        with pytest.raises(QueryError, match=r"is not allowed here|would change data"):
            guard.parse_read_only(con, query)
            pytest.fail(name)


@pytest.mark.usefixtures("untouched")
def test_functions_that_reach_out_are_refused(con, db):
    for query in FUNCTIONS:
        with pytest.raises(QueryError):
            guard.parse_read_only(con, filled(db, query))
            pytest.fail(query)


def test_every_function_that_is_off_is_refused_by_name(con):
    for name in OFF_TABLE_FUNCTIONS:
        with pytest.raises(QueryError, match=f"The function {name} is not allowed here"):
            guard.parse_read_only(con, f"from {name}('x')")
    for name in OFF_FUNCTIONS:
        with pytest.raises(QueryError, match=f"The function {name} is not allowed here"):
            guard.parse_read_only(con, f'select "{name}"(1)')


@pytest.mark.parametrize(
    ("query", "n"), [("select 1; select 2", 2), ("select 1;;select 2;", 2), ("select 1;\nfrom users; drop view x", 3)]
)
def test_several_statements_are_counted_and_none_is_run(db, query, n):
    assert f"There are {n} statements" in refused(db, query).what


# --- queries that only read are answered


@pytest.mark.usefixtures("untouched")
def test_what_reads_is_answered(db, con):
    for query in ALLOWED:
        answer = con.sql(guard.parse_read_only(con, query))
        assert answer.columns, query
        answer.limit(3).fetchall()


def test_ends_of_statements_do_not_matter(db):
    for end in ("", ";", " ; ", "; -- x", "-- x", ";/* ; */;", "\n;\n--"):
        assert sql(db, f"select 1 as a{end}", limit=5).rows() == [(1,)]
        with stream(db, f"select 1 as a{end}") as cursor:
            assert list(cursor.rows()) == [(1,)]


def test_the_checked_statement_is_the_one_that_runs(con):
    """The rewritten PIVOT contains all words of the original one, in the same order."""
    for query in (query for query in ALLOWED if "pivot" in query):
        for form, *inner in rewrite.with_pivot_values(query):
            left = iter(form + "".join(inner))
            assert all(letter in left for letter in query if letter.strip()) or inner, (query, form)


def test_no_allowed_function_returns_a_path(db, con):
    told = []
    for name in sorted(allowed.TABLE_FUNCTIONS):
        for arguments in ("", "'facts.users'", "'store'"):
            try:
                told.append((name, con.execute(f"from {name}({arguments})").fetchall()))
            except duckdb.Error:
                continue
    views = con.execute("select schema_name, view_name from system.main.duckdb_views() where internal").fetchall()
    for schema, name in views:
        if name in allowed.VIEWS:
            told.append((name, con.execute(f"from system.{schema}.{name}").fetchall()))
    told += [
        (query, con.execute(query).fetchall()) for query in ALLOWED if query[:4].lower() in ("expl", "show", "desc")
    ]
    assert len(told) > 60
    for name, rows in told:
        assert str(db.layout.root.parent) not in str(rows), name


def test_show_names_relations_and_no_setting(db, con):
    """SHOW of a name without a table returns the setting of that name."""
    settings = [name for (name,) in con.execute("select name from duckdb_settings()").fetchall()]
    assert len(settings) > 100
    for name in (*settings, "search_path", "nothing"):
        for query in (f"show {name}", f"from (show {name})", f'show "{name}"', f"with s as (show {name}) from s"):
            try:
                guard.parse_read_only(con, query)
            except (QueryError, duckdb.ParserException):
                continue
            pytest.fail(query)
    for query in ("show users", "show USERS", "from (show users)", "show tables", "show all tables", "describe users"):
        assert sql(db, query).height


def test_a_statement_that_the_client_has_no_name_for_is_refused(db):
    with pytest.raises(QueryError, match="UPDATE"):
        sql(db, "update extensions")


def test_half_a_letter_is_refused_in_words(db):
    assert "UTF-8" in refused(db, "select '\udc80'").what


# --- the connection without files


WALL = [
    *(query for query in STATEMENTS.values() if not query.startswith("select")),
    *(AROUND["used"].replace("{w}", writer) for writer in WRITERS.values()),
    *FUNCTIONS,
    "use memory; detach store; attach '{snapshot}' as y; update y.facts.users set gender = 'male'; checkpoint y",
    "set temp_directory = '{root}/spill'",
    "set enable_external_access = true",
    "set disabled_filesystems = ''",
    "reset disabled_filesystems",
    "set global lock_configuration = false",
    "set allowed_paths = ['{root}/evil.csv']",
    "pragma enable_profiling; pragma profiling_output = '{root}/evil'; select 1",
    "copy (select 1) to '/dev/stdout'",
    "copy (select 1) to 'file:{root}/evil.csv'",
    "copy (select 1) to 'file://{root}/evil.csv'",
]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("labelling", [False, True])
def test_without_the_guard_no_file_is_written_or_read(db, tmp_path, monkeypatch, labelling):
    monkeypatch.chdir(tmp_path)
    # Label builds may change settings, so only statements that name a file are tried.
    for query in (query for query in WALL if not labelling or ("{" in query and "set " not in query)):
        with db.read(labelling=labelling) as con:
            try:
                rows = con.execute(filled(db, query)).fetchall()
            except duckdb.Error as error:
                rows = str(error)
        assert '"sha256"' not in str(rows), query
    assert not list(tmp_path.iterdir())


def test_without_the_guard_no_file_can_be_opened(db):
    for query in ("from read_text('{root}/snapshot.json')", "attach '{snapshot}' as y", STATEMENTS["COPY"]):
        for labelling in (False, True):
            with db.read(labelling=labelling) as con, pytest.raises(duckdb.PermissionException, match="disabled"):
                con.execute(filled(db, query))


def test_much_data_needs_no_file(db):
    with db.read(memory_limit="100MB") as con, pytest.raises(duckdb.OutOfMemoryException):
        con.execute("select count(distinct a.range || b.range) from range(3000) as a, range(3000) as b").fetchall()
