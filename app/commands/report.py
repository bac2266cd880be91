"""features report: what a store knows, in one file to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import Store
from features import FeatureStore

__all__ = ["run"]


def run(
    *,
    output: Annotated[
        Path | None, typer.Option(help="Where the file goes.", show_default="reports/report.html in the store")
    ] = None,
    store: Store = Path("store"),
) -> None:
    """Write tables 1 to 3, ranked photos and similar popular photos into one HTML file, and print its path."""
    from app.report import write_report

    with FeatureStore(store) as opened:
        print(write_report(opened, output))
