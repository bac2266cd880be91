"""The data dictionary: sql/README.md, written from the headers of the relations.

python -m photogenic.warehouse.data_dictionary      writes it; a test fails while it says something else
"""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from photogenic import sql
from photogenic.warehouse.catalog import Relation, relation
from photogenic.warehouse.labels.audits import audit_named
from photogenic.warehouse.labels.options import LabelOptions

__all__ = ["PATH", "dictionary"]

PATH = Path(sql.__file__).with_name("README.md")

_INTRODUCTION = """\
# What can be asked in SQL

Written by `python -m photogenic.warehouse.data_dictionary` from the headers of the files beside it;
to change a sentence here, change it there. `features sql` asks, `features sql --show NAME` prints the SQL that runs.

Ids are strings, times are UTC with microseconds, an unknown gender is NULL and a group of its own. Everything is
true as of one clock (`features build --as-of T`): only what happened before it *and* had arrived before it counts.
Every file is one `select` in the subset of SQL that DuckDB and Spark share."""


def dictionary() -> str:
    """The text of sql/README.md."""
    parts = [
        _INTRODUCTION,
        "## What was ingested or recorded",
        "Views; they exist from the first moment of a store.",
        *(_section(relation(name)) for name in sql.VIEWS),
        "## What is computed from it",
        "Tables, in the order in which `features build` computes them.",
        *(_section(relation(name)) for name in sql.RELATIONS),
        "## What a label build can be told",
        _options(),
        "## What is audited",
        "Each is a query that must return no rows; a build that breaks one leaves the former state in place.",
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
    documented = dict(re.findall(r"^ +(\w+): (.+)$", LabelOptions.__doc__ or "", re.MULTILINE))
    rows = [f"| `{f.name}` | {f.default} | {_cell(documented[f.name])} |" for f in fields(LabelOptions)]
    return "\n".join(["| option | default | |", "|---|---|---|", *rows])


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    PATH.write_text(dictionary(), encoding="utf-8")
