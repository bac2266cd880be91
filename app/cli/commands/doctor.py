"""features doctor: what is wrong with this machine or store, and what helps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, show

__all__ = ["run"]


def run(
    *,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Read every byte of photos, vectors and indices.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair what can be made again: snapshot, indices, leftovers.")
    ] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Check the machine and the store, with a remedy for whatever is wrong; exit 1 where a fault is left."""
    with FeatureStore(store) as opened:
        found = opened.doctor(thorough=thorough, fix=fix)
    rows = [(one.check, one.state, one.found, one.remedy) for one in found]
    show(Table(("check", "state", "found", "remedy"), rows), form)
    if any(one.state == "fault" for one in found):
        raise typer.Exit(1)
