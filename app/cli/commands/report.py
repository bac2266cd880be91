"""features report: the contents of a store as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.options import Store

__all__ = ["run"]


def run(
    *,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="HTML file to write. Default: reports/report.html in the store.")
    ] = None,
    slices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with columns by photo_id or user_id; heads are evaluated on each value. Default: gender only.",
        ),
    ] = None,
    store: Store = Path("store"),
) -> None:
    """Write tables, curves, galleries, slices and a map into one HTML file, and print its path.

    The figures are written as PNG files into a folder beside it.
    """
    with FeatureStore(store) as opened:
        print(opened.report(output, slices=slices))
