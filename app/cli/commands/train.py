"""features train: heads on vectors, judged once, side by side with what the papers printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.dataclass_options import spelled_out
from photogenic.app.cli.commands.options import Device, FormatOption, Store
from photogenic.app.terminal.output import say
from photogenic.app.terminal.progress import listener
from photogenic.models.data.split_config import Division

__all__ = ["run"]

TARGETS, ONE_FACE = ["like_ratio"], ["one_face"]
HEADS = ["0fc", "1fc", "2fc"]


@spelled_out(Division, panel="Division")
def run(
    *,
    target: Annotated[list[str], typer.Option(help="like_ratio, popular, gender; may be repeated.")] = TARGETS,
    encoders: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            help="On whose vectors; may be repeated; A+B sets two side by side.",
            show_default="efficientnet_lite0 and dlib_face, as far as the store has their vectors",
        ),
    ] = None,
    heads: Annotated[
        list[str],
        typer.Option(
            "--head",
            help="0fc, 1fc, 2fc: so many layers; linear_svm or svm, logistic, ridge, random_forest, kernel; mllib_svm, "
            "by Spark; ensemble: the mean of all others; may be repeated.",
        ),
    ] = HEADS,
    setup: Annotated[list[str], typer.Option(help="On which photos: all, one_face; may be repeated.")] = ONE_FACE,
    division: Division,
    flip: Annotated[bool, typer.Option("--flip", help="Learn from the mirror images of train too.")] = False,
    slices: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Columns by photo_id or user_id: judge heads on each of their values."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of initial heads, order of photos and bootstrap.")] = 0,
    device: Device = None,
    master: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of Spark, for mllib_svm: local, spark://HOST:7077.", show_default=False),
    ] = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Train what is not trained yet, and print the leaderboard."""
    from photogenic.app.terminal.leaderboard import print_leaderboard
    from photogenic.models.evaluation.gender_table import gender_table
    from photogenic.models.train import train

    progress = listener()
    with FeatureStore(store, progress=progress) as opened:
        board = train(
            opened,
            target,
            encoders,
            heads,
            setup,
            division=division,
            flip=flip,
            slices=slices,
            seed=seed,
            device=device,
            master=master,
            progress=progress,
        )
        pairs = gender_table(opened.database) if form == "table" else []
    print_leaderboard(board, pairs, form)
    say(f"Trained {board.n_trained:,} heads.")
