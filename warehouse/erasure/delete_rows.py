"""Remove people from every relation, and search for traces of them.

1. `select_erased` selects the users, photos, bytes, accounts and heads concerned, as temporary tables `gone_*`.
2. `delete_rows` deletes their rows, and redacts or corrects rows of other people that mention them.
3. `find_remains` searches every column of every table.

`Database.compact` then rewrites the file, since DuckDB does not overwrite the blocks that it frees.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import catalog_of
from photogenic.warehouse.erasure.id_words import CHUNK, IdWords, escape_re2, re2_patterns
from photogenic.warehouse.erasure.own_relations import OPTION_WORDS, definition_mentions, held_ids

__all__ = [
    "LEAST_BYTES",
    "ErasedRecords",
    "delete_rows",
    "find_mentions",
    "find_remains",
    "held_by_own_relations",
    "id_words",
    "known_users",
    "select_erased",
    "select_purged",
    "sought_ids",
    "unchanged_mentions",
]

LEAST_BYTES = 6
"""Least length of an id, in bytes, that is searched for within text and files: shorter ones occur there by chance."""

_OF_PHOTOS = frozenset({"photo_id", "neighbour_id"})
"""Columns that hold ids of photos, where the id of a user means nothing."""

_OF_USERS = frozenset({"user_id", "sender_id", "recipient_id"})
"""Columns that hold ids of users, where the id of a photo means nothing."""

_OF_NOBODY = frozenset({"event_id", "project_id"})
"""Columns of base tables with ids that are of nobody."""

_LINKED = {"other_id": "photo_id", "cluster_id": "photo_id"}
"""Columns of base tables that hold ids of photos, under names that own relations may give to other ids."""

_OF_MAIN_PHOTO = "user_id in (from gone_users) or photo_id in (from gone_photos)"
_OF_SWIPE = "sender_id in (from gone_users) or recipient_id in (from gone_users)"
_ROWS = {
    "users": "user_id in (from gone_users)",
    "photos": "photo_id in (from gone_photos)",
    "photo_files": "photo_id in (from gone_photos)",
    "main_photos": _OF_MAIN_PHOTO,
    "replaced_main_photos": _OF_MAIN_PHOTO,
    "retracted_main_photos": "user_id in (from gone_users) or event_id in (from gone_main_photos)",
    "swipes": _OF_SWIPE,
    "replaced_swipes": _OF_SWIPE,
    "retracted_swipes": f"{_OF_SWIPE} or event_id in (from gone_swipes)",
    "predictions": "photo_id in (from gone_photos)",
    "fetch_attempts": "photo_id in (from gone_photos)",
    "observations": (
        "kind = 'account' and object_id in (from gone_users) or kind = 'post' and object_id in (from gone_photos)"
    ),
    "crawl_targets": "user_id in (from gone_users) or target in (from gone_targets)",
    "faces": "photo_id in (from gone_photos)",
    "neighbours": "photo_id in (from gone_photos) or neighbour_id in (from gone_photos)",
    "near_duplicates": "photo_id in (from gone_photos) or other_id in (from gone_photos)",
}
"""Base table -> condition on the rows of erased people."""

_HISTORY = {
    *("photos", "main_photos", "replaced_main_photos"),
    *("photo_owners", "recipient_timeline", "photo_periods", "like_ratios"),
}
"""Relations that keep the id of a purged photo: whose it was, when it was deleted, and which swipes it received."""

_STRIP = """
update facts.photos
set path = null, url = null, posted_at = null, likes = null, hashtags = null
where photo_id in (from gone_photos)
"""

_TEXTS = {
    "rejects": ("raw", "detail", "source"),
    "ingests": ("source",),
    "source_positions": ("part", "position"),
    "fetch_attempts": ("detail",),
    "photo_files": ("detail",),
    "crawl_targets": ("detail", "cursor"),
    "runs": ("hyperparameters", "results"),  # values of slices
    "builds": ("options",),
    "own_relations": ("parameters", "built_parameters", "error"),
    "own_audits": ("error",),
}
"""Base table -> columns of free text that may mention erased people. `raw` and `detail` become NULL; in other columns
only the id is redacted. Hashtags that contain an id are removed from their lists.
"""

_WHOLE = {"raw", "detail"}
_JSON = {"hyperparameters", "results", "options", "parameters", "built_parameters", "position"}
_UNCHANGED = {"photos": ("path", "url"), "fetch_attempts": ("url",), "crawl_targets": ("target",)}
"""Base table -> columns that photos and crawls of other people need and that stay: paths, URLs, hashtags."""

_IDS = """
from (
    select unnest([user_id, photo_id]) as id from facts.photos
    union all select user_id from facts.users
    union all select unnest([user_id, photo_id]) from facts.main_photos
    union all select unnest([user_id, photo_id]) from facts.replaced_main_photos
    union all select unnest([sender_id, recipient_id]) from facts.swipes
    union all select unnest([sender_id, recipient_id]) from facts.replaced_swipes
    union all select object_id from facts.observations
)
select distinct id
"""


@dataclass(frozen=True, slots=True)
class ErasedRecords:
    """The records that an erase removes.

    Attributes:
        users: ids of the erased users.
        photos: ids of their photos.
        sha256s: digests of their images, without those that photos of other users share.
        targets: crawl targets that are their accounts.
        runs: run_id of each head trained on them -> number of erased users.
        kept_photos: run_ids of heads trained on their photos; some heads store vectors of training photos.
        purge: whether photos only are removed, of people who stay: the ids of these photos, their owners, the times
            when they were main photos, and the swipes that they received are kept. `runs` counts photos then.
    """

    users: tuple[str, ...]
    photos: tuple[str, ...]
    sha256s: tuple[str, ...]
    targets: tuple[str, ...]
    runs: dict[str, int]
    kept_photos: tuple[str, ...]
    purge: bool = False

    @property
    def mark(self) -> str:
        """Name of the number in the results of a head that was trained with what is removed."""
        return "trained_on_purged" if self.purge else "trained_on_erased"


def known_users(con: duckdb.DuckDBPyConnection, user_ids: Sequence[str]) -> set[str]:
    """Return those ids that occur as users in the warehouse."""
    rows = con.execute(sql.read("erase/known"), {"ids": list(user_ids)}).fetchall()
    return {user_id for (user_id,) in rows}


def select_erased(con: duckdb.DuckDBPyConnection, user_ids: Sequence[str]) -> ErasedRecords:
    """Create the temporary tables `gone_users`, `gone_photos`, ... (sql/erase/); return the rows that have ids."""
    con.execute("create or replace temp table gone_users as select unnest($1::varchar[]) as user_id", [list(user_ids)])
    for table in ("gone_photos", "gone_bytes", "gone_targets", "gone_swipes", "gone_main_photos"):
        con.execute(f"create or replace temp table {table} as {sql.read(f'erase/{table}')}")
    users, photos, sha256s, targets = (
        tuple(value for (value,) in con.execute(f"from {table} order by all").fetchall())
        for table in ("gone_users", "gone_photos", "gone_bytes", "gone_targets")
    )
    runs = con.execute(f"{sql.read('erase/gone_runs')} order by run_id").fetchall()
    return ErasedRecords(
        users, photos, sha256s, targets, {run_id: n for run_id, n, _ in runs}, tuple(r for r, _, own in runs if own)
    )


def select_purged(con: duckdb.DuckDBPyConnection, photo_ids: Sequence[str]) -> ErasedRecords:
    """Create the temporary tables of `select_erased` for photos of people who stay; return their rows."""
    con.execute("create or replace temp table gone_users (user_id varchar)")
    con.execute("create or replace temp table gone_targets (target varchar)")
    for table in ("gone_swipes", "gone_main_photos"):
        con.execute(f"create or replace temp table {table} (event_id varchar)")
    con.execute(
        "create or replace temp table gone_photos as select unnest($1::varchar[]) as photo_id", [list(photo_ids)]
    )
    con.execute(f"create or replace temp table gone_bytes as {sql.read('erase/gone_bytes')}")
    photos, sha256s = (
        tuple(value for (value,) in con.execute(f"from {table} order by all").fetchall())
        for table in ("gone_photos", "gone_bytes")
    )
    runs = con.execute(f"{sql.read('erase/purged_runs')} order by run_id").fetchall()
    return ErasedRecords(
        (), photos, sha256s, (), {run_id: n for run_id, n, _ in runs}, tuple(r for r, _, own in runs if own), purge=True
    )


def delete_rows(
    con: duckdb.DuckDBPyConnection, gone: ErasedRecords, runs_removed: Sequence[str] = ()
) -> dict[str, int]:
    """Delete rows and redact text in the open transaction, after `select_erased` or `select_purged`.

    Returns: number of rows by table, and of texts by `TABLE.COLUMN`.
    """
    counts = {}
    for table, theirs in _ROWS.items():
        if not (gone.purge and table in _HISTORY):
            counts[table] = _count(con, f"delete from facts.{table} where {theirs}")
    for table in _picture_tables(con):
        counts[table] = _count(con, f"delete from facts.{table} where sha256 in (from gone_bytes)")
    if gone.purge:
        counts["photos"] = _count(con, _STRIP)
    con.execute(
        """
        update facts.near_duplicates set cluster_id = renamed.least
        from (select cluster_id, min(photo_id) as least from facts.near_duplicates group by cluster_id) as renamed
        where near_duplicates.cluster_id = renamed.cluster_id and renamed.cluster_id in (from gone_photos)
        """
    )
    for table, column, kept in _mentions(con, gone):
        counts[f"{table}.{column}"] = counts.get(f"{table}.{column}", 0) + _replace(con, table, column, kept)
    for run_id, results in con.execute("select run_id, results from facts.runs").fetchall():
        if run_id in gone.runs:
            facts = json.loads(results)
            facts[gone.mark] = facts.get(gone.mark, 0) + gone.runs[run_id]
            if run_id in runs_removed:
                facts["weights"] = "removed"
            con.execute("update facts.runs set results = $1 where run_id = $2", [json.dumps(facts), run_id])
    return {what: n for what, n in counts.items() if n}


def _picture_tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The base tables of features of a picture, which have a row per image."""
    tables = "select table_name from system.main.duckdb_tables() where schema_name = 'facts'"
    found = con.execute(f"{tables} and starts_with(table_name, 'picture_') order by table_name").fetchall()
    return [name for (name,) in found]


def find_remains(con: duckdb.DuckDBPyConnection, gone: ErasedRecords) -> list[str]:
    """Return the columns that still hold or mention an erased id or digest, with the number of rows."""
    sought, found = sought_ids(con, gone), []
    for table, column, kept in _mentions(con, gone, renewed=True):
        found.append(f"facts.{table}.{column}: {len(kept)}")
    found += [f"{name}.{what}" for name, what in held_by_own_relations(con, gone).items()]
    own = {f'"main"."{name}"' for name in catalog_of(con).own}
    for table, column, is_list in _texts(con):
        if table in own:
            continue
        if gone.purge and table.replace('"', "").rpartition(".")[2] in _HISTORY and column == "photo_id":
            continue
        if column in {"sha256", "target"} or (column.endswith("_id") and column not in _OF_NOBODY):
            values = list(gone.sha256s) if column == "sha256" else sought(_LINKED.get(column, column))
            value = f"unnest({column})" if is_list else column
            n = _count(
                con,
                f"select count(*) from (select {value} as value from {table}) where value in (select unnest($1))",
                [values],
            )
            if n:
                found.append(f"{table}.{column}: {n}")
    return found


def sought_ids(con: duckdb.DuckDBPyConnection, gone: ErasedRecords) -> Callable[[str], list[str]]:
    """Return a function: name of a column -> the erased ids that must not be in it.

    A photo of another person may have the id of an erased user, and a user who stays that of an erased photo. Where the
    name does not tell whose ids a column holds, such ids are left out.
    """
    users, photos = {*gone.users}, {*gone.photos}
    others = {*users, *photos, *gone.targets} - _shared_ids(con, gone)

    def sought(column: str) -> list[str]:
        return sorted(photos if column in _OF_PHOTOS else users if column in _OF_USERS else others)

    return sought


def _shared_ids(con: duckdb.DuckDBPyConnection, gone: ErasedRecords) -> set[str]:
    """Return the ids of erased users that photos of others have too, and those of erased photos that users have."""
    users, photos = {*gone.users}, {*gone.photos}
    values = {"users": [*(users - photos)], "photos": [*(photos - users)]}
    return {id_ for (id_,) in con.execute(sql.read("erase/shared_ids"), values).fetchall()}


def held_by_own_relations(con: duckdb.DuckDBPyConnection, gone: ErasedRecords) -> dict[str, str]:
    """Return the user's own relations that hold an erased id: name -> column and number of rows."""
    words = id_words(con, gone)
    unchanged = {
        text
        for table, columns in _UNCHANGED.items()
        for column in columns
        for text, _ in _matching(con, table, column, words)
    }
    return held_ids(
        con,
        sought=sought_ids(con, gone),
        sha256s=list(gone.sha256s),
        long=_long_words(con, gone, but=_shared_ids(con, gone)),
        unchanged=unchanged,
        history=frozenset(_HISTORY) if gone.purge else frozenset(),
    )


def _long_words(con: duckdb.DuckDBPyConnection, gone: ErasedRecords, but: Collection[str] = ()) -> IdWords:
    """Return a matcher for the ids that are sought within definitions: long ones, which are no relation's name."""
    return id_words(con, gone, least=LEAST_BYTES, but={*sql.NAMES, *but})


def id_words(
    con: duckdb.DuckDBPyConnection, gone: ErasedRecords, *, least: int = 0, but: Collection[str] = ()
) -> IdWords:
    """Return a matcher for the erased ids of at least some bytes that skips longer ids of other people."""
    ids = sorted(id_ for id_ in {*gone.users, *gone.photos}.difference(but) if len(id_.encode()) >= least)
    longer: set[str] = set()
    for start in range(0, len(ids), CHUNK):
        pattern = "|".join(map(escape_re2, ids[start : start + CHUNK]))
        longer.update(id_ for (id_,) in con.execute(_IDS + "where regexp_matches(id, $1)", [pattern]).fetchall())
    return IdWords(ids, longer - {*ids})


def unchanged_mentions(con: duckdb.DuckDBPyConnection, gone: ErasedRecords) -> dict[str, int]:
    """Count the mentions that stay because photos of other people need them: `TABLE.COLUMN` -> number of rows."""
    words = id_words(con, gone)
    found: dict[str, int] = {}
    for table, columns in _UNCHANGED.items():
        for column in columns:
            n = sum(n for text, n in _matching(con, table, column, words) if words.has(text))
            found |= {f"{table}.{column}": n} if n else {}
    return found


def _mentions(
    con: duckdb.DuckDBPyConnection, gone: ErasedRecords, *, renewed: bool = False
) -> Iterator[tuple[str, str, dict[str, str | None]]]:
    """Yield base table, column, and for each text that mentions an erased id its replacement.

    Args:
        con: connection to the warehouse or the snapshot.
        gone: what is erased.
        renewed: whether own relations and audits ran without these people. A short id in their errors is then a number.
    """
    words, long = id_words(con, gone), _long_words(con, gone)
    yield from definition_mentions(con, words, long)
    for table, columns in _TEXTS.items():
        for column in columns:
            kept: dict[str, str | None] = {}
            ids = long if renewed and column == "error" else words
            for text, _ in _matching(con, table, column, ids):
                struck = ids.redact_json(text, OPTION_WORDS) if column in _JSON else ids.redact(text)
                if struck != text:
                    kept[text] = None if column in _WHOLE else struck
            if kept:
                yield table, column, kept
    kept = {text: None for text, _ in _matching(con, "photos", "hashtags", words) if words.is_one(text)}
    if kept:
        yield "photos", "hashtags", kept


def _matching(con: duckdb.DuckDBPyConnection, table: str, column: str, words: IdWords) -> list[tuple[str, int]]:
    """Return the distinct texts or list elements of a column that may mention an erased id, and how many rows."""
    value = f"unnest({column})" if column == "hashtags" else column
    found: dict[str, int] = {}
    for pattern in re2_patterns(words.ids):
        query = f"select value, count(*) from (select {value} as value from facts.{table})"
        found |= con.execute(f"{query} where regexp_matches(value, $1) group by value", [pattern]).fetchall()
    return sorted(found.items())


def _replace(con: duckdb.DuckDBPyConnection, table: str, column: str, kept: dict[str, str | None]) -> int:
    """Replace texts of a column, or remove elements of its lists. Returns the number of rows."""
    if column == "hashtags":
        gone = "list_filter(hashtags, lambda tag: not list_contains($1, tag))"
        return _count(con, f"update facts.{table} set hashtags = {gone} where list_has_any(hashtags, $1)", [[*kept]])
    con.execute(
        "create or replace temp table struck as select unnest($1::varchar[]) as old, unnest($2::varchar[]) as new",
        [[*kept], [*kept.values()]],
    )
    columns = ("raw", "detail") if column in _WHOLE and table == "rejects" else (column,)
    changes = ", ".join(f"{name} = struck.new" for name in columns)
    n = _count(con, f"update facts.{table} set {changes} from struck where {table}.{column} = struck.old")
    con.execute("drop table struck")
    return n


def find_mentions(con: duckdb.DuckDBPyConnection, ids: Sequence[str], *, themselves: bool = True) -> set[str]:
    """Return those ids that occur within a value of other people: a longer id, a path, a hashtag.

    Args:
        con: connection on the snapshot.
        ids: ids to look for.
        themselves: whether a value that is an id and nothing else counts.
    """
    found: set[str] = set()
    long = [id_ for id_ in ids if len(id_.encode()) >= LEAST_BYTES]
    for table, column, is_list in _texts(con):
        value = f"unnest({column})" if is_list else column
        for start in range(0, len(long), CHUNK):
            part = long[start : start + CHUNK]
            pattern = "|".join(map(escape_re2, part))
            query = f"select distinct value from (select {value} as value from {table}) where regexp_matches(value, $1)"
            for (text,) in con.execute(query, [pattern]).fetchall():
                found.update(id_ for id_ in part if id_ in text and (themselves or id_ != text))
    return found


def _texts(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str, bool]]:
    """Yield every text column of every table: quoted table, column, whether it is a list."""
    rows = con.execute(
        "select schema_name, table_name, column_name, data_type from system.main.duckdb_columns()"
        " join system.main.duckdb_tables() as tables using (database_name, schema_name, table_name)"
        " where not tables.internal and not tables.temporary"
        " and data_type in ('VARCHAR', 'VARCHAR[]') order by all"
    ).fetchall()
    for schema, table, column, kind in rows:
        yield f'"{schema}"."{table}"', column, kind.endswith("[]")


def _count(con: duckdb.DuckDBPyConnection, query: str, values: list[object] | None = None) -> int:
    ((n,),) = con.execute(query, values).fetchall()
    return int(n)
