"""features ingest: rows and pictures into the store. features retract: what came in is taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import photogenic
from photogenic.app.cli.commands import erase
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal import logs, streams
from photogenic.app.terminal.output import Format, Table, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.ingest.thresholds import Thresholds
from photogenic.warehouse.errors import ThresholdError

if TYPE_CHECKING:
    from photogenic.ingest.tabular.report import IngestReport

__all__ = [
    "main_photos",
    "photos",
    "retract_main_photos",
    "retract_photos",
    "retract_swipes",
    "retract_users",
    "swipes",
    "users",
]


def _mapping(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not (ours and equals and theirs):
        raise typer.BadParameter(f"{text!r} is not OURS=THEIRS, such as user_id=member")
    return ours, theirs


Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE", help="CSV, Parquet or NDJSON files, compressed or not; globs in quotes; - for standard input."
    ),
]
Mapping = Annotated[
    list[Any] | None,
    typer.Option(
        "--map",
        parser=_mapping,
        metavar="OURS=THEIRS",
        help="Column of the store and its name in the files, e.g. user_id=member; may be given several times. "
        "Default: the names are the same.",
    ),
]


Arrival = Annotated[
    str | None,
    typer.Option(
        "--arrived-at",
        metavar="TIME|COLUMN",
        help="When the rows arrived, for --known-at: a time for all of them, or the column that says it of each row. "
        "Never later than now. Default: the column ingested_at, if the file has it, else now.",
    ),
]


def users(
    files: Files,
    *,
    mapping: Mapping = None,
    arrived_at: Arrival = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Columns: user_id, gender, followers, created_at, updated_at, deleted_at, deleted, ingested_at."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        _print(opened.ingest_users(*files, mapping=_named(mapping), arrived_at=arrived_at), form)


@options_from_dataclass(Thresholds)
def photos(
    files: Files,
    *,
    mapping: Mapping = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder from which relative paths of pictures start. Default: the folder of FILE.",
        ),
    ] = None,
    arrived_at: Arrival = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Columns: photo_id, user_id, path, url, posted_at, likes, hashtags, set_at, updated_at, deleted_at, deleted, ingested_at."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        _print(opened.ingest_photos(*files, mapping=_named(mapping), images=images, arrived_at=arrived_at), form)


@options_from_dataclass(Thresholds)
def main_photos(
    files: Files,
    *,
    mapping: Mapping = None,
    arrived_at: Arrival = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Columns: user_id, photo_id (empty: removed), set_at, event_id, deleted, ingested_at."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        _print(opened.ingest_main_photos(*files, mapping=_named(mapping), arrived_at=arrived_at), form)


@options_from_dataclass(Thresholds)
def swipes(
    files: Files,
    *,
    mapping: Mapping = None,
    arrived_at: Arrival = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Columns: sender_id, recipient_id, liked, swiped_at, event_id, deleted, ingested_at."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        _print(opened.ingest_swipes(*files, mapping=_named(mapping), arrived_at=arrived_at), form)


def retract_users(
    files: Files,
    *,
    mapping: Mapping = None,
    arrived_at: Arrival = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Columns: user_id, deleted_at."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        _print(opened.retract("users", *files, mapping=_named(mapping), arrived_at=arrived_at), form)


def retract_photos(
    files: Files,
    *,
    mapping: Mapping = None,
    arrived_at: Arrival = None,
    purge: Annotated[
        bool,
        typer.Option(
            "--purge",
            help="Also remove their bytes, faces, vectors and everything computed from them at once, and print a receipt.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation. What is purged cannot be restored.")
    ] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Columns: photo_id, deleted_at."""
    if not purge:
        _retract("photos", files, mapping, arrived_at, store, form)
        return
    erase.confirm("Purge these photos for good?", yes=yes, remedy="features retract photos FILE --purge --yes")
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        reports, receipts = opened.purge(*files, mapping=_named(mapping), arrived_at=arrived_at)
    _print(reports, form)
    erase.print_receipts(receipts, form)


def retract_main_photos(
    files: Files,
    *,
    mapping: Mapping = None,
    arrived_at: Arrival = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Columns: event_id, or user_id and set_at."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        _print(opened.retract("main_photos", *files, mapping=_named(mapping), arrived_at=arrived_at), form)


def retract_swipes(
    files: Files,
    *,
    mapping: Mapping = None,
    arrived_at: Arrival = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Columns: event_id, or sender_id, recipient_id and swiped_at."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        _print(opened.retract("swipes", *files, mapping=_named(mapping), arrived_at=arrived_at), form)


def _named(mapping: list[tuple[str, str]] | None) -> dict[str, str]:
    return dict(mapping or [])


_COLUMNS = (
    *("kind", "source", "n_read", "n_new", "n_corrected", "n_retracted", "n_known", "n_refused", "refused", "repeated"),
    *("n_main_photos", "pictures", "ignored", "notes"),
)


def _print(reports: Sequence[IngestReport], form: Format) -> None:
    _log(reports)
    if form == "table":
        for report in reports:
            print(report)
        if len(reports) > 1:
            from photogenic.ingest.tabular.report import total_line

            print(total_line(reports))
        return
    rows = [[getattr(report, name) for name in _COLUMNS] for report in reports]
    print_table(Table(_COLUMNS, rows), form)


def _log(reports: Sequence[IngestReport]) -> None:
    """Log the counts of each file if logs are structured; a file with refused rows is a warning."""
    log = logs.structured()
    if log is None:
        return
    counts = ("n_read", "n_new", "n_corrected", "n_retracted", "n_known", "n_refused", "refused", "repeated")
    for report in reports:
        fields = {name: getattr(report, name) for name in ("kind", "source", *counts)}
        log.event("file", "warning" if report.n_refused else "info", **fields)
