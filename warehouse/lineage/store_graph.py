"""The graph of one store: files, base tables, relations, audits, vectors, indices, runs and training sets.

    with store.database.read() as con:
        graph = StoreGraph.of(con)
        graph.lineage("photo_labels.value")

Relations are connected by the `reads` of their headers, columns by `column_lineage`, which is called only for the
relations on the way. Names and details in the graph may be written by strangers.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Catalog, catalog_of
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.labels.audits import audit_named, read_audit
from photogenic.warehouse.labels.last_build import last_build
from photogenic.warehouse.lineage.columns import RelationColumns, column_lineage
from photogenic.warehouse.lineage.graph import Graph, Lineage, node_id
from photogenic.warehouse.lineage.sources import COMMANDS, FILES, RECORDS, TARGETS

__all__ = ["StoreGraph", "digest"]

_NEWEST = 5
"""Number of files of a kind that are named; the others are counted."""

_NAMED = 3
"""Number of columns that a detail names; the others are counted."""


@dataclass(slots=True)
class StoreGraph:
    """The graph of a store, and what is needed to add its columns.

    Attributes:
        catalog: the relations.
        columns: name of each relation and base table -> its columns.
        users: node of a run or training set -> the columns that it was made from, as `relation.column`.
    """

    catalog: Catalog
    columns: Mapping[str, tuple[str, ...]]
    graph: Graph = field(default_factory=Graph)
    users: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection, graph: Graph | None = None) -> StoreGraph:
        """Read the graph of the store of a connection.

        Args:
            con: connection to a store.
            graph: graph with nodes that know more than the store, such as the code of networks; they are kept.
        """
        catalog = catalog_of(con)
        query = (
            "select table_name, list(column_name order by column_index) from system.main.duckdb_columns()"
            " where schema_name = 'facts' and database_name = 'store' group by all order by all"
        )
        columns = {f"facts.{name}": tuple(held) for name, held in con.execute(query).fetchall()}
        columns |= {name: tuple(one.name for one in catalog.relation(name).columns) for name in catalog.names}
        made = cls(catalog, columns, graph or Graph())
        made._add_tables(con)
        made._add_files(con)
        made._add_relations(con)
        made._add_audits(con)
        made._add_vectors(con)
        made._add_runs(con)
        made._add_training_sets(con)
        made._add_commands(con)
        return made

    def lineage(self, name: str, *, up: bool = True, down: bool = True, depth: int | None = None) -> Lineage:
        """Return what something is made from, and what is made from it.

        Args:
            name: a relation, `relation.column`, `facts.TABLE`, `facts.TABLE.COLUMN`, an encoder, or a label option.
            up: whether to return what it is made from.
            down: whether to return what is made from it.
            depth: largest number of steps; None: no limit.

        Raises:
            InputError: there is nothing of this name.
        """
        relation, column = self._named(name)
        if column is None:
            return self.graph.lineage(relation, up=up, down=down, depth=depth)
        root = self._column(relation, column, is_root=True)
        if up:
            self._add_columns_above(relation, column)
        if down:
            self._add_columns_below(relation, column)
        return self.graph.lineage(root, up=up, down=down, depth=depth)

    def column_sources(self, relation: str) -> RelationColumns:
        """Return the lineage of every column of a relation, one step up."""
        what = self.catalog.relation(relation)
        return column_lineage(what, {name: self.columns.get(name, ()) for name in what.reads})

    def _named(self, name: str) -> tuple[str, str | None]:
        """Return the node of a name and None, or a relation and its column."""
        name = name.strip()
        if name in self.columns:
            return self.place(name), None
        holder, _, column = name.rpartition(".")
        if holder in self.columns:
            if column in self.columns[holder]:
                return holder, column
            near = difflib.get_close_matches(column, self.columns[holder], n=3)
            raise InputError(
                f"{holder} has no column {column!r}.",
                f"perhaps {' or '.join(near)}" if near else f"one of {', '.join(self.columns[holder])}",
                f"features lineage {holder}.{near[0]}" if near else f"features lineage {holder}",
            )
        for kind in ("option", "encoder", "audit", "training set"):
            if node_id(kind, name) in self.graph.nodes:
                return node_id(kind, name), None
        if (unbuilt := holder or name) in self.catalog.unbuilt:
            raise InputError(
                f"The relation {unbuilt} has no rows yet: {self.catalog.unbuilt[unbuilt].splitlines()[0]}",
                "a relation that a build computed",
                "features build --only labels",
            )
        known = [
            *self.columns,
            *(node.name for node in self.graph.nodes.values() if node.kind in ("option", "encoder")),
        ]
        near = difflib.get_close_matches(holder or name, known, n=3)
        raise InputError(
            f"There is no relation {holder or name!r} in this store.",
            f"a relation or relation.column; similar names: {', '.join(near)}"
            if near
            else "a relation or relation.column",
            f"features lineage {near[0]}" if near else 'features sql "show tables"',
        )

    def place(self, name: str) -> str:
        """Return the id of the node of a relation or base table."""
        return node_id("table" if name.startswith("facts.") else "relation", name)

    # The parts of the graph, each added once.

    def _add_tables(self, con: duckdb.DuckDBPyConnection) -> None:
        names = [name for name in self.columns if name.startswith("facts.")]
        counts = " union all ".join(f"select '{name}' as name, count(*) as n from {name}" for name in names)
        for name, n in con.execute(counts).fetchall():
            self.graph.add("table", name, detail=_n(n, "row"), n=n)

    def _add_commands(self, con: duckdb.DuckDBPyConnection) -> None:
        """Link the commands that recorded their use, and for a table without another input those that fill it."""
        used = {RECORDS[name] for name in RECORDS if con.execute(f"select 1 from {name} limit 1").fetchall()}
        for table, commands in COMMANDS.items():
            is_bare = not any(self.graph.inputs(f"table:{table}")) and table not in FILES
            for command in commands:
                if command in used or is_bare:
                    node = self.graph.add("command", command, detail="rows that come from no file")
                    self.graph.link(node, f"table:{table}")

    def _add_files(self, con: duckdb.DuckDBPyConnection) -> None:
        for kind, n, new, corrected, retracted, known, refused in con.execute(_KINDS).fetchall():
            detail = (
                f"{_n(n, 'file')}: {new:,} new rows, {corrected:,} corrected, {retracted:,} retracted, "
                f"{known:,} known, {refused:,} refused"
            )
            files = self.graph.add("files", f"files of {kind}", detail=detail, n=n)
            for table, kinds in FILES.items():
                if kind in kinds and table in self.columns:
                    self.graph.link(files, f"table:{table}")
            newest = con.execute(_FILES, [kind, _NEWEST]).fetchall()
            for number, source, read, sha256 in newest:
                file = self.graph.add(
                    "file", f"{source} ({number})", detail=f"{_n(read, 'row')} read", digest=sha256[:16]
                )
                self.graph.link(file, files)
            if n > len(newest):
                older = self.graph.add("file", f"{n - len(newest)} older files of {kind}", detail="relation ingests")
                self.graph.link(older, files)

    def _add_relations(self, con: duckdb.DuckDBPyConnection) -> None:
        last = last_build(con)
        values = last.options.recorded() if last is not None else {}
        for name in self.catalog.names:
            what = self.catalog.relation(name)
            node = self._relation(name)
            for source in what.reads:
                if source != "none":
                    self.graph.link(self._reading(source), node)
            for parameter in what.parameters:
                self.graph.link(self._option(name, parameter, values), node)

    def _reading(self, source: str) -> str:
        """Return the node of something that SQL reads; a table that the store lacks gets one as well."""
        if source in self.columns:
            return self.place(source) if source.startswith("facts.") else self._relation(source)
        return self.graph.add(
            "table" if source.startswith("facts.") else "relation", source, detail="not in this store"
        )

    def _relation(self, name: str) -> str:
        what = self.catalog.relation(name)
        return self.graph.add("relation", name, detail=what.summary, code=self._code(name), digest=digest(what.text))

    def _code(self, name: str) -> str:
        if name not in self.catalog.own:
            return f"sql/{name}.sql"
        return f"relations/{name}.sql" if self.catalog.kinds.get(name) == "sql" else "features.py"

    def _option(self, relation: str, parameter: str, values: Mapping[str, Any]) -> str:
        own = self.catalog.values.get(relation, {})
        if parameter in values and parameter not in own:
            return self.graph.add("option", parameter, detail=f"{values[parameter]} in the last build")
        given = f"{own[parameter]} in the last build" if parameter in own else "default"
        name = parameter if relation not in self.catalog.own else f"{relation}.{parameter}"
        return self.graph.add("option", name, detail=given)

    def _add_audits(self, con: duckdb.DuckDBPyConnection) -> None:
        for name in sql.audits():
            audit = audit_named(name)
            node = self.graph.add(
                "audit", name, detail=audit.promise, code=f"sql/audits/{name}.sql", digest=digest(audit.text)
            )
            for source in audit.reads:
                self.graph.link(self._reading(source), node)
        for name, text in con.execute("select audit, definition from facts.own_audits order by audit").fetchall():
            file = f"audits/{name}.sql"
            promise, reads = _header_of_audit(name, text, file)
            node = self.graph.add("audit", name, detail=promise, code=file, digest=digest(text))
            for source in reads:
                self.graph.link(self._reading(source), node)

    def _add_vectors(self, con: duckdb.DuckDBPyConnection) -> None:
        graph = self.graph
        query = (
            "select encoder, dim, n_photos, input, weights_sha256, index_kind from facts.embeddings order by encoder"
        )
        for name, dim, n, given, sha256, kind in con.execute(query).fetchall():
            vectors = self._vectors(name, f"{_n(n, 'vector')} of {dim:,} numbers", n)
            encoder = graph.add("encoder", name, detail=f"network of {given}s", digest=sha256[:16])
            graph.link(encoder, vectors)
            graph.link("table:facts.photo_files", vectors)
            if given == "face":
                graph.link("table:facts.faces", vectors)
            graph.link(vectors, "table:facts.embeddings")
            if kind is not None:
                graph.link(vectors, graph.add("index", name, detail=kind))
        for name, k in con.execute("select encoder, k from facts.neighbour_sets order by encoder").fetchall():
            index = graph.add("index", name, detail=f"the nearest {k} photos of each photo")
            graph.link(self._vectors(name), index)
            graph.link(index, "table:facts.neighbours")
        graph.link("table:facts.photo_files", "table:facts.near_duplicates")
        graph.link("table:facts.photo_files", "table:facts.faces")
        for name in self.columns:
            if name.startswith("facts.picture_"):
                graph.link("table:facts.photo_files", f"table:{name}")

    def _vectors(self, encoder: str, detail: str = "not in this store any more", n: int | None = None) -> str:
        return self.graph.add("vectors", encoder, detail=detail, n=n)

    def _add_runs(self, con: duckdb.DuckDBPyConnection) -> None:
        for target, encoder, origin, n, newest, described in con.execute(_RUNS).fetchall():
            node = self.graph.add(
                "runs",
                f"{target} by {encoder}" if encoder else target,
                detail=f"{_n(n, 'run')}, {origin}; the newest at {newest:%Y-%m-%d %H:%M}",
                n=n,
            )
            columns = [*TARGETS.get(target, (target,)), "photo_setups.setup", "photo_setups.split"]
            for text in described:
                columns += _inputs(text)
            encoders = [one for one in (encoder or "").split("+") if one not in ("", "none")]
            self._add_user(node, columns, encoders if origin == "trained" else [])
            self.graph.link(node, "table:facts.runs")
            self.graph.link(node, "table:facts.predictions")

    def _add_training_sets(self, con: duckdb.DuckDBPyConnection) -> None:
        query = (
            "select name, version, entity, at_column, target, features, n_rows, created_at from facts.training_sets"
            " order by name, version"
        )
        for name, version, entity, at_column, target, features, n, created in con.execute(query).fetchall():
            node = self.graph.add(
                "training set", f"{name} v{version}", detail=f"{_n(n, 'row')}, frozen at {created:%Y-%m-%d %H:%M}", n=n
            )
            columns = [f"{entity}.{at_column}" if at_column else f"{entity}.*", *TARGETS.get(target, (target,))]
            columns += [one for one in features if "." in one and not one.startswith("timm:")]
            self._add_user(node, columns, [one for one in features if one not in columns])
            self.graph.link(node, "table:facts.training_sets")

    def _add_user(self, node: str, columns: Sequence[str], encoders: Sequence[str]) -> None:
        """Link a run or training set to the relations and vectors that it was made from."""
        named = []
        for one in dict.fromkeys(columns):
            relation, _, column = one.rpartition(".")
            if relation in self.columns:
                self.graph.link(self._reading(relation), node)
                wanted = self.columns[relation] if column == "*" else (column,)
                named += [f"{relation}.{each}" for each in wanted]
        for encoder in encoders:
            self.graph.link(self._vectors(encoder), node)
        self.users[node] = tuple(named)

    # Columns are added when one of them is asked for.

    def _column(self, relation: str, column: str, *, is_root: bool = False) -> str:
        if relation.startswith("facts."):
            return self.graph.add("column", f"{relation}.{column}", detail="as it arrived")
        what = self.catalog.relation(relation)
        (comment,) = [one.comment for one in what.columns if one.name == column] or [""]
        found = self.column_sources(relation)
        detail = "; ".join(filter(None, [comment, _chosen_by(found) if is_root else "", found.problem]))
        return self.graph.add(
            "column", f"{relation}.{column}", detail=detail, code=self._code(relation), digest=digest(what.text)
        )

    def _add_columns_above(self, relation: str, column: str) -> None:
        queue, seen = [(relation, column)], {(relation, column)}
        while queue:
            relation, column = queue.pop(0)
            node = self._column(relation, column)
            if relation.startswith("facts."):
                for source in list(self.graph.inputs(f"table:{relation}")):
                    self.graph.link(source, node)
                continue
            found = self.column_sources(relation).values[column]
            for one in found.columns:
                self.graph.link(self._column(*one), node)
                if one not in seen:
                    seen.add(one)
                    queue.append(one)
            for name in found.rows:
                self.graph.link(self._reading(name), node)
            for parameter in found.parameters:
                self.graph.link(self._option(relation, parameter, {}), node)

    def _add_columns_below(self, relation: str, column: str) -> None:
        queue, seen = [(relation, column)], {(relation, column)}
        while queue:
            relation, column = source = queue.pop(0)
            node = self._column(relation, column)
            for reader in self._readers(relation):
                found = self.column_sources(reader)
                made = [(reader, name) for name, sources in found.values.items() if source in sources.columns]
                for one in made:
                    self.graph.link(node, self._column(*one))
                    if one not in seen:
                        seen.add(one)
                        queue.append(one)
                if source in found.choosing:
                    self.graph.link(node, self._reading(reader))
            for user, columns in self.users.items():
                if f"{relation}.{column}" in columns:
                    self.graph.link(node, user)

    def _readers(self, relation: str) -> Iterator[str]:
        """Return the relations that read a relation or base table."""
        for node in list(self.graph.uses(self.place(relation))):
            kind, _, name = node.partition(":")
            if kind == "relation" and name in self.columns:
                yield name


_KINDS = """
    select kind, count(*), sum(n_new)::bigint, sum(n_corrected)::bigint, sum(n_retracted)::bigint, sum(n_known)::bigint,
        sum(n_refused)::bigint
    from facts.ingests group by kind order by kind
"""
_FILES = "select batch, source, n_read, sha256 from facts.ingests where kind = $1 order by batch desc limit $2"
_RUNS = """
    select target, encoder, origin, count(*), max(created_at), list(distinct hyperparameters order by hyperparameters)
    from facts.runs group by target, encoder, origin order by target, encoder, origin
"""


def digest(text: str) -> str:
    """Return 16 hex digits that identify a text of code."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _inputs(hyperparameters: str) -> list[str]:
    """Return the columns that a run reads beside its vectors, and the one of its weights, as `relation.column`."""
    values = json.loads(hyperparameters)
    names = [one.get("name") if isinstance(one, dict) else one for one in values.get("inputs") or ()]
    return [one for one in (*names, values.get("weight")) if isinstance(one, str) and "." in one]


def _header_of_audit(name: str, text: str, file: str) -> tuple[str, tuple[str, ...]]:
    """Return what an audit of the user's own promises and reads; nothing, if its file was refused."""
    try:
        audit = read_audit(name, text, file)
    except ValueError:
        return "", ()
    return audit.promise, tuple(read for read in audit.reads if read != "none")


def _chosen_by(found: RelationColumns) -> str:
    names = [f"{relation}.{column}" for relation, column in found.choosing]
    if not names or found.problem is not None:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"its rows are chosen by {', '.join(names[:_NAMED])}{more}"


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
