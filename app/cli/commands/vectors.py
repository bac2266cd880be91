"""features vectors: the embeddings in the store."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.cli.commands.receipts import confirm
from photogenic.app.terminal.output import Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress

__all__ = ["remove"]


def remove(
    encoders: Annotated[
        list[str],
        typer.Argument(
            metavar="ENCODER",
            autocompletion=completion.stored_encoders,
            help="Name of each encoder whose embeddings are removed.",
            show_default=False,
        ),
    ],
    *,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be removed, and remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Remove embeddings that a promoted run reads, too.")] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Their indices and kept nearest photos go too. Runs keep their weights, figures and predictions."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        planned = opened.remove_vectors(encoders, plan=True)
        if not plan:
            remedy = f"features vectors remove {shlex.join(encoders)} --yes"
            confirm(f"Remove the embeddings of {', '.join(encoders)}?", yes=yes, remedy=remedy)
            planned = opened.remove_vectors(encoders, force=force)
    rows = [asdict(one) for one in planned]
    if form == "table":
        rows = [row | {"runs": len(row["runs"]), "promoted": ", ".join(row["promoted"]) or None} for row in rows]
        rows = [{name: row[name] for name in row if name != "computed_again"} for row in rows]
    print_table(Table.of_records(rows), form)
    for one in planned:
        if one.computed_again:
            print_message(f"The next build computes the embeddings of {one.encoder} again: {one.computed_again}.")
        if one.near_duplicates:
            print_message(f"The next build finds near-duplicates again: they were found by {one.encoder}.")
