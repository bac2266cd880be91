"""features export: the facts of a store as Parquet, for engines that read them from shared storage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, say, show
from photogenic.app.terminal.progress import listener

__all__ = ["run"]


def run(
    uri: Annotated[str, typer.Argument(help="A folder, or an address such as s3a://bucket/facts.")],
    *,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Write what was ingested as partitioned Parquet; what was exported there before is replaced."""
    with FeatureStore(store, progress=listener()) as opened:
        done = opened.export(uri)
    rows = [(one.table, one.n_rows, one.n_files, one.bytes) for one in done]
    show(Table(("table", "n_rows", "n_files", "bytes"), rows), form)
    say(f"features build --engine spark --facts {uri} computes labels from these.")
