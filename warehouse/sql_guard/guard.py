"""Check that a query is one statement that only reads. Every entry point for SQL of users calls this check.

The statement type of DuckDB is not enough: `with x as (copy (select 1) to 'f') select 1` has the type SELECT, and
functions write files too. So every node of DuckDB's parse tree must be on the lists of `warehouse.sql_guard.allowed`.
A query that passes runs exactly as it was parsed.

A second protection does not depend on the text: the connection has no access to files (`Database.open_snapshot`).
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import catalog_of
from photogenic.warehouse.duckdb_store import query_errors
from photogenic.warehouse.duckdb_store.extension import HIDDEN
from photogenic.warehouse.errors import QueryError
from photogenic.warehouse.sql_guard.allowed import CLASSES, FUNCTIONS, NODES, SHOWN, TABLE_FUNCTIONS, VIEWS
from photogenic.warehouse.sql_guard.rewrite import explained_query, strip_semicolon, unquoted_words, with_pivot_values

__all__ = ["Used", "changing_functions", "parse_read_only", "used_names"]

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|([{}])')

_MOST_KEPT, _LONGEST_KEPT = 64, 2_000
_parsed: OrderedDict[str, list[_Part]] = OrderedDict()
"""Nodes of the last SELECTs that are not long: the same query is asked again and again. Nothing changes them."""
_turn = threading.Lock()

_system_views: set[str] = set()
"""Views that DuckDB comes with, which are the same on each connection."""

_WRITING = frozenset({"copy", "create", "delete", "drop", "execute", "insert", "merge", "update"})
"""Unquoted words that no PIVOT without values may have: such a PIVOT is checked in a rewritten form."""


@dataclass(slots=True)
class _Part:
    """Node of a parsed statement.

    Attributes:
        place: key of the node in its parent.
        around: parent node.
        fields: its text fields.
        named: names that its WITH defines.
    """

    place: str
    around: _Part | None
    fields: dict[str, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Used:
    """What a SELECT uses.

    Attributes:
        tables: tables and views that it reads, as written; names that a WITH defines are not among them.
        functions: scalar, aggregate and window functions, in lower case; `age` of one instant, which counts from
            today, is `age(instant)`.
        table_functions: functions in FROM, in lower case.
        is_recursive: whether a WITH reads itself.
        is_sample: whether it takes a random sample of rows.
    """

    tables: frozenset[str]
    functions: frozenset[str]
    table_functions: frozenset[str]
    is_recursive: bool
    is_sample: bool


def changing_functions(con: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Return the functions whose result may be another one the next time, such as `now` and `random`, in lower case.

    Functions of instants with a time zone depend on the setting of the time zone, which is UTC here.
    """
    query = """
        select distinct lower(function_name)
        from duckdb_functions()
        where stability <> 'CONSISTENT' and not (
            len(parameter_types) > 0
            and list_has_any(
                list_append(parameter_types, return_type),
                ['TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ_NS', 'TIME WITH TIME ZONE']
            )
        )
    """
    return frozenset(name for (name,) in con.execute(query).fetchall())


def used_names(con: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> Used | None:
    """Return the tables and functions that a statement uses; None: it is not a plain SELECT."""
    parts = _parse_select(con, statement.query) if _kind(statement) == "SELECT" else None
    if parts is None or any(part.fields.get("type") in ("SHOW_REF", "PIVOT") for part in parts):
        return None
    tables, functions, table_functions = set[str](), set[str](), set[str]()
    for part in parts:
        fields = part.fields
        if fields.get("type") == "BASE_TABLE":
            name = fields["table_name"]
            qualifiers = [fields[key] for key in ("catalog_name", "schema_name") if fields.get(key)]
            if qualifiers or not _is_named(part, name):
                tables.add(".".join([*qualifiers, name]))
        if (function := fields.get("function_name")) is not None:
            (table_functions if part.place == "function" else functions).add(_function(part, function.lower(), parts))
    is_recursive = any(part.fields.get("type") == "RECURSIVE_CTE_NODE" for part in parts)
    is_sample = any(part.place == "sample" for part in parts)
    return Used(frozenset(tables), frozenset(functions), frozenset(table_functions), is_recursive, is_sample)


def _function(part: _Part, name: str, parts: list[_Part]) -> str:
    if name == "age" and sum(one.around is part and one.place in ("arguments", "children") for one in parts) == 1:
        return "age(instant)"
    return name


def parse_read_only(
    con: duckdb.DuckDBPyConnection, query: str, functions: Collection[str] = frozenset()
) -> duckdb.Statement:
    """Parse a query, and return the statement to run if it only reads.

    Args:
        con: a reading connection on the snapshot.
        query: SQL of a user.
        functions: table functions that are allowed beside those of the list, by their names alone.

    Raises:
        QueryError: the query is empty, has several statements, or does more than read.
        duckdb.Error: DuckDB cannot parse it.
    """
    if not query.isascii() and any("\ud800" <= letter <= "\udfff" for letter in query):
        raise query_errors.no_text(query)
    statements = con.extract_statements(query)
    if not statements:
        raise query_errors.no_rows(query)
    if len(statements) > 1:
        raise query_errors.several_statements(query, len(statements))
    (statement,) = statements
    if (kind := _kind(statement)) is None:
        raise query_errors.not_allowed(query, query.split(maxsplit=1)[0].upper())
    if (text := strip_semicolon(statement.query)) != statement.query:
        (statement,) = con.extract_statements(text)
    parts = _parts(con, statement)
    if parts is None:
        raise query_errors.not_allowed(query, kind)
    if (refused := _refusal(con, query, parts, functions)) is not None:
        raise refused
    return statement


def _kind(statement: duckdb.Statement) -> str | None:
    """Return the type of a statement; None: the client has no name for it, as for UPDATE EXTENSIONS in DuckDB 2.0."""
    try:
        return statement.type.name
    except ValueError:
        return None


def _parts(con: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> list[_Part] | None:
    """Return the nodes of a SELECT, EXPLAIN or PIVOT; None: it is another statement."""
    kind, text = _kind(statement), statement.query
    if kind == "SELECT":
        return _parse_select(con, text)
    return _parts_of_any_form(con, explained_query(text) or text) if kind in {"EXPLAIN", "MULTI"} else None


def _parts_of_any_form(con: duckdb.DuckDBPyConnection, text: str) -> list[_Part] | None:
    """Return the nodes of a query that may have PIVOTs."""
    parts = _parse_select(con, text)
    if parts is not None or unquoted_words(text) & _WRITING:
        return parts
    for form, *queries in with_pivot_values(text):
        if (parts := _parse_select(con, form)) is not None:
            for values in (_parts_of_any_form(con, query) for query in queries):
                if values is None:
                    return None
                parts += values
            return parts
    return None


def _parse_select(con: duckdb.DuckDBPyConnection, text: str) -> list[_Part] | None:
    """Return the nodes of one SELECT; None: it is another statement. They depend on the text alone."""
    with _turn:
        if (known := _parsed.get(text)) is not None:
            _parsed.move_to_end(text)
            return known
    parts = _parse(con, text)
    if parts is not None and len(text) <= _LONGEST_KEPT:
        with _turn:
            _parsed[text] = parts
            while len(_parsed) > _MOST_KEPT:
                _parsed.popitem(last=False)
    return parts


def _parse(con: duckdb.DuckDBPyConnection, text: str) -> list[_Part] | None:
    query = "select json_serialize_sql($1::varchar, skip_null := true, skip_empty := true)"
    ((found,),) = con.execute(query, [text]).fetchall()
    if not found.startswith('{"error":false,"statements":[{'):
        return None
    return list(_walk(found))


def _walk(tree: str) -> Iterator[_Part]:
    """Yield every object of a JSON text, without recursion: DuckDB nests deeper than Python's JSON reader allows."""
    names: list[str] = []
    part, name = _Part("", None), ""
    for token in _TOKEN.finditer(tree):
        text, is_name, bracket = token.groups()
        if bracket == "{":
            names.append(name)
            part = _Part(name, part)
        elif bracket == "}":
            yield part
            assert part.around is not None
            if part.place == "map" and part.around.place == "cte_map" and part.around.around is not None:
                part.around.around.named.add(part.fields.get("key", ""))
            part, name = part.around, names.pop()
        elif is_name:
            name = text
        else:
            part.fields.setdefault(name, text)


def _refusal(
    con: duckdb.DuckDBPyConnection, query: str, parts: list[_Part], functions: Collection[str]
) -> QueryError | None:
    for part in parts:
        fields = part.fields
        kind, node = fields.get("class"), fields.get("type")
        if kind is not None and kind not in CLASSES:
            return query_errors.not_allowed(query, kind)
        if kind is None and node is not None and node not in NODES:
            return query_errors.not_allowed(query, node.removesuffix("_NODE").removesuffix("_QUERY"))
        if (function := fields.get("function_name")) is not None:
            allowed = TABLE_FUNCTIONS.union(functions) if part.place == "function" else FUNCTIONS
            if part.place != "function" and function.lower() in functions:
                return query_errors.not_in_from(query, function)
            is_qualified = bool(fields.get("schema") or fields.get("catalog"))
            if function.lower() not in allowed or (is_qualified and function.lower() in functions):
                return query_errors.no_function(query, function, sorted(allowed), known=_knows(con, function))
        if node == "SHOW_REF" and fields.get("show_type") == "SHOW" and not _is_there(con, fields["table_name"]):
            return query_errors.no_relation(
                fields["table_name"], catalog_of(con)
            )  # SHOW returns settings too, and these contain paths
        if node in {"BASE_TABLE", "SHOW_REF"} and not _is_relation(con, part):
            return query_errors.not_a_relation(query, fields["table_name"])
    return None


def _is_relation(con: duckdb.DuckDBPyConnection, part: _Part) -> bool:
    """Whether the name is a relation of the store or of a WITH, and not a file or a view that describes the machine."""
    name = part.fields.get("table_name")
    if name is not None and name.strip('\\"').lower().startswith(HIDDEN):
        return "schema_name" not in part.fields and _is_named(part, name)
    if name is None or (part.fields["type"] == "SHOW_REF" and name.strip('\\"').lower() in SHOWN):
        return True
    if name.isidentifier() and not _is_system_view(con, name.lower()):
        return True
    if "schema_name" in part.fields:
        return _is_attached(con, part, name)
    return _is_named(part, name)


def _is_attached(con: duckdb.DuckDBPyConnection, part: _Part, name: str) -> bool:
    """Whether a file that the user has attached has a table of this name, which may be any text."""
    query = """
        with files as (
            select database_name from system.main.duckdb_databases() where path is not null and database_name <> 'store'
        )
        select 1 from system.main.duckdb_tables() where lower(table_name) = $1 and database_name in (from files)
            and lower($2) in (lower(database_name), lower(schema_name))
        union all
        select 1 from system.main.duckdb_views() where lower(view_name) = $1 and database_name in (from files)
            and lower($2) in (lower(database_name), lower(schema_name)) and not internal
    """
    return bool(con.execute(query, [_plain(name).lower(), _plain(part.fields["schema_name"])]).fetchall())


def _plain(text: str) -> str:
    """Return a text of the tree of JSON without its escapes."""
    found = json.loads(f'"{text}"')
    assert isinstance(found, str)
    return found


def _is_named(part: _Part, name: str) -> bool:
    """Whether a WITH around this node, other than the one that it defines, gives that name to a query."""
    inside, defined = part, ""
    while (around := inside.around) is not None:
        if inside.place == "map":
            defined = inside.fields.get("key", "")
        elif inside.place != "cte_map":
            defined = ""
        if around.fields.get("cte_name") == name or (name in around.named and name != defined):
            return True
        inside = around
    return False


def _is_there(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether a table or view of that name exists."""
    query = (
        "select 1 from duckdb_tables() where lower(table_name) = $1 union all "
        "select 1 from duckdb_views() where lower(view_name) = $1 and not internal limit 1"
    )
    return bool(con.execute(query, [name.lower()]).fetchall())


def _knows(con: duckdb.DuckDBPyConnection, function: str) -> bool:
    query = "select 1 from duckdb_functions() where lower(function_name) = $1 limit 1"
    return bool(con.execute(query, [function.lower()]).fetchall())


def _is_system_view(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether a system view of that name exists that is not on the list."""
    if name in VIEWS or name in sql.NAMES:
        return False
    if not _system_views:
        query = "select lower(view_name) from system.main.duckdb_views() where internal"
        _system_views.update(found for (found,) in con.execute(query).fetchall())
    return name in _system_views
