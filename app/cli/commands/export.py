"""features export: the facts of a store as Parquet, for engines that read them from shared storage."""

from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress

__all__ = ["run"]


def run(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="Folder or URI to write to, e.g. facts or s3a://bucket/facts.")
    ],
    *,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """The files are partitioned, and replace an earlier export in the same place."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        done = opened.export(uri)
    rows = [(one.table, one.n_rows, one.n_files, one.bytes) for one in done]
    print_table(Table(("table", "n_rows", "n_files", "bytes"), rows), form)
    print_message(f"features build --engine spark --facts {uri} computes labels from these.")
