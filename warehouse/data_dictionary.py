"""Write the data dictionary, sql/README.md, from the headers of the relations.

    python -m photogenic.warehouse.data_dictionary

A test fails while sql/README.md differs from the headers.
"""

from __future__ import annotations

from pathlib import Path

from photogenic import sql
from photogenic.warehouse.catalog import Relation, relation
from photogenic.warehouse.labels.audits import audit_named
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.option_help import option_fields

__all__ = ["PATH", "dictionary"]

PATH = Path(sql.__file__).with_name("README.md")

_INTRODUCTION = """\
# Relations for SQL queries

`python -m photogenic.warehouse.data_dictionary` writes this file from the headers of the SQL files beside it.
To change a sentence here, change it in the header. `features sql QUERY` runs a query; `features sql --show NAME`
prints the SQL of a relation.

Ids are strings. Times are UTC with microseconds. An unknown gender is NULL and forms a group of its own. All
relations are computed as of one instant, the clock (`features build --as-of T`): only facts that happened *and*
arrived before it count. Every file is one `select` in the subset of SQL that DuckDB and Spark share."""


def dictionary() -> str:
    """Return the text of sql/README.md."""
    parts = [
        _INTRODUCTION,
        "## Ingested and recorded data",
        "Views. A new store has them already.",
        *(_section(relation(name)) for name in sql.VIEWS),
        "## Computed relations",
        "Tables, in the order in which `features build` computes them.",
        *(_section(relation(name)) for name in sql.RELATIONS),
        "## Options of a label build",
        _options(),
        "## Audits",
        "An audit is a query that must return no rows. If it returns rows, the build fails and the former state stays.",
        "\n".join(f"- `{name}`: {audit_named(name).promise}." for name in sql.audits()),
    ]
    return "\n\n".join(parts) + "\n"


def _section(what: Relation) -> str:
    facts = [f"- one row per: {what.grain}", f"- reads: {', '.join(what.reads)}", f"- time: {what.time}"]
    facts.append(f"- source: {what.source}")
    if what.parameters:
        facts.append(f"- options: {', '.join(what.parameters)}")
    parts = [f"### {what.name}", _sentence(what.summary), "\n".join(facts)]
    if what.notes:
        parts.append(what.notes)
    rows = [f"| `{column.name}` | {column.type} | {_cell(column.comment)} |" for column in what.columns]
    parts.append("\n".join(["| column | type | |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _options() -> str:
    rows = [f"| `{f.name}` | {f.default} | {_cell(f.help.text)} |" for f in option_fields(LabelOptions)]
    return "\n".join(["| option | default | |", "|---|---|---|", *rows])


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    PATH.write_text(dictionary(), encoding="utf-8")
