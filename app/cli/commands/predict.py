"""features predict: what pictures are likely to earn."""

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
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Pictures, folders, globs. None: the photos of the store that the head says nothing of yet.",
            show_default=False,
        ),
    ] = None,
    *,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN_ID", help="Which head.", show_default="the best that is here"),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The best head of this target.", show_default="like_ratio")] = None,
    sender: Annotated[
        str | None, typer.Option("--for", metavar="USER_ID", help="Whether this user would like them, by own swipes.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep what is said of photos of the store in the relation predictions.")
    ] = False,
    device: Device = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Score pictures, those that nobody has seen yet too."""
    if run is not None and target is not None:
        raise typer.BadParameter("--run names one head; --target would choose another")
    from photogenic.models.predict import predict

    with FeatureStore(store, progress=listener()) as opened:
        scored = predict(
            opened, files or None, run=run, target=target or "like_ratio", sender=sender, keep=keep, device=device
        )
    show(Table.of_records([asdict(one) for one in scored]), form)
