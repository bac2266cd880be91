"""Export items: each is compared with what lies at the address, and is written if it differs.

The digest of an item is that of its rows, in any order, and of everything that shapes what is written. Rows of computed
relations have a checksum in the store; of all others it is computed, which takes a fraction of the time of writing.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version as version_of
from typing import Any

from photogenic._lazy import pa
from photogenic.warehouse import Store, StoreError
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.duckdb_store.interrupt import is_interrupt
from photogenic.warehouse.duckdb_store.query import Cursor, stream
from photogenic.warehouse.erasure.tombstones import count_erasures
from photogenic.warehouse.errors import ConflictError, InputError, PhotogenicError
from photogenic.warehouse.export.folder import MOST_PARTITIONS
from photogenic.warehouse.export.options import ExportOptions
from photogenic.warehouse.export.shapes import checked
from photogenic.warehouse.export.snapshot import pinned
from photogenic.warehouse.export.targets import format_of, name_of, open_writer
from photogenic.warehouse.export.writer import NULL, Exported, Target, Writer, check_table
from photogenic.warehouse.filesystems import clear_errors
from photogenic.warehouse.labels.fingerprints import read_states
from photogenic.warehouse.moment import EVERYTHING, Moment
from photogenic.warehouse.sql_guard.rewrite import strip_semicolon

__all__ = ["Source", "export", "relations_of"]

_VERSION = 1
"""Part of every digest: another number writes everything again."""

_BATCH = 65_536
_NO_PARTITION = re.compile(r"[^\w .-]")
_PARTITION_TYPES = re.compile(
    r"U?(?:TINY|SMALL|BIG)?INT|U?INTEGER|BOOLEAN|VARCHAR|DATE|ENUM\(.*\)"  # of DuckDB
    r"|u?int\d+|bool|string|date32\[day\]|dictionary<.*>",  # of Arrow
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Source:
    """What is exported.

    Attributes:
        item: its name, as it was given.
        table: name of its folder or table, unless the options give another one.
        query: SELECT of its rows; empty: they come from `reader`.
        params: values of the parameters of the query.
        relation: the relation that the query reads as a whole; empty: another query.
        reader: opens the stream of rows that lie elsewhere.
        digest, n_rows: of the rows of `reader`.
        about: facts of them for the metadata.
    """

    item: str
    table: str
    query: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    relation: str = ""
    reader: Callable[[], pa.RecordBatchReader] | None = None
    digest: str = ""
    n_rows: int = 0
    about: Mapping[str, str] = field(default_factory=dict)


def export(store: Store, sources: Sequence[Source], to: str, options: ExportOptions, moment: Moment) -> list[Exported]:
    """Write the items to an address, those whose content is not there yet.

    Args:
        store: the open store, or the store of another moment.
        sources: what is exported.
        to: folder or address.
        options: how it is written.
        moment: the moment of the store, for the metadata.

    Raises:
        InputError: the address cannot be written, holds something else, or a column cannot be exported.
        StoreError: there is no store, people were erased meanwhile, or another export writes to the folder.
    """
    _check(sources, options)
    options = replace(options, format=format_of(to, options))
    at = {
        name: f"{instant.isoformat()}Z"
        for name, instant in (("as_of", moment.as_of), ("known_at", moment.known_at))
        if instant < EVERYTHING
    }
    name, erasures = name_of(to), count_erasures(store.layout)
    text = " ".join(
        [source.query for source in sources] + [str(value) for one in sources for value in one.params.values()]
    )
    with (
        pinned(store.database, text) as db,
        _errors(name),
        contextlib.closing(open_writer(to, options, store.database.settings.lock_timeout_s)) as writer,
        store.progress.stage("export", len(sources), "items") as advance,
    ):
        done, targets = list[Exported](), list[Target]()
        run = _Run(db, writer, options, at, {} if at else _known(db))
        for source in sources:
            target, found = run.export(source)
            done.append(found)
            targets.append(target)
            advance(1)
        if count_erasures(store.layout) != erasures:
            raise StoreError(
                "People were erased from the store while it was exported.",
                "a store without a running erase",
                "run the same command again: it exports the store without them",
            )
        writer.publish()
        if options.verify:
            for target in targets:
                writer.verify(target)
    return done


@contextlib.contextmanager
def _errors(name: str) -> Iterator[None]:
    """Report errors of file systems as ours; an interrupt stays one."""
    try:
        with clear_errors(name, "written"):
            yield
    except PhotogenicError as error:
        if isinstance(error.__cause__, Exception) and is_interrupt(error.__cause__):
            raise error.__cause__ from None
        raise


def relations_of(names: Sequence[str], known: Sequence[str]) -> list[Source]:
    """Return the relations of these names; `all` is every relation.

    Raises:
        InputError: there is no relation of a name.
    """
    found = dict[str, Source]()
    by_name = {name.lower(): name for name in known}
    for given in names:
        chosen = list(known) if given == "all" else [by_name.get(given.lower(), "")]
        if not chosen[0]:
            near = difflib.get_close_matches(given.lower(), by_name, 3)
            raise InputError(
                f"There is no relation {given[:80]!r}.",
                f"one of {', '.join(near)}" if near else "all, a relation, training-set:NAME or --query",
                "features sql 'show tables'",
            )
        for name in chosen:
            found[name] = Source(item=name, table=name, query=f'select * from "{name}"', relation=name)
    return list(found.values())


def _check(sources: Sequence[Source], options: ExportOptions) -> None:
    if not sources:
        raise ConflictError(
            "Nothing was named to export.",
            "relations, training-set:NAME or --query",
            "features export photo_labels --to FOLDER",
        )
    if options.table is not None and len(sources) > 1:
        raise ConflictError(
            f"--table names one table, and {len(sources)} items are exported.", "one item", "leave out --table"
        )
    names = [check_table(options.table or source.table).lower() for source in sources]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConflictError(f"Two items would be called {twice[0]}.", "one item of each name", "export them one by one")


def _known(db: Database) -> dict[str, tuple[int, str]]:
    """Number of rows and checksum of the computed relations."""
    with db.read() as con:
        return {name: (state.n_rows, state.checksum) for name, state in read_states(con).items()}


@dataclass(frozen=True, slots=True)
class _Run:
    """One export.

    Attributes:
        at: the instants of its moment, by name; empty: now.
        known: number of rows and checksum of computed relations.
    """

    db: Database
    writer: Writer
    options: ExportOptions
    at: Mapping[str, str]
    known: Mapping[str, tuple[int, str]]

    def export(self, source: Source) -> tuple[Target, Exported]:
        """Write one item, unless it lies there already."""
        target, keys = self._target(source)
        if (held := self.writer.held(target, self.options)) is not None:
            return target, held
        kept = set(self.writer.held_partitions(target, self.options)) if keys else set[str]()
        target = replace(target, kept=kept)
        if source.reader is not None:
            return target, self.writer.write(checked(source.reader()), target, self.options)
        changed = [key for name, key in keys.items() if name not in kept] if kept else None
        with _rows(self.db, source, self.options.partition or (), changed) as cursor:
            return target, self.writer.write(checked(cursor.batches(_BATCH)), target, self.options)

    def _target(self, source: Source) -> tuple[Target, dict[str, list[str]]]:
        """Return where an item goes, with its digests, and the texts of the values of each partition."""
        options, partition = self.options, tuple(self.options.partition or ())
        partitions, keys = dict[str, str](), dict[str, list[str]]()
        columns = _columns(self.db, source)
        _check_columns(source, columns, partition)
        shape = [_VERSION, options.format, partition, options.max_rows_per_file, dict(self.at), source.item, columns]
        names = [name for name, _ in columns]
        if source.reader is not None:
            n_rows, content = source.n_rows, source.digest
        elif partition:
            n_rows, counted = _count_partitions(self.db, source, names, partition)
            keys = {name: key for name, (key, _) in counted.items()}
            partitions = {name: _digest([*shape, name, one]) for name, (_, one) in counted.items()}
            content = _digest(sorted(partitions.items()))
        elif source.relation in self.known:
            n_rows, content = self.known[source.relation]
        else:
            n_rows, content = _count(self.db, source, names)
        digest = _digest([*shape, n_rows, content])
        facts = {
            "item": source.item,
            "version": version_of("photogenic"),
            "rows": str(n_rows),
            "digest": digest,
            **self.at,
            **source.about,
        }
        about = {f"photogenic.{name}": value for name, value in facts.items()}
        return Target(options.table or source.table, source.item, digest, n_rows, about, partitions), keys


def _columns(db: Database, source: Source) -> list[tuple[str, str]]:
    """Names and types of the columns."""
    if source.reader is not None:
        with source.reader() as reader:
            return [(column.name, str(column.type)) for column in reader.schema]
    with stream(db, source.query, dict(source.params)) as cursor:
        return list(zip(cursor.columns, cursor.types, strict=True))


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _check_columns(source: Source, columns: Sequence[tuple[str, str]], partition: Sequence[str]) -> None:
    """Refuse columns that no file format keeps apart, and columns that cannot be names of folders."""
    names = [name.lower() for name, _ in columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"{source.item} has two columns called {twice[0]}.",
            "columns with different names",
            f"select ... as {twice[0]}_2",
        )
    kinds = dict(columns)
    for name in partition:
        if name not in kinds:
            raise InputError(
                f"{source.item} has no column {name[:80]!r} for --partition.",
                f"one of {', '.join(kinds)}",
                f"--partition {next(iter(kinds))}",
            )
        if not _PARTITION_TYPES.fullmatch(kinds[name]) or _NO_PARTITION.search(name):
            raise InputError(
                f"--partition {name} is a column of type {kinds[name]}.",
                "a column of texts, whole numbers, dates or true and false",
                f"--query \"select *, strftime({name}, '%Y-%m') as month from {source.item}\" --partition month",
            )
    if len(partition) == len(columns):
        raise InputError(
            f"--partition names every column of {source.item}.", "a column that stays in the files", "leave one out"
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _count(db: Database, source: Source, columns: Sequence[str]) -> tuple[int, str]:
    """Return the number of rows, and a checksum of them that does not depend on their order."""
    names = ", ".join(map(_quoted, columns))
    query = (
        f"select count(*), cast(coalesce(sum(hash({names})), 0) as varchar)"
        f" from (\n{strip_semicolon(source.query)}\n) as exported"
    )
    with stream(db, query, dict(source.params)) as cursor:
        ((n_rows, total),) = cursor.rows()
    return int(str(n_rows)), f"{int(str(total)) % 2**64:016x}"


def _count_partitions(
    db: Database, source: Source, columns: Sequence[str], partition: Sequence[str]
) -> tuple[int, dict[str, tuple[list[str], list[str]]]]:
    """Return the number of rows, and of each partition the texts of its values and its number and checksum of rows."""
    names = ", ".join(map(_quoted, columns))
    query = (
        f"select {_key(partition)}, count(*), cast(sum(hash({names})) as varchar)"
        f" from (\n{strip_semicolon(source.query)}\n) as exported group by all limit {MOST_PARTITIONS + 1}"
    )
    total, found = 0, dict[str, tuple[list[str], list[str]]]()
    with stream(db, query, dict(source.params)) as cursor:
        for values, n_rows, checksum in cursor.rows():
            key = [NULL if value is None else str(value) for value in values]  # type: ignore[attr-defined]
            for name, value, text in zip(partition, values, key, strict=True):  # type: ignore[call-overload]
                if value is not None and (text in ("", NULL) or ("/" in text and len(partition) > 1)):
                    raise InputError(
                        f"The column {name} has the text {text!r}, which is no name of a folder.",
                        "texts that are not empty and have no NUL",
                        f"a --query in which {name} has other texts",
                    )
            name = "/".join(f"{column}={text}" for column, text in zip(partition, key, strict=True))
            found[name] = (key, [str(n_rows), f"{int(str(checksum)) % 2**64:016x}"])
            total += int(str(n_rows))
    if len(found) > MOST_PARTITIONS:
        raise InputError(
            f"--partition {' --partition '.join(partition)} gives more than {MOST_PARTITIONS:,} folders.",
            f"at most {MOST_PARTITIONS:,}",
            "a column with fewer values, such as a month",
        )
    return total, found


def _key(partition: Sequence[str]) -> str:
    return f"[{', '.join(f'cast({_quoted(name)} as varchar)' for name in partition)}]"


@contextlib.contextmanager
def _rows(
    db: Database, source: Source, partition: Sequence[str], changed: Sequence[Sequence[str]] | None
) -> Iterator[Cursor]:
    """Yield the rows of some partitions; None: all."""
    query, params = source.query, dict(source.params)
    if changed is not None:
        key = f"[{', '.join(f'coalesce(cast({_quoted(name)} as varchar), {NULL!r})' for name in partition)}]"
        query = (
            f"select * from (\n{strip_semicolon(query)}\n) as exported"
            f" where {key} in (select unnest(cast(cast($_changed as json) as varchar[][])))"
        )
        params["_changed"] = json.dumps([list(one) for one in changed])
    with stream(db, query, params) as cursor:
        yield cursor
