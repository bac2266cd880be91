"""features similar: the nearest photos of a photo, file or text, or of several together."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.options import AsOf, FormatOption, KnownAt, Store
from photogenic.app.terminal.export_rows import Batches, export
from photogenic.app.terminal.output import Format, Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.features.search.options import SearchOptions

if TYPE_CHECKING:
    from photogenic._lazy import pa

__all__ = ["run"]

SHOWN = 1_000
"""Rows of a table; CSV, JSON and files are never cut."""


@options_from_dataclass(SearchOptions)
def run(
    queries: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO_ID|FILE",
            autocompletion=completion.photos,
            help="Id of a photo of the store, or a picture file, to search with. Several are one query: the mean of "
            "their embeddings.",
            show_default=False,
        ),
    ] = None,
    *,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            metavar="WORDS",
            help="Words that describe a photo, for an encoder with a text tower. With PHOTO_ID|FILE, both are one "
            "query. Default: none.",
        ),
    ] = None,
    from_file: Annotated[
        str | None,
        typer.Option(
            "--from-file",
            metavar="FILE",
            help="File of many queries: a column photo_id, path, query or embedding, or one query per line; - is "
            "standard input. Each row is a query of its own. Default: the arguments are one query.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File to write the results to, with the ending .csv, .json, .parquet or .arrow. Default: standard "
            "output.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="End with an error at the first query of --from-file that has a problem."),
    ] = False,
    unlike: Annotated[
        list[str] | None,
        typer.Option(
            "--unlike",
            metavar="PHOTO_ID|FILE",
            autocompletion=completion.photos,
            help="Photo or picture file that the results should be unlike; may be given several times. Default: none.",
        ),
    ] = None,
    options: SearchOptions,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """The most similar photo is the first one, unless --popularity or --diverse changes the order."""
    if (from_file is None) == (not queries and text is None):
        raise typer.BadParameter("give PHOTO_IDs, FILEs or --text, or else --from-file")
    if from_file is None and (output is not None or strict):
        raise typer.BadParameter("--output and --strict are for the queries of --from-file")
    if output is not None and form != "table":
        raise typer.BadParameter("--output writes in the form that its ending names; give it without --format")
    others = [_query(name) for name in unlike or ()]
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        if from_file is not None:
            found = opened.similar_file(
                from_file, options, unlike=others, as_of=as_of, known_at=known_at, strict=strict
            )
            with found:
                _print_many(found, output, form)
            return
        one = opened.similar(
            [_query(name) for name in queries] if queries else None,
            options,
            text=text,
            unlike=others,
            as_of=as_of,
            known_at=known_at,
        )
    print_table(Table.of(one), form)


def _print_many(found: "pa.RecordBatchReader", output: Path | None, form: Format) -> None:
    """Write all results to a file, or print them; a table shows the first ones."""
    rows = Batches(found)
    if output is not None:
        n = export(rows, output, arrow=True)
        print_message(f"{n:,} rows in {output}.")
    elif form == "table":
        first = list(itertools.islice(rows.rows(), SHOWN + 1))
        print_table(Table(rows.columns, first[:SHOWN]))
        if len(first) > SHOWN:
            print_message(f"The first {SHOWN:,} rows; --output FILE or --format csv has all.")
    else:
        print_table(Table(rows.columns, rows.rows()), form)


def _query(name: str) -> str | Path:
    """The path of a file if there is one, else the id of a photo."""
    file = Path(name)
    return file if file.is_file() else name
