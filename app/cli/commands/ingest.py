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
    from photogenic.ingest.tabular.mapping_file import FileMapping
    from photogenic.ingest.tabular.report import IngestReport
    from photogenic.ingest.tabular.schemas import Kind

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


def _column(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not (ours and equals and theirs):
        raise typer.BadParameter(f"{text!r} is not OURS=THEIRS, such as user_id=member")
    return ours, theirs


def _value(text: str) -> tuple[str, str, str]:
    column, colon, rest = text.partition(":")
    word, equals, value = rest.rpartition("=")
    if not (column and colon and word and equals):
        raise typer.BadParameter(f"{text!r} is not COLUMN:WORD=VALUE, such as liked:boost=true")
    return column, word, value


def _unit(text: str) -> tuple[str, str]:
    column, equals, unit = text.partition("=")
    if not (column and equals and unit):
        raise typer.BadParameter(f"{text!r} is not COLUMN=UNIT, such as swiped_at=ms")
    return column, unit


Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="Files or folders of CSV, NDJSON, Parquet, Arrow, ORC, Avro or spreadsheets; text compressed or not; "
        "globs in quotes; - for standard input.",
    ),
]
Columns = Annotated[
    list[Any] | None,
    typer.Option(
        "--map",
        parser=_column,
        metavar="OURS=THEIRS",
        help="Column of the store and its name in the files, e.g. user_id=member, or photo_id=photo.id for a value "
        "inside an object; may be given several times. Default: the names are the same.",
    ),
]
Values = Annotated[
    list[Any] | None,
    typer.Option(
        "--value",
        parser=_value,
        metavar="COLUMN:WORD=VALUE",
        help="What a word in the files stands for: liked:boost=true, gender:D=other, or photo_id:none= for a missing "
        "value; may be given several times. Default: the words that the guide of ingest lists.",
    ),
]
Units = Annotated[
    list[Any] | None,
    typer.Option(
        "--unit",
        parser=_unit,
        metavar="COLUMN=UNIT",
        help="Unit of the numbers in a column of times: days, hours, minutes, s, ms, us or ns since 1970, or excel. "
        "Default: s, ms, us or ns, by the size of each number.",
    ),
]
MappingFile = Annotated[
    Path | None,
    typer.Option(
        "--mapping",
        metavar="FILE",
        help="TOML file of columns, values and units; --map, --value and --unit precede it. Default: none.",
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
    columns: Columns = None,
    values: Values = None,
    units: Units = None,
    mapping: MappingFile = None,
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


def _mapping(
    kind: Kind,
    file: Path | None,
    columns: list[tuple[str, str]] | None,
    values: list[tuple[str, str, str]] | None,
    units: list[tuple[str, str]] | None,
) -> FileMapping:
    """The mapping of the file, with the options over it."""
    from photogenic.ingest.tabular.mapping_file import mapping_from, mapping_of

    words: dict[str, dict[str, str]] = {}
    for column, word, value in values or []:
        words.setdefault(column, {})[word] = value
    options = {"columns": dict(columns or []), "values": words, "units": dict(units or [])}
    return mapping_of(kind, file) | mapping_from(options, kind, "")


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
