"""features lineage: where a number comes from, and what depends on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, print_table

__all__ = ["run"]


def run(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=completion.lineage_names,
            help="RELATION or RELATION.COLUMN, base table facts.TABLE, encoder, or label option.",
        ),
    ],
    *,
    up: Annotated[bool, typer.Option("--up", help="Print only what it is made from, down to files and code.")] = False,
    down: Annotated[
        bool,
        typer.Option("--down", help="Print only what is made from it, which becomes stale if it changes."),
    ] = False,
    depth: Annotated[int | None, typer.Option(metavar="N", help="Largest number of steps. Default: no limit.")] = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Relations lead to the files that were taken in and to the code that computes them; columns to columns."""
    with photogenic.FeatureStore(store) as opened:
        found = opened.lineage(name, up=up, down=down, depth=depth)
    if form != "table":
        print_table(Table.of_records(found.records()), form)
        return
    from photogenic.app.terminal.lineage_tree import COLUMNS, tree_rows

    if up or not down:
        print_table(Table(COLUMNS, tree_rows(found, up=True)), title=f"What {found.root.name} is made from")
    if up == down:
        print()
    if down or not up:
        print_table(Table(COLUMNS, tree_rows(found, up=False)), title=f"What is made from {found.root.name}")
