"""features ingest and features retract: rows and pictures into the store, and rows taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

import photogenic
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.mapping_options import Columns, MappingFile, Units, Values, mapping_of_options
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.cli.commands.receipts import confirm, print_receipts
from photogenic.app.terminal import logs, streams
from photogenic.app.terminal.output import Format, Table, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.ingest.tabular.schemas import TABLES
from photogenic.ingest.thresholds import Thresholds
from photogenic.models.own_runs.options import AddRunOptions
from photogenic.warehouse.errors import ThresholdError
from photogenic.warehouse.option_help import Help

if TYPE_CHECKING:
    from photogenic._intake import Kind
    from photogenic.ingest.tabular.report import IngestReport

__all__ = [
    "main_photos",
    "photos",
    "predictions",
    "retract_main_photos",
    "retract_photos",
    "retract_swipes",
    "retract_users",
    "swipes",
    "users",
]


Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help="Files or folders of CSV, NDJSON, Parquet, Arrow, ORC, Avro or spreadsheets; text compressed or not; "
        "globs in quotes; - for standard input. Default: the sources of this kind in photogenic.toml.",
    ),
]
FilesToRetract = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="Files or folders, as for features ingest; - for standard input."),
]
Arrival = Annotated[
    str | None,
    typer.Option(
        "--arrived-at",
        metavar="TIME|COLUMN",
        help="Time at which the rows arrived, for --known-at: one for all of them, or the column with that of each "
        "row. Never later than now. Default: the column ingested_at, if the file has it, else now.",
    ),
]

Query = Annotated[
    str | None,
    typer.Option(metavar="SELECT", help="For the address of a database: the query whose rows are read."),
]


def _ingest(kind: Kind) -> Callable[..., None]:
    """Make the command that takes in rows of one kind."""

    def run(
        files: Files = None,
        *,
        columns: Columns = None,
        values: Values = None,
        units: Units = None,
        mapping: MappingFile = None,
        arrived_at: Arrival = None,
        query: Query = None,
        thresholds: Thresholds,
        store: Store = Path("store"),
        form: FormatOption = "table",
    ) -> None:
        read_as = mapping_of_options(kind, mapping, columns, values, units)
        with photogenic.FeatureStore(store, progress=console_progress()) as opened, _printing(form):
            reports = opened.ingest(
                kind, *(files or ()), mapping=read_as, arrived_at=arrived_at, query=query, **_limits(thresholds)
            )
            _print(reports, form)

    run.__name__, run.__doc__ = kind, _columns(kind)
    return options_from_dataclass(Thresholds)(run)


def _retract(kind: Kind, needed: str) -> Callable[..., None]:
    """Make the command that takes back rows of one kind, which `needed` names."""

    def run(
        files: FilesToRetract,
        *,
        columns: Columns = None,
        values: Values = None,
        units: Units = None,
        mapping: MappingFile = None,
        arrived_at: Arrival = None,
        query: Query = None,
        thresholds: Thresholds,
        store: Store = Path("store"),
        form: FormatOption = "table",
    ) -> None:
        read_as = mapping_of_options(kind, mapping, columns, values, units)
        with photogenic.FeatureStore(store, progress=console_progress()) as opened, _printing(form):
            reports = opened.retract(
                kind, *files, mapping=read_as, arrived_at=arrived_at, query=query, **_limits(thresholds)
            )
            _print(reports, form)

    run.__name__, run.__doc__ = f"retract_{kind}", f"Columns: {needed}."
    return options_from_dataclass(Thresholds)(run)


def _columns(kind: Kind) -> str:
    return f"Columns: {', '.join(TABLES[kind].names)}."


@options_from_dataclass(Thresholds)
def photos(
    files: Files = None,
    *,
    columns: Columns = None,
    values: Values = None,
    units: Units = None,
    mapping: MappingFile = None,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder from which relative paths of pictures start, also of an object store, s3://bucket/folder. "
            "Default: the folder of FILE.",
        ),
    ] = None,
    arrived_at: Arrival = None,
    query: Query = None,
    thresholds: Thresholds,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    read_as = mapping_of_options("photos", mapping, columns, values, units)
    with photogenic.FeatureStore(store, progress=console_progress()) as opened, _printing(form):
        reports = opened.ingest_photos(
            *(files or ()), images=images, mapping=read_as, arrived_at=arrived_at, query=query, **_limits(thresholds)
        )
        _print(reports, form)


@options_from_dataclass(Thresholds)
def retract_photos(
    files: FilesToRetract,
    *,
    columns: Columns = None,
    values: Values = None,
    units: Units = None,
    mapping: MappingFile = None,
    arrived_at: Arrival = None,
    query: Query = None,
    purge: Annotated[
        bool,
        typer.Option(
            "--purge",
            help="Also remove their bytes, faces, vectors and all else computed from them at once; print a receipt.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation. What is purged cannot be restored.")
    ] = False,
    thresholds: Thresholds,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Columns: photo_id, deleted_at."""
    read_as = mapping_of_options("photos", mapping, columns, values, units)
    if purge:
        confirm("Purge these photos for good?", yes=yes, remedy="features retract photos FILE --purge --yes")
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        limits = _limits(thresholds)
        with _printing(form):
            if not purge:
                _print(
                    opened.retract("photos", *files, mapping=read_as, arrived_at=arrived_at, query=query, **limits),
                    form,
                )
                return
            reports, receipts = opened.purge(*files, mapping=read_as, arrived_at=arrived_at, query=query, **limits)
    if form == "table":
        _print(reports, form)
    print_receipts(receipts, form)


photos.__doc__ = _columns("photos")
users, main_photos, swipes = _ingest("users"), _ingest("main_photos"), _ingest("swipes")
retract_users = _retract("users", "user_id, deleted_at")
retract_main_photos = _retract("main_photos", "event_id, or user_id and set_at")
retract_swipes = _retract("swipes", "event_id, or sender_id, recipient_id and swiped_at")


_RUN, _LIMITS = AddRunOptions(), Thresholds()


@dataclass(frozen=True, slots=True)
class _RunOptions:
    """Options of `features ingest predictions`."""

    run: Annotated[AddRunOptions, Help("Test")] = _RUN
    thresholds: Annotated[Thresholds, Help("Limits")] = _LIMITS


@options_from_dataclass(_RunOptions)
def predictions(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Files or folders with photo_id, prediction and optionally split, as for features ingest; - for "
            "standard input.",
        ),
    ],
    *,
    run: Annotated[str, typer.Option(metavar="NAME", help="Name of the run.", show_default=False)],
    trained_on: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the photo_id of every photo that the predictions were learned from; those, and photos of "
            "the same people, do not count. Default: those whose split is train or dev.",
        ),
    ] = None,
    columns: Columns = None,
    values: Values = None,
    mapping: MappingFile = None,
    options: _RunOptions,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Columns: photo_id, prediction, split. They are evaluated by the same test as the heads that are trained here."""
    from photogenic.app.terminal.leaderboard import print_leaderboard

    read_as = mapping_of_options("predictions", mapping, columns, values, None)
    with photogenic.FeatureStore(store, progress=console_progress()) as opened, _printing(form):
        added = opened.add_run(
            run, files, options.run, mapping=read_as, trained_on=trained_on, **_limits(options.thresholds)
        )
        _print(added.reports, form)
    if form == "table":
        print()
        print_leaderboard(added.leaderboard, [], form)


class _Limits(TypedDict):
    max_refused: str | None
    least_rows: int | None


def _limits(thresholds: Thresholds) -> _Limits:
    return {"max_refused": thresholds.max_refused, "least_rows": thresholds.least_rows}


@contextlib.contextmanager
def _printing(form: Format) -> Iterator[None]:
    """Print the report of each file before the error that a threshold is not met."""
    try:
        yield
    except ThresholdError as error:
        with streams.unread_is_fine():
            _print(error.reports, form)
        raise


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
