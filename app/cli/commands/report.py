"""features report: the contents of a store as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli.commands.options import AsOf, KnownAt, Store
from photogenic.app.terminal.progress import console_progress

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
            help="CSV or Parquet file with photo_id or user_id and columns of values; heads are evaluated on the "
            "photos of each value. Default: by gender only.",
        ),
    ] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    store: Store = Path("store"),
) -> None:
    """It holds tables, curves, galleries, slices and a map. Its figures are written beside it as PNG files too."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        print(opened.report(output, slices=slices, as_of=as_of, known_at=known_at))
