"""features fetch: download the pictures that are known by URL only."""

from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.ingest.config import Limits

__all__ = ["run"]


@options_from_dataclass(Limits, panel="Limits")
def run(
    *,
    retry: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATUS",
            autocompletion=completion.statuses,
            help="Status of photos to download again, or healable for every status that may pass; may be given several "
            "times. Default: photos with a final status are not tried again.",
        ),
    ] = None,
    limits: Limits,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """An interrupted fetch continues where it stopped when it is run again."""
    from photogenic.ingest.download.statuses import STATUSES

    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        report = opened.fetch(retry=tuple(retry or ()), limits=limits)
    rows = [(name, report.statuses[name], text.sentence) for name, text in STATUSES.items() if report.statuses[name]]
    print_table(Table(("status", "n_photos", "meaning"), rows), form)
    print_message(
        f"{report.n_pending:,} pending, {report.n_attempts:,} attempts, {report.n_bytes / 1e6:,.1f} MB"
        f" in {report.duration_s:.1f} s; {report.n_left:,} left for the next run."
    )
    if report.statuses["blocked_address"]:
        print_message("If those hosts are in your own network: features fetch --allow-private --retry blocked_address")
    if report.hosts_down:
        print_message(f"Hosts given up: {', '.join(report.hosts_down)}.")
