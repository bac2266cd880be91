"""features export: the facts of a store as Parquet, for engines that read them from shared storage."""

from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress

__all__ = ["run"]


def run(
    uri: Annotated[str, typer.Argument(help="Folder or URI to write to, e.g. s3a://bucket/facts.")],
    *,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Write the ingested rows as partitioned Parquet files, in place of an earlier export there."""
    with FeatureStore(store, progress=console_progress()) as opened:
        done = opened.export(uri)
    rows = [(one.table, one.n_rows, one.n_files, one.bytes) for one in done]
    print_table(Table(("table", "n_rows", "n_files", "bytes"), rows), form)
    print_message(f"features build --engine spark --facts {uri} computes labels from these.")
