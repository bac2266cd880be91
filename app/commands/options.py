"""The options that many commands share, spelled once."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from app.output import Format

__all__ = ["AsOf", "Encoder", "FormatOption", "Store"]


def _instant(text: str) -> dt.datetime:
    """ISO 8601; without an offset it is UTC."""
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no ISO 8601 instant, such as 2024-02-01T00:00:00Z") from None
    return instant.astimezone(dt.UTC).replace(tzinfo=None) if instant.tzinfo else instant


Store = Annotated[Path, typer.Option("--store", envvar="FEATURES_STORE", help="Folder of the store.")]
FormatOption = Annotated[Format, typer.Option("--format", help="How data is printed on stdout.")]
Encoder = Annotated[str | None, typer.Option("--encoder", help="Name of an encoder; see `features encoders`.")]
AsOf = Annotated[
    dt.datetime | None,
    typer.Option("--as-of", parser=_instant, metavar="TIME", help="See only what happened and had arrived before."),
]
