"""features fetch: the pictures that are known by URL and not held yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.dataclass_options import spelled_out
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, say, show
from photogenic.app.terminal.progress import listener
from photogenic.ingest.config import Limits
from photogenic.warehouse.context import Store as OpenStore

__all__ = ["run"]


@spelled_out(Limits, panel="Limits")
def run(
    *,
    retry: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="Try again what ended so, or `healable`; may be repeated."),
    ] = None,
    limits: Limits,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Download photos known by URL; goes on where it was stopped."""
    from photogenic.ingest.download.fetch import fetch
    from photogenic.ingest.download.statuses import STATUSES

    progress = listener()
    with FeatureStore(store, progress=progress) as opened:
        report = fetch(OpenStore(opened.database, progress), retry=tuple(retry or ()), limits=limits)
    rows = [(name, report.statuses[name], text.sentence) for name, text in STATUSES.items() if report.statuses[name]]
    show(Table(("status", "n_photos", "meaning"), rows), form)
    say(
        f"{report.n_pending:,} pending, {report.n_attempts:,} attempts, {report.n_bytes / 1e6:,.1f} MB"
        f" in {report.duration_s:.1f} s; {report.n_left:,} left for the next run."
    )
    if report.statuses["blocked_address"]:
        say("If those hosts are in your own network: features fetch --allow-private --retry blocked_address")
    if report.hosts_down:
        say(f"Hosts given up: {', '.join(report.hosts_down)}.")
