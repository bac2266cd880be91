"""features predict: what pictures are likely to earn."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import Device, FormatOption, Store
from app.output import Table, show
from features import FeatureStore

__all__ = ["run"]


def run(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Pictures.")],
    *,
    run: Annotated[
        str | None, typer.Option(metavar="RUN_ID", help="Which head.", show_default="the best on dev")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The best head of this target.", show_default="like_ratio")] = None,
    sender: Annotated[
        str | None, typer.Option("--for", metavar="USER_ID", help="Whether this user would like them, by own swipes.")
    ] = None,
    device: Device = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Score pictures that nobody has seen yet."""
    if run is not None and target is not None:
        raise typer.BadParameter("--run names one head; --target would choose another")
    from models import predict

    with FeatureStore(store) as opened:
        scored = predict(opened, files, run=run, target=target or "like_ratio", sender=sender, device=device)
    show(Table.of_records([asdict(one) for one in scored]), form)
