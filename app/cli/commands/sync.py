"""features sync: what is new in the sources of photogenic.toml."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import photogenic
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal import logs, streams
from photogenic.app.terminal.output import Format, Table, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.ingest.thresholds import Thresholds
from photogenic.warehouse.errors import SyncError, ThresholdError

if TYPE_CHECKING:
    from photogenic.ingest.sync.report import SyncReport

__all__ = ["run"]

_OUTCOMES = ("read", "new", "corrected", "retracted", "known", "refused")


@options_from_dataclass(Thresholds)
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Names of sources in photogenic.toml. Default: all of them."),
    ] = None,
    *,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only print what would be read from each source; write nothing.")
    ] = False,
    from_start: Annotated[
        list[str] | None,
        typer.Option(
            "--from-start",
            metavar="NAME",
            help="Source that is read from the start, whatever its position; may be given several times. Default: "
            "each goes on from its position.",
        ),
    ] = None,
    keep_position: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-position",
            metavar="NAME",
            help="Source that goes on from its position although its query, mapping or watermark has changed; may be "
            "given several times. Default: such a source is an error.",
        ),
    ] = None,
    thresholds: Thresholds,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """The position of a source is written with its rows, so that a killed command is completed by the next one.

    least_rows of photogenic.toml does not count here.
    """
    with photogenic.FeatureStore(store, progress=console_progress()) as opened, _printing(form, plan=plan):
        reports = opened.sync(
            *(names or ()),
            plan=plan,
            from_start=from_start or (),
            keep_position=keep_position or (),
            max_refused=thresholds.max_refused,
            least_rows=thresholds.least_rows,
        )
        _print(reports, form, plan=plan)


@contextlib.contextmanager
def _printing(form: Format, *, plan: bool) -> Iterator[None]:
    """Print the report of each source before the error that one failed, or that a threshold is not met."""
    try:
        yield
    except (SyncError, ThresholdError) as error:
        with streams.unread_is_fine():
            _print(error.reports, form, plan=plan)
        raise


def _print(reports: Sequence[SyncReport], form: Format, *, plan: bool) -> None:
    records = [_planned(report) if plan else _done(report) for report in reports]
    log = logs.structured()
    if log is not None and not plan:
        for report, record in zip(reports, records, strict=True):
            level = "error" if report.error else "warning" if report.count("refused") else "info"
            log.event("source", level, **record)
    if form != "table":
        print_table(Table.of_records(records), form)
        return
    for report, record in zip(reports, records, strict=True):
        print(_planned_line(report) if plan else _done_line(report, record))
        for note in report.notes:
            print(f"  {note}")
        if report.error:
            print(f"  not read to its end: {report.error.splitlines()[0]}")


def _done(report: SyncReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "kind": report.kind,
        "source": report.source,
        **{f"n_{outcome}": report.count(outcome) for outcome in _OUTCOMES},
        "refused": report.refused,
        "n_parts": len(report.reports),
        "old_position": report.old_position,
        "new_position": report.new_position,
        "duration_s": round(report.duration_s, 3),
        "notes": list(report.notes),
        "error": report.error or None,
    }


def _planned(report: SyncReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "kind": report.kind,
        "source": report.source,
        "position": report.old_position,
        "n_rows": report.n_rows,
        "n_objects": report.n_objects,
        "n_bytes": report.n_bytes,
        "notes": list(report.notes),
        "error": report.error or None,
    }


def _done_line(report: SyncReport, record: dict[str, Any]) -> str:
    """Return `swipes: 4 read = 2 new + ...; position 2024-05-01 -> 2024-05-02`."""
    account = " + ".join(f"{record[f'n_{name}']:,} {name}" for name in _OUTCOMES[1:])
    reasons = ", ".join(
        f"{name} {n:,}" for name, n in sorted(report.refused.items(), key=lambda one: (-one[1], one[0]))
    )
    refused = f" ({reasons})" if reasons else ""
    before, after = report.old_position or "none", report.new_position or "none"
    position = f"{before} -> {after}" if before != after else after
    return f"{report.name}: {record['n_read']:,} read = {account}{refused}; position {position}"


def _planned_line(report: SyncReport) -> str:
    """Return `swipes: 4 rows from 2024-05-01 on`."""
    if report.error:
        what = "unknown"
    elif report.n_rows is not None:
        what = f"{report.n_rows:,} rows"
    else:
        size = "" if report.n_bytes is None else f", {report.n_bytes:,} bytes"
        what = f"{report.n_objects or 0:,} objects{size}"
    return f"{report.name}: {what} to read; position {report.old_position or 'none'}; from {report.source}"
