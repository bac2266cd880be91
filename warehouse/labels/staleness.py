"""Why a relation is stale: which of its inputs, options and code differ from those of the build that computed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Catalog, Relation
from photogenic.warehouse.labels.fingerprints import Mark, State, digest_of
from photogenic.warehouse.lineage.sources import FILES

__all__ = ["changed_inputs", "reasons"]

_MOMENT = "the moment of the labels changed"


def reasons(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    what: Relation,
    former: State | None,
    state: State,
    *,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
) -> list[str]:
    """Return why a relation is computed again, as parts of a sentence; none: nothing changed, and it was asked for.

    Args:
        con: connection to the store.
        catalog: relations of the store.
        what: the relation as it is now.
        former: its state in the last build that computed it; None: there was none.
        state: its state now.
        before: values of its parameters then.
        now: values of its parameters now.
    """
    if former is None:
        return ["it was never computed"]
    found = [
        f"{name} is {now[name]}, and was {before[name]}"
        for name in what.parameters
        if name in before and before[name] != now[name]
    ]
    then = {name: before.get(name, now[name]) for name in what.parameters}
    if set(former.inputs) != set(state.inputs) or digest_of(what, then, former.inputs) != former.digest:
        found.append("its SQL changed")
    for source in changed_inputs(former, state):
        found += _of_source(con, catalog, source, former.inputs[source], state.inputs[source])
    return list(dict.fromkeys(found))


def changed_inputs(former: State | None, state: State) -> list[str]:
    """Return the relations and base tables that a relation reads, and that have changed since it was computed."""
    then = former.inputs if former is not None else {}
    return [source for source, digest in state.inputs.items() if source in then and then[source] != digest]


def _of_source(con: duckdb.DuckDBPyConnection, catalog: Catalog, source: str, then: str, now: str) -> list[str]:
    """Return what changed in one input."""
    if source == "clock":
        return [_MOMENT]
    if source in catalog.computed:
        return [f"{source} changed"]
    leaves, marks = _leaves(catalog, source), (then.split("; "), now.split("; "))
    if not len(leaves) == len(marks[0]) == len(marks[1]):
        return [f"{source} changed"]
    found = [
        _of_table(con, source, leaf, old, new) if leaf.startswith("facts.") else f"{source} changed: {leaf}"
        for leaf, old, new in zip(leaves, *marks, strict=True)
        if old != new
    ]
    return found or [f"{source} changed"]


def _of_table(con: duckdb.DuckDBPyConnection, source: str, table: str, then: str, now: str) -> str:
    """Return what changed in one base table of an input: the files that came in, if there are any."""
    mark, newer, kinds = Mark.from_text(then), Mark.from_text(now), FILES.get(table, ())
    if mark is not None and newer is not None and replace(mark, moment=newer.moment) == newer:
        return _MOMENT
    if mark is not None and kinds:
        query = """
            select count(*), coalesce(sum(n_new + n_corrected + n_retracted), 0)
            from facts.ingests where list_contains($1, kind)
            and case when $2 > 0 then batch > $2 else ingested_at > $3 end and n_new + n_corrected + n_retracted > 0
        """
        ((n_files, n_rows),) = con.execute(query, [list(kinds), mark.batch, mark.until]).fetchall()
        if n_files:
            files = "1 file" if n_files == 1 else f"{n_files:,} files"
            rows = "1 row" if n_rows == 1 else f"{n_rows:,} rows"
            return f"{source} changed: {files} came in with {rows} of {' and '.join(kinds)}"
    return f"{source} changed: rows of {table}"


def _leaves(catalog: Catalog, source: str) -> list[str]:
    """Return the base tables and computed relations that a view reads, in the order of its digest."""
    if source.startswith("facts.") or source in catalog.computed:
        return [source]
    reads = catalog.relation(source).reads if source in catalog.names else ()
    return [leaf for one in reads if one != "clock" for leaf in _leaves(catalog, one)]
