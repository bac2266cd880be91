"""features export: relations, vectors, training sets, queries and pictures as files, tables and repositories."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.options import AsOf, FormatOption, KnownAt, Store
from photogenic.app.terminal.output import Format, Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.features.export_pictures.options import PictureFormat, PictureOptions, PictureSelection
from photogenic.warehouse.errors import ConflictError
from photogenic.warehouse.export.options import ExportOptions, FileFormat
from photogenic.warehouse.option_help import Help

if TYPE_CHECKING:
    from photogenic.features.export_pictures.export import PicturesExported

__all__ = ["run"]

_SELECTION = PictureSelection()
_Format = Literal["parquet", "csv", "delta", "lance", "feast", "postgresql", "files", "hdf5", "webdataset"]
"""`FileFormat` and `PictureFormat`; Typer takes one list of words."""


@dataclass(frozen=True, slots=True)
class _Options(ExportOptions):
    """Options of an export of rows, and those of pictures."""

    format: Annotated[
        _Format | None,
        Help(
            "Form of the export: parquet or csv, files; delta or lance, tables; feast, a repository; postgresql, "
            "tables of a database; for pictures: files, hdf5, webdataset or parquet. Default: postgresql for an "
            "address of one, else parquet; for pictures files as received, or hdf5 if they are decoded.",
            metavar="FORMAT",
            option="as",
        ),
    ] = None  # type: ignore[assignment]
    pictures: Annotated[PictureSelection, Help("Pictures")] = _SELECTION

    @property
    def of_rows(self) -> ExportOptions:
        """The options of an export of rows.

        Raises:
            ConflictError: options of pictures are among them.
        """
        if self.pictures != _SELECTION or self.format in _ONLY_PICTURES:
            raise ConflictError(
                "Options of pictures were given, and no pictures are exported.",
                "features export pictures with them",
                "features export pictures --to ADDRESS --size 224",
            )
        return ExportOptions(**{field.name: getattr(self, field.name) for field in fields(ExportOptions)})

    @property
    def of_pictures(self) -> PictureOptions:
        """The options of an export of pictures.

        Raises:
            ConflictError: options of rows are among them.
        """
        if replace(self, format=None, pictures=_SELECTION) != _Options() or self.format not in _OF_PICTURES:
            raise ConflictError(
                "Options of rows were given, and pictures are exported.",
                "--as files, hdf5, webdataset or parquet, and the options of pictures",
                "features export pictures --to ADDRESS",
            )
        chosen = {field.name: getattr(self.pictures, field.name) for field in fields(PictureSelection)}
        return PictureOptions(**chosen, format=cast("PictureFormat | None", self.format))


_OF_PICTURES = (None, *get_args(PictureFormat))
_ONLY_PICTURES = set(get_args(PictureFormat)) - set(get_args(FileFormat))


@options_from_dataclass(_Options)
def run(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHAT",
            autocompletion=completion.relations,
            help="Relations, of which vectors_ENCODER is one; all, for every relation; training-set:NAME; facts, for "
            "the ingested rows in the layout that Spark reads; pictures. Without --to: the folder or address for the "
            "facts.",
        ),
    ] = None,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="ADDRESS",
            help="Folder, address of an object store such as s3://bucket/folder, or postgresql://HOST/DATABASE.",
        ),
    ] = None,
    query: Annotated[
        str | None, typer.Option("--query", metavar="SELECT", help="SELECT whose result is exported. Default: none.")
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            metavar="NAME=VALUE",
            help="Value of the parameter $NAME of the query, as for features sql; may be given several times. "
            "Default: none.",
        ),
    ] = None,
    options: _Options,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Readers see the former export or this one, as a whole. What has the same rows as before is not written again."""
    values = _parameters(params)
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        if what == ["pictures"] and to is not None:
            _require_rows(query, as_of or known_at)
            _print_pictures(opened.export_pictures(to, options.of_pictures), form)
            return
        if to is None:
            _require_no_options(query, options.of_rows, as_of or known_at)
            done = opened.export(what)
        else:
            done = opened.export(
                what, options.of_rows, to=to, query=query, params=values, as_of=as_of, known_at=known_at
            )
    if to is None or what == ["facts"]:
        rows = [(one.name, one.n_rows, one.n_files, one.bytes) for one in done]
        print_table(Table(("table", "n_rows", "n_files", "bytes"), rows), form)
        print_message(f"features build --engine spark --facts {to or (what or [''])[0]} computes labels from these.")
        return
    columns = ("name", "state", "n_rows", "n_written", "n_files", "bytes", "address")
    print_table(Table(columns, [tuple(getattr(one, column) for column in columns) for one in done]), form)


def _require_rows(query: str | None, moment: dt.datetime | None) -> None:
    if query is not None or moment is not None:
        raise typer.BadParameter("--query, --as-of and --known-at are about rows, and pictures are exported")


_PICTURES = ("address", "format", "state", "n_photos", "n_written", "n_removed", "n_left_out", "n_files", "bytes")


def _print_pictures(done: PicturesExported, form: Format) -> None:
    print_table(Table(_PICTURES, [tuple(getattr(done, column) for column in _PICTURES)]), form)
    if done.n_left_out:
        print_message(f"{done.n_left_out:,} photos cannot be decoded; the index has their status.")


def _parameters(given: list[str] | None) -> dict[str, Any]:
    if not given:
        return {}
    from photogenic.app.terminal.sql_parameters import read_parameters

    return read_parameters(given)


def _require_no_options(query: str | None, options: ExportOptions, moment: dt.datetime | None) -> None:
    if query is not None or moment is not None or options != ExportOptions():
        raise typer.BadParameter("these options need --to with a folder or an address")
