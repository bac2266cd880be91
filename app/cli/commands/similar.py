"""features similar: the nearest photos to one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.options import AsOf, Encoder, FormatOption, Store
from photogenic.app.terminal.output import Table, show
from photogenic.app.terminal.progress import listener

__all__ = ["run"]


def run(
    query: Annotated[str, typer.Argument(metavar="PHOTO_ID|FILE", help="A photo of the store, or a picture file.")],
    *,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    encoder: Encoder = None,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="Predicate over photo_labels, such as \"gender = 'female'\".")
    ] = None,
    popular: Annotated[bool, typer.Option("--popular", help="Only photos above the median.")] = False,
    as_of: AsOf = None,
    exact: Annotated[bool, typer.Option("--exact", help="The true nearest, whatever it costs.")] = False,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """The photos most like one, nearest first, with what is known of each."""
    file = Path(query)
    with FeatureStore(store, progress=listener()) as opened:
        found = opened.similar(
            file if file.is_file() else query,
            k=k,
            encoder=encoder,
            where=where,
            popular=popular,
            as_of=as_of,
            exact=exact or None,
        )
    show(Table.of(found), form)
