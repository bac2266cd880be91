"""features similar: the nearest photos of a photo or file."""

from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import AsOf, Encoder, FormatOption, KnownAt, Store
from photogenic.app.terminal.output import Table, print_table
from photogenic.app.terminal.progress import console_progress

__all__ = ["run"]


def run(
    query: Annotated[
        str,
        typer.Argument(
            metavar="PHOTO_ID|FILE",
            autocompletion=completion.photos,
            help="Id of a photo of the store, or a picture file, to search with.",
        ),
    ],
    *,
    k: Annotated[int, typer.Option("-k", metavar="N", help="Number of photos to return.")] = 10,
    encoder: Encoder = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            autocompletion=completion.columns,
            help="SQL condition on photos, their labels and their owners, e.g. \"gender = 'female'\". Default: all "
            "photos.",
        ),
    ] = None,
    popular: Annotated[
        bool, typer.Option("--popular", help="Return only photos with a label above the median.")
    ] = False,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Return the true nearest photos, however long that takes. Default: only where it is quick."
        ),
    ] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """The nearest is first. Their labels are printed beside their ids."""
    file = Path(query)
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        found = opened.similar(
            file if file.is_file() else query,
            k=k,
            encoder=encoder,
            where=where,
            popular=popular,
            as_of=as_of,
            known_at=known_at,
            exact=exact or None,
        )
    print_table(Table.of(found), form)
