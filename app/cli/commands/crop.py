"""features crop: the part of a photo that a head likes best."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.options import Device, FormatOption, Store
from photogenic.app.terminal.output import Table, show
from photogenic.app.terminal.progress import listener

__all__ = ["run"]


def run(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Pictures, folders, globs.")],
    *,
    aspect: Annotated[str, typer.Option(metavar="W:H", help="Shape of the crop; original: the photo's own.")] = "1:1",
    smallest: Annotated[float, typer.Option(help="Side of the smallest crop over that of the largest.")] = 0.5,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE|FOLDER", help="Write the crop there; into a folder as NAME-crop.jpg."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN_ID",
            help="Which head.",
            show_default="the best that looks at whole photos",
        ),
    ] = None,
    target: Annotated[str, typer.Option(help="The best head of this target: like_ratio, popular.")] = "like_ratio",
    device: Device = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Find the crop with the highest prediction; every face stays in it."""
    from photogenic.models.crop import crop

    with FeatureStore(store, progress=listener()) as opened:
        found = crop(
            opened, files, aspect=aspect, smallest=smallest, output=output, run=run, target=target, device=device
        )
    show(Table.of_records([asdict(one) for one in found]), form)
