"""Check the files of a user's own relations and audits: name, header, columns, and what the SELECT reads.

The SQL is as hostile as a query from the web: it passes the guard of queries before anything runs it. The rows of a
relation must follow from the relations that it reads, so that a build knows when they are stale: random numbers and
the time of day are refused.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Relation, parse
from photogenic.warehouse.definitions.project import NAME
from photogenic.warehouse.errors import InputError, PhotogenicError
from photogenic.warehouse.labels.audits import Audit, read_audit
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.sql_guard.guard import changing_functions, parse_read_only, used_names
from photogenic.warehouse.sql_guard.rewrite import unquoted_words

if TYPE_CHECKING:
    from photogenic.warehouse.definitions.additive import Sums

__all__ = ["Definition", "check_audit", "check_name", "check_relation", "parameter_values", "values_json"]

_TAKEN = frozenset(
    {"facts", "main", "moment", "store", "system", "temp", "compact", "pg_catalog", "information_schema"}
    | {"new_swipes", "removed_swipes", "recounted", "recounted_swipes", "moved_recipients"}
)
"""Names of databases, schemas and temporary tables of builds."""
_TAKEN_PREFIXES = ("former_", "past_", "added_", "removed_", "duckdb_", "pg_", "sqlite_", "picture_")
_ABOUT_BUILDS = frozenset({"checksums", "commands", "own_relations"})
"""Relations that every build changes: a relation that reads them would be stale after each build."""
_OF_VECTORS = frozenset({"similar", "vectors"})
"""Table functions of vectors, which a relation cannot read: nothing tells a build that they changed."""

_TABLE_FUNCTIONS = frozenset({"generate_series", "range", "repeat", "unnest", "json_each", "json_tree"})
_OUTSIDE = frozenset({"age(instant)", "ago", "reservoir_quantile", "session_user", "user"})
_OUTSIDE_PREFIXES = ("current_", "pg_", "has_", "inet_", "json_serialize", "json_deserialize")
_OUTSIDE_WORDS = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_user"}
)
_LABEL_OPTIONS = frozenset(one.name for one in fields(LabelOptions))
_TYPES = frozenset(
    {"boolean", "bool", "smallint", "integer", "int", "bigint", "float", "real", "double"}
    | {"varchar", "text", "date", "timestamp"}
)
"""Types of columns that all readers, Spark and the search for erased people know; each may be a list too."""
_FORM = """-- NAME: what a row is
--
-- grain:  user_id
-- reads:  swipes
-- time:   as of the clock
-- source: who needs it, and why"""


@dataclass(frozen=True, slots=True)
class Definition:
    """A relation of the user's own that passed the checks.

    Attributes:
        query: the SELECT that runs.
        parameters: names of its parameters, as DuckDB finds them.
        sums: how its rows add up; None: it is not additive.
    """

    relation: Relation
    query: str
    parameters: tuple[str, ...]
    sums: Sums | None = None

    @property
    def name(self) -> str:
        return self.relation.name


def check_name(con: duckdb.DuckDBPyConnection, name: str, kind: str = "relations") -> None:
    """Refuse a name that is not a plain word, or that something else has.

    Raises:
        InputError: the name cannot be used.
    """
    remedy = f"rename {kind}/{name}.sql, and the name in its first line"
    if NAME.fullmatch(name) is None:
        expected = "a lower-case letter, then at most 62 lower-case letters, digits and _"
        raise InputError(f"{name!r} cannot be the name of a definition.", expected, remedy)
    if kind != "relations":
        return
    words = (
        "select 1 from duckdb_keywords() where keyword_name = $1 and keyword_category in ('reserved', 'type_function')"
    )
    views = "select 1 from system.main.duckdb_views() where internal and lower(view_name) = $1"
    why = ""
    if name in sql.NAMES:
        why = "is a relation of Photogenic"
    elif name in _TAKEN or name.startswith(_TAKEN_PREFIXES):
        why = "is a name that builds use"
    elif name in _OF_VECTORS or name.startswith("vectors_"):
        why = "is a name of vectors in SQL"
    elif con.execute(words, [name]).fetchall():
        why = "is a word of SQL"
    elif con.execute(views, [name]).fetchall():
        why = "is a view of DuckDB"
    if why:
        raise InputError(f"A relation is called {name}, which {why}.", "a name that nothing else has", remedy)


def check_relation(con: duckdb.DuckDBPyConnection, name: str, text: str, known: Collection[str]) -> Definition:
    """Check the file of a relation.

    Args:
        con: any connection to the store.
        name: name of the file without its ending.
        text: its content.
        known: names of all relations that it may read.

    Raises:
        InputError: the file breaks a rule; the message names the file, the rule and what to do.
    """
    check_name(con, name)
    file = f"relations/{name}.sql"
    relation = _parsed(name, text, file)
    statement = _statement(con, text, file)
    used = _refuse_unsteady(con, statement, file)
    _check_reads(relation.reads, used, {*known, name}, file)
    if not relation.columns:
        raise InputError(
            f"{file} declares no column: none in its last SELECT has a cast and a comment.",
            "each column of the last SELECT as `cast(... as bigint) as n_swipes, -- what it holds`, on its own line",
            f"write the columns of {file} in this form",
        )
    if wrong := [column.name for column in relation.columns if NAME.fullmatch(column.name) is None]:
        raise InputError(f"{file} has a column {wrong[0]}.", "lower-case letters, digits and _", f"rename it in {file}")
    if foreign := [column for column in relation.columns if column.type.removesuffix("[]") not in _TYPES]:
        raise InputError(
            f"{file} has the column {foreign[0].name} of type {foreign[0].type}.",
            f"one of {_some(sorted(_TYPES))}, or a list of it such as varchar[]",
            f"cast it in {file}",
        )
    if not relation.keys and relation.grain not in ("one row", "none"):
        raise InputError(
            f"{file} has the grain {relation.grain!r}.",
            f"columns that are unique together, of {_some(column.name for column in relation.columns)}; or `one row`",
            f"-- grain:  {relation.columns[0].name}",
        )
    if relation.time.startswith("[valid_from, valid_to)"):
        held = {column.name: column.type for column in relation.columns}
        if held.get("valid_from") != "timestamp" or held.get("valid_to") != "timestamp":
            raise InputError(
                f"{file} has the time [valid_from, valid_to), and does not declare both columns as timestamp.",
                "`cast(... as timestamp) as valid_from, -- what it holds`, on its own line, and the same for valid_to",
                f"write them so in {file}, or write another time",
            )
    parameters = tuple(sorted(statement.named_parameters))
    if bad := [one for one in parameters if one not in relation.defaults and one not in _LABEL_OPTIONS]:
        raise InputError(
            f"{file} uses ${bad[0]}, which has no value.",
            "a default in the header, or the name of a label option",
            f"-- parameters: {bad[0]} = 28",
        )
    if unused := [one for one in relation.defaults if one not in parameters]:
        raise InputError(f"{file} gives {unused[0]} a value and does not use it.", f"${unused[0]} in the SELECT", "")
    sums = None
    if relation.additive:
        from photogenic.warehouse.definitions.additive import check_additive

        sums = check_additive(relation, relation.additive, file)
    return Definition(replace(relation, parameters=parameters), statement.query, parameters, sums)


def check_audit(con: duckdb.DuckDBPyConnection, name: str, text: str, known: Collection[str]) -> Audit:
    """Check the file of an audit.

    Raises:
        InputError: the file breaks a rule; the message names the file, the rule and what to do.
    """
    check_name(con, name, "audits")
    file = f"audits/{name}.sql"
    try:
        audit = read_audit(name, text, file)
    except ValueError as error:
        raise InputError(
            f"{error}.", f"-- {name}: what must hold\n--\n-- reads: the relations in it", f"write it into {file}"
        ) from error
    statement = _statement(con, text, file)
    used = _refuse_unsteady(con, statement, file)
    _check_reads(audit.reads, used, known, file)
    if statement.named_parameters:
        raise InputError(f"{file} has parameters.", "an audit without parameters", f"write the values into {file}")
    return Audit(name, audit.promise, audit.reads, statement.query)


def parameter_values(definition: Definition, given: Mapping[str, Any], options: LabelOptions) -> dict[str, Any]:
    """Return the value of each parameter: of the project, else the default, else the label option.

    Raises:
        InputError: a value has another type than the default, or belongs to no parameter.
    """
    name, defaults = definition.name, definition.relation.defaults
    if unknown := sorted(set(given) - set(definition.parameters)):
        raise InputError(
            f"[parameters.{name}] gives {unknown[0]} a value.",
            f"one of {_some(definition.parameters)}" if definition.parameters else "a relation with parameters",
            "remove the line from photogenic.toml",
        )
    values = {}
    for one in definition.parameters:
        value = given.get(one, defaults.get(one, getattr(options, one, None)))
        default = defaults.get(one)
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        if default is not None and type(value) is not type(default):
            raise InputError(
                f"[parameters.{name}] gives {one} the value {value!r}.",
                f"a value like the default {default!r}",
                "change the line in photogenic.toml",
            )
        values[one] = value
    return values


def values_json(values: Mapping[str, Any]) -> str:
    """Write parameters as JSON, dates and instants in ISO 8601."""
    return json.dumps(
        {name: value.isoformat() if isinstance(value, dt.date | dt.time) else value for name, value in values.items()},
        sort_keys=True,
    )


def _parsed(name: str, text: str, file: str) -> Relation:
    try:
        return parse(name, text)
    except ValueError as error:
        what = str(error).replace(f"sql/{name}.sql", file)
        form = _FORM.replace("NAME", name)
        raise InputError(f"{what}.", f"a header of this form:\n{form}", f"write it at the top of {file}") from error


def _statement(con: duckdb.DuckDBPyConnection, text: str, file: str) -> duckdb.Statement:
    if "\0" in text:
        raise InputError(f"{file} has a zero byte.", "SQL as text", f"write {file} again")
    try:
        return parse_read_only(con, text, _OF_VECTORS)
    except PhotogenicError as error:
        raise InputError(f"{file}: {error.what}", error.expected, f"one SELECT that only reads, in {file}") from error
    except duckdb.Error as error:
        fact, _, place = str(error).partition("\n")
        raise InputError(
            f"{file}: {fact}", f"valid SQL at the mark\n{place.strip(chr(10))}", f"correct {file}"
        ) from error


def _refuse_unsteady(con: duckdb.DuckDBPyConnection, statement: duckdb.Statement, file: str) -> frozenset[str]:
    """Return the tables that a statement reads, unless something besides them decides about its rows."""
    used = used_names(con, statement)
    if used is None:
        raise InputError(f"{file} is no plain SELECT.", "one SELECT, without PIVOT, SHOW or EXPLAIN", f"correct {file}")
    unsteady = changing_functions(con) - {"error"} | _OUTSIDE
    found = sorted(name for name in used.functions if name in unsteady or name.startswith(_OUTSIDE_PREFIXES))
    found += sorted(unquoted_words(statement.query) & _OUTSIDE_WORDS)
    if used.is_sample:
        found.append("a random sample")
    if found:
        raise InputError(
            f"{file} uses {found[0]}, so its rows depend on more than the relations that it reads.",
            "rows that follow from these relations; the time is `as_of` or `observed_at` of the relation clock",
            f"read clock instead, in {file}",
        )
    if searches := sorted(used.table_functions & _OF_VECTORS):
        raise _of_vectors(file, f"the function {searches[0]}")
    if outside := sorted(used.table_functions - _TABLE_FUNCTIONS):
        raise InputError(
            f"{file} reads the function {outside[0]}.",
            f"relations, or {_some(sorted(_TABLE_FUNCTIONS))}",
            f"correct {file}",
        )
    return used.tables


def _check_reads(reads: tuple[str, ...], found: frozenset[str], known: Collection[str], file: str) -> None:
    """Compare `reads:` of the header with what the SELECT reads."""
    for name in sorted(found):
        lower = name.lower()
        if "." in name:
            expected = "names of relations without schema; the base tables in facts are internal and may change"
            raise InputError(f"{file} reads {name}.", expected, f"features sql --show {name.rpartition('.')[2]}")
        if lower in _ABOUT_BUILDS:
            raise InputError(
                f"{file} reads {lower}, which every build changes, so the relation would always be stale.",
                "relations of facts, labels, pictures or runs",
                f"query {lower} with `features sql`",
            )
        if lower not in known and lower.startswith("vectors_"):
            raise _of_vectors(file, lower)
        if lower not in known:
            near = difflib.get_close_matches(lower, sorted(known), n=3)
            raise InputError(
                f"{file} reads {name}, which is no relation.",
                f"a relation; similar names: {', '.join(near)}"
                if near
                else "a relation of the store or of the project",
                'features sql "show tables"',
            )
    read = {name.lower() for name in found}
    if (read or {"none"}) != set(reads) or len(reads) != len(set(reads)):
        wanted = ", ".join(sorted(read)) or "none"
        raise InputError(
            f"{file} says `reads: {', '.join(reads)}`.", f"reads: {wanted}", f"write it into the header of {file}"
        )


def _of_vectors(file: str, what: str) -> InputError:
    return InputError(
        f"{file} reads {what}, and vectors change without a build of relations.",
        "relations of facts, labels, pictures or runs",
        "query it with `features sql`, joined to the relation",
    )


def _some(names: Collection[str] | Any) -> str:
    return ", ".join(names)
