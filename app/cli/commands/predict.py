"""features predict: predicted popularity of pictures."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import Device, FormatOption, Store
from photogenic.app.terminal.output import Table, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.warehouse.errors import ConflictError

__all__ = ["run"]


def run(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Picture files, folders or globs in quotes. Default: the photos of the store that have no prediction "
            "yet.",
            show_default=False,
        ),
    ] = None,
    *,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            autocompletion=completion.runs,
            help="Run whose head predicts, by id, name or beginning of the id. Default: the promoted run of the "
            "target, else the best one.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.targets,
            help="Target to predict: like_ratio, popular, gender, or relation.column of a head for a column. Default: "
            "like_ratio.",
        ),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="USER_ID",
            autocompletion=completion.users,
            help="User whose own swipes decide: the probability that this user likes a picture is predicted. Default: "
            "no single user.",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep predictions for photos of the store in the relation predictions.")
    ] = False,
    device: Device = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        try:
            scored = opened.predict(files or None, run=run, target=target, sender=sender, keep=keep, device=device)
        except ConflictError as error:
            raise typer.BadParameter(str(error)) from error
    print_table(Table.of_records([asdict(one) for one in scored]), form)
