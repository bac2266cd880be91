"""features doctor: faults of the machine or the store, each with a remedy."""

from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, print_table
from photogenic.app.terminal.progress import console_progress

__all__ = ["run"]


def run(
    *,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Verify every byte of photos, embeddings and indices.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair what can be made again: snapshot, indices, leftover files.")
    ] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Exit code 1 if a fault is left."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        found = opened.doctor(thorough=thorough, fix=fix)
    rows = [(one.check, one.state, one.found, one.remedy) for one in found]
    print_table(Table(("check", "state", "found", "remedy"), rows), form)
    if any(one.state == "fault" for one in found):
        raise typer.Exit(1)
