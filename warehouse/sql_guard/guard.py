"""What may be asked: one statement that reads. The same rule decides wherever somebody's SQL comes in.

DuckDB's own word for it, the statement's type, is not enough: `with x as (copy (select 1) to 'f') select 1` is a SELECT
to it, and functions write files too. A query is therefore taken apart as DuckDB parses it, and everything it is made of
must be on the lists of `warehouse.sql_guard.allowed`. What passes is run as it was parsed.

Under this lies a second wall, which looks at no text: the connection reaches no file (`Database.open_snapshot`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from photogenic import sql
from photogenic.warehouse.duckdb_store import query_errors
from photogenic.warehouse.sql_guard.allowed import CLASSES, FUNCTIONS, NODES, SHOWN, TABLE_FUNCTIONS, VIEWS
from photogenic.warehouse.sql_guard.rewrite import bare_words, explained, with_values, without_end

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement

    from photogenic.warehouse.errors import QueryError

__all__ = ["reading"]

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|([{}])')

_WRITING = frozenset({"copy", "create", "delete", "drop", "execute", "insert", "merge", "update"})
"""No bare words of a PIVOT without values: what DuckDB makes of it is looked at in another form."""


@dataclass(slots=True)
class _Part:
    """A node of a parsed statement.

    Attributes:
        place: under which name it lies in the node around it.
        around: that node.
        fields: those of its fields that are texts.
        named: by its WITH.
    """

    place: str
    around: _Part | None
    fields: dict[str, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)


def reading(con: DuckDBPyConnection, query: str) -> Statement:
    """The query as a statement to be run, if it is one that reads.

    Args:
        con: a reading connection on the snapshot.
        query: whatever somebody typed.

    Raises:
        QueryError: it is none, several, or one that does more than read.
        duckdb.Error: DuckDB cannot parse it.
    """
    if not query.isascii() and any("\ud800" <= letter <= "\udfff" for letter in query):
        raise query_errors.no_text(query)
    statements = con.extract_statements(query)
    if not statements:
        raise query_errors.no_rows(query)
    if len(statements) > 1:
        raise query_errors.several(query, len(statements))
    (statement,) = statements
    if (kind := _kind(statement)) is None:
        raise query_errors.not_run(query, query.split(maxsplit=1)[0].upper())
    if (text := without_end(statement.query)) != statement.query:
        (statement,) = con.extract_statements(text)
    parts = _parts(con, statement)
    if parts is None:
        raise query_errors.not_run(query, kind)
    if (refused := _refused(con, query, parts)) is not None:
        raise refused
    return statement


def _kind(statement: Statement) -> str | None:
    """The statement's type; None: the client has no name for it, as for UPDATE EXTENSIONS in DuckDB 2.0."""
    try:
        return statement.type.name
    except ValueError:
        return None


def _parts(con: DuckDBPyConnection, statement: Statement) -> list[_Part] | None:
    """What a SELECT is made of, or an EXPLAIN or PIVOT; None: it is none of these."""
    kind, text = _kind(statement), statement.query
    if kind == "SELECT":
        return _taken_apart(con, text)
    return _of_any_form(con, explained(text) or text) if kind in {"EXPLAIN", "MULTI"} else None


def _of_any_form(con: DuckDBPyConnection, text: str) -> list[_Part] | None:
    """What a query is made of that may have PIVOTs."""
    parts = _taken_apart(con, text)
    if parts is not None or bare_words(text) & _WRITING:
        return parts
    for form, *queries in with_values(text):
        if (parts := _taken_apart(con, form)) is not None:
            for values in (_of_any_form(con, query) for query in queries):
                if values is None:
                    return None
                parts += values
            return parts
    return None


def _taken_apart(con: DuckDBPyConnection, text: str) -> list[_Part] | None:
    """The nodes of one SELECT; None: it is something else."""
    query = "select json_serialize_sql($1::varchar, skip_null := true, skip_empty := true)"
    ((found,),) = con.execute(query, [text]).fetchall()
    if not found.startswith('{"error":false,"statements":[{'):
        return None
    return list(_walk(found))


def _walk(tree: str) -> Iterator[_Part]:
    """Every object of a JSON text. Without recursion: DuckDB parses deeper ones than Python's reader follows."""
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


def _refused(con: DuckDBPyConnection, query: str, parts: list[_Part]) -> QueryError | None:
    for part in parts:
        fields = part.fields
        kind, node = fields.get("class"), fields.get("type")
        if kind is not None and kind not in CLASSES:
            return query_errors.not_run(query, kind)
        if kind is None and node is not None and node not in NODES:
            return query_errors.not_run(query, node.removesuffix("_NODE").removesuffix("_QUERY"))
        if (function := fields.get("function_name")) is not None:
            allowed = TABLE_FUNCTIONS if part.place == "function" else FUNCTIONS
            if function.lower() not in allowed:
                return query_errors.no_function(query, function, sorted(allowed), known=_knows(con, function))
        if node == "SHOW_REF" and fields.get("show_type") == "SHOW" and not _is_there(con, fields["table_name"]):
            return query_errors.no_relation(fields["table_name"])  # SHOW answers settings as well, and these hold paths
        if node in {"BASE_TABLE", "SHOW_REF"} and not _is_relation(con, part):
            return query_errors.out_of_reach(query, fields["table_name"])
    return None


def _is_relation(con: DuckDBPyConnection, part: _Part) -> bool:
    """Whether the name may be one of the store's, or stands for a query: neither a file nor a view of the machine."""
    name = part.fields.get("table_name")
    if name is None or (part.fields["type"] == "SHOW_REF" and name.strip('\\"').lower() in SHOWN):
        return True
    if name.isidentifier() and not _is_of_the_machine(con, name.lower()):
        return True
    return "schema_name" not in part.fields and _is_named(part, name)


def _is_named(part: _Part, name: str) -> bool:
    """Whether a WITH around this part, other than the one it defines, gives that name to a query."""
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


def _is_there(con: DuckDBPyConnection, name: str) -> bool:
    """Whether a table or view has that name."""
    query = (
        "select 1 from duckdb_tables() where lower(table_name) = $1 union all "
        "select 1 from duckdb_views() where lower(view_name) = $1 and not internal limit 1"
    )
    return bool(con.execute(query, [name.lower()]).fetchall())


def _knows(con: DuckDBPyConnection, function: str) -> bool:
    query = "select 1 from duckdb_functions() where lower(function_name) = $1 limit 1"
    return bool(con.execute(query, [function.lower()]).fetchall())


def _is_of_the_machine(con: DuckDBPyConnection, name: str) -> bool:
    """Whether a view of DuckDB's own that is not on the list has that name."""
    if name in VIEWS or name in sql.RELATIONS or name in sql.VIEWS:
        return False
    query = "select 1 from duckdb_views() where internal and lower(view_name) = $1 limit 1"
    return bool(con.execute(query, [name]).fetchall())
