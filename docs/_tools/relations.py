"""docs/reference/relations.md, from the headers of the SQL files."""

from __future__ import annotations

from docs._tools.markdown import NOTE, code, sentence, table
from photogenic import sql
from photogenic.warehouse.catalog import Relation, relation
from photogenic.warehouse.labels.audits import audit_named
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.option_help import option_fields

INTRODUCTION = """\
# Relations

A relation is a table or a view that you query with SQL. `features sql "from like_ratios"` prints rows, and
`features sql --show like_ratios` prints the SQL that computes them. In Python,
[`FeatureStore.sql`](python.md#photogenic.store.FeatureStore.sql) returns them as a data frame.

- Ids are strings. Times are UTC with microseconds. An unknown gender is NULL and forms a group of its own.
- All relations are computed at one moment, the clock: facts that had happened by one instant, as far as they had
  arrived by another.
  `--as-of TIME` and `--known-at TIME` set it; see [Point in time](../explanation/point-in-time.md).
- Views of data exist in every store. Tables are computed by `features build`, in the order of this page; `photo_swipes`
  is a view of them and of the log.
- `information_schema.columns`, `duckdb_columns()` and `show tables` list these relations, each once. The base tables in
  the schema `facts` are internal.
- Readers use a published snapshot, `snapshot.duckdb`. They never wait for a writer and never block one."""


def page(_: str) -> str:
    """Return the page."""
    views, tables = [relation(name) for name in sql.VIEWS], [relation(name) for name in sql.RELATIONS]
    of_labels = [relation(name) for name in sql.VIEWS_OF_LABELS]
    parts = [
        NOTE,
        INTRODUCTION,
        "## All relations",
        _list("Views of ingested and recorded data:", views),
        _list("Computed tables:", tables),
        _list("Views of computed tables and of the log, which the first label build creates:", of_labels),
        "## Ingested and recorded data",
        *map(_section, views),
        "## Computed relations",
        *map(_section, [*tables, *of_labels]),
        "## Options of a label build",
        "These options of `features build` change labels. They are the fields of "
        "[`LabelOptions`](python.md#options-of-a-build).",
        table(
            ("option", "default", "meaning"),
            ((code(f.name), code(f.default), f.help.text) for f in option_fields(LabelOptions)),
        ),
        "## Audits",
        "An audit is a query that must return no rows. If it returns rows, the build fails and the former state stays.",
        "\n".join(f"- `{name}`: {audit_named(name).promise}." for name in sql.audits()),
    ]
    return "\n\n".join(parts) + "\n"


def _list(title: str, relations: list[Relation]) -> str:
    rows = ((f"[`{one.name}`](#{one.name})", sentence(one.summary)) for one in relations)
    return f"{title}\n\n{table(('relation', 'a row is'), rows)}"


def _section(one: Relation) -> str:
    known = set(sql.NAMES)
    reads = ", ".join(f"[`{name}`](#{name})" if name in known else code(name) for name in one.reads)
    facts = [f"- One row per: {one.grain}", f"- Reads: {reads}", f"- Time: {one.time}", f"- Source: {one.source}"]
    if one.parameters:
        facts.append(f"- Options: {', '.join(map(code, one.parameters))}")
    columns = table(("column", "type", "meaning"), ((code(c.name), c.type, c.comment) for c in one.columns))
    parts = [f"### {one.name}", sentence(one.summary), "\n".join(facts), one.notes, columns]
    return "\n\n".join(part for part in parts if part)
