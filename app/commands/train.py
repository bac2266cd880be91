"""features train: heads on vectors, judged once, side by side with what the papers printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import Device, FormatOption, Store
from app.output import Format, Table, say, show
from app.progress import listener
from features import FeatureStore

if TYPE_CHECKING:
    from models import Leaderboard
    from models.ranking import Cell

__all__ = ["run"]

TARGETS, ONE_FACE = ["like_ratio"], ["one_face"]
ENCODERS = ["efficientnet_lite0", "dlib_face"]
HEADS = ["0fc", "1fc", "2fc"]

SETUPS = {"all": "ALL", "one_face": "1BBOX"}
"""Ours -> the papers' words, which head the columns."""


def run(
    *,
    target: Annotated[list[str], typer.Option(help="like_ratio, popular, gender; may be repeated.")] = TARGETS,
    encoders: Annotated[
        list[str], typer.Option("--encoder", help="On whose vectors; may be repeated; A+B sets two side by side.")
    ] = ENCODERS,
    heads: Annotated[
        list[str], typer.Option("--head", help="0fc, 1fc, 2fc: so many layers; svm, logistic, ridge; may be repeated.")
    ] = HEADS,
    setup: Annotated[list[str], typer.Option(help="On which photos: all, one_face; may be repeated.")] = ONE_FACE,
    seed: Annotated[int, typer.Option(help="Of initial heads, order of photos and bootstrap.")] = 0,
    device: Device = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Train what is not trained yet, and print the leaderboard."""
    from models import train

    progress = listener()
    with FeatureStore(store, progress=progress) as opened:
        board = train(opened, target, encoders, heads, setup, seed=seed, device=device, progress=progress)
    _print(board, form)
    say(f"Trained {board.n_trained:,} heads.")


def _print(board: Leaderboard, form: Format) -> None:
    if form != "table":
        show(Table.of(board.frame), form)
        return
    for table in board.tables:
        rows = []
        for row in table.rows:
            ours = [part for cell in row.cells for part in _parts(cell)]
            rows.append((row.encoder, row.head, *ours, *row.published))
        names = [name for setup in SETUPS.values() for name in (setup, "95 %")]
        printed = [f"{setup} printed" for setup in SETUPS.values()]
        show(Table(("encoder", "head", *names, *printed), rows), title=table.title)
        for setup, floor in zip(SETUPS.values(), table.floor, strict=True):
            if floor is not None:
                print(f"{setup}: of this, {floor:.4f} is the noise of the labels themselves.")
        print()


def _parts(cell: Cell | None) -> tuple[float | None, str | None]:
    if cell is None:
        return None, None
    return cell.value, None if cell.low is None else f"{cell.low:.4f} to {cell.high:.4f}"
