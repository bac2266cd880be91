"""features report: what a store knows, in one file to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.options import Store

__all__ = ["run"]


def run(
    *,
    output: Annotated[
        Path | None, typer.Option(help="Where the file goes.", show_default="reports/report.html in the store")
    ] = None,
    slices: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Columns by photo_id or user_id: the best heads on each of their values."),
    ] = None,
    store: Store = Path("store"),
) -> None:
    """Write tables 1 to 3, curves, galleries, slices and a map into one HTML file, and print its path.

    The same figures lie beside it as PNG.
    """
    from photogenic.app.report.report import write_report

    with FeatureStore(store) as opened:
        print(write_report(opened, output, slices=slices))
