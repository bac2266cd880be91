"""features crop: the crop of a photo with the highest prediction."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import Device, FormatOption, Store
from photogenic.app.terminal.output import Table, print_table
from photogenic.app.terminal.progress import console_progress

__all__ = ["run"]


def run(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Picture files, folders or globs in quotes.")],
    *,
    aspect: Annotated[
        str,
        typer.Option(
            metavar="W:H", help="Aspect ratio of the crop as width:height, or original for that of the picture."
        ),
    ] = "1:1",
    smallest: Annotated[
        float,
        typer.Option(metavar="X", help="Side of the smallest crop as a share of that of the largest, from 0.1 to 1."),
    ] = 0.5,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="File to write the crop to, or folder for NAME-crop.jpg of each picture. Default: nothing is written.",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            autocompletion=completion.runs,
            help="Run whose head scores the crops, by id, name or beginning of the id. Default: the promoted run, else "
            "the best one, whose encoder reads whole photos.",
        ),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.targets,
            help="Target that the run predicts: like_ratio, popular, or relation.column of a head for a column.",
        ),
    ] = "like_ratio",
    device: Device = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Every face of the picture stays inside the crop."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        found = opened.crop(
            files, aspect=aspect, smallest=smallest, output=output, run=run, target=target, device=device
        )
    print_table(Table.of_records([asdict(one) for one in found]), form)
