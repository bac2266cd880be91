"""features sql: read-only SQL on the published snapshot."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import FormatOption, Store, instants
from photogenic.app.terminal import logs
from photogenic.app.terminal import output as out
from photogenic.app.terminal.export_rows import all_rows, export, first_rows
from photogenic.app.terminal.output import Format, print_message
from photogenic.app.terminal.streams import read_stdin
from photogenic.warehouse.duckdb_store.query import stream
from photogenic.warehouse.errors import InputError

if TYPE_CHECKING:
    from photogenic.warehouse import Database
    from photogenic.warehouse.progress import Progress

__all__ = ["run"]

SHOWN = 1_000
"""Rows of a table where no --limit is given; CSV and JSON are never cut unasked."""


def run(
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="QUERY", help="SELECT statement. Default: the text of standard input, or a prompt on a terminal."
        ),
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="File to read the query from.")
    ] = None,
    show: Annotated[
        str | None,
        typer.Option(
            "--show",
            metavar="RELATION",
            autocompletion=completion.relations,
            help="Relation whose SQL is printed, instead of running a query.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help=f"Largest number of rows to print. Default: {SHOWN:,} as a table, else all."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write all rows to, with the ending .csv, .json or .parquet."),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            metavar="NAME=VALUE",
            help="Value of the parameter $NAME of the query: a number, true, false, null or a text, or @FILE for the "
            "bytes of a picture; may be given several times. Default: none.",
        ),
    ] = None,
    as_of: Annotated[
        list[str] | None,
        typer.Option(
            "--as-of",
            metavar="TIME|NAME=TIME",
            help="Read the relations as of this moment: only what had happened before it, as ISO 8601 in UTC. With a "
            "name, several times, for queries such as from jan.photo_labels join feb.photo_labels using (photo_id). "
            "Default: the published relations.",
        ),
    ] = None,
    known_at: Annotated[
        list[str] | None,
        typer.Option(
            "--known-at",
            metavar="TIME|NAME=TIME",
            help="Read only what had arrived before this moment, as ISO 8601 in UTC; names as for --as-of. Default: "
            "everything.",
        ),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="NAME=FILE",
            help="File that queries join with the relations under this name: CSV, NDJSON, Parquet, Arrow and the other "
            "formats of ingest; may be given several times. Default: none.",
        ),
    ] = None,
    attach: Annotated[
        list[str] | None,
        typer.Option(
            "--attach",
            metavar="FILE|NAME=FILE",
            help="DuckDB file whose tables queries read as NAME.TABLE, opened read-only; the name is that of the file "
            "unless one is given; may be given several times. Default: none.",
        ),
    ] = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Queries read the last published snapshot of the store."""
    if sum(given is not None for given in (query, file, show)) > 1:
        raise typer.BadParameter("give one of QUERY, --file and --show")
    if output is not None and (limit is not None or show is not None or form != "table"):
        raise typer.BadParameter("--output writes all rows, in the form that its ending names; give it alone")
    if params and show is not None:
        raise typer.BadParameter("--param gives a value to a query, and --show runs none")
    if (as_of or known_at) and show is not None:
        raise typer.BadParameter("--as-of and --known-at are for a query, and --show runs none")
    if (table or attach) and show is not None:
        raise typer.BadParameter("--table and --attach are for a query, and --show runs none")
    if show is not None:
        from photogenic.app.terminal.catalog import shown

        with photogenic.FeatureStore(store) as opened:
            print(shown(show, opened.database))
        return
    values = _parameters(params)
    happened, arrived = instants("--as-of", as_of), instants("--known-at", known_at)
    with (
        photogenic.FeatureStore(store, progress=_progress(happened or arrived)) as opened,
        opened.joined(_files(table), attach, as_of=happened, known_at=arrived) as db,
    ):
        if query is not None or file is not None or not sys.stdin.isatty():
            _answer(db, _text(query, file), values, output=output, limit=limit, form=form)
            return
        if output is not None:
            raise typer.BadParameter("--output needs a query")
        from photogenic.app.terminal.sql_shell import prompt

        prompt(db, limit=SHOWN if limit is None else limit, parameters=values)


def _progress(moments: object) -> Progress:
    """Return the output for the notes of a query. One of another moment computes labels, whose stages are shown too."""
    if not moments:
        return logs.structured() or _Notes()
    from photogenic.app.terminal.progress import console_progress

    return console_progress()


class _Notes:
    """Progress that prints notes to stderr, and shows no stages."""

    @contextlib.contextmanager
    def stage(self, *stage: object, **options: object) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        yield lambda _: None

    def note(self, text: str) -> None:
        """Print the line."""
        print_message(text)


def _parameters(given: list[str] | None) -> dict[str, Any]:
    if not given:
        return {}
    from photogenic.app.terminal.sql_parameters import read_parameters

    return read_parameters(given)


def _files(given: list[str] | None) -> dict[str, str]:
    if not given:
        return {}
    from photogenic.ingest.given_tables.opening import table_files

    return table_files(given)


def _text(query: str | None, file: Path | None) -> str:
    if query is not None:
        return query
    if file is None:
        return read_stdin()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.", "a text file with one SELECT") from error


def _answer(
    db: Database,
    query: str,
    values: dict[str, Any],
    *,
    output: Path | None,
    limit: int | None,
    form: Format,
) -> None:
    shown = SHOWN if limit is None and form == "table" else limit
    with stream(db, query, values, limit=None if shown is None or output is not None else shown + 1) as cursor:
        if output is not None:
            print_message(f"{export(cursor, output):,} rows are in {output}.")
            return
        if limit is None and form != "table":
            out.print_table(all_rows(cursor), form)
            return
        table, cut = first_rows(cursor, SHOWN if limit is None else limit)
        out.print_table(table, form)
        if cut:
            print_message(
                f"Cut at {SHOWN:,} rows; --limit shows more, --output FILE.csv writes all."
                if limit is None
                else "There are more."
            )
