"""features finetune: a network that learns from the photos themselves, and is an encoder afterwards."""

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


@spelled_out(Division, panel="Division")
def run(
    *,
    backbone: Annotated[str, typer.Option(help="alexnet, efficientnet_lite0, inception_v3.")] = "efficientnet_lite0",
    target: Annotated[str, typer.Option(help="like_ratio, popular, gender.")] = "like_ratio",
    setup: Annotated[str, typer.Option(help="On which photos: all, one_face.")] = "one_face",
    recipe: Annotated[
        str,
        typer.Option(
            help="modern: AdamW, cosine, augmented, opened from the top down; published: SGD, 0.001, divided by 10 at "
            "every 5,000 of 35,000 iterations, 3:1."
        ),
    ] = "modern",
    division: Division,
    iterations: Annotated[
        int | None,
        typer.Option(metavar="N", help="Updates.", show_default="20 epochs, 300 to 20,000; published: 35,000"),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", help="Pictures per update.", show_default="64; published: 50")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(metavar="X", help="Of the network's top.", show_default="0.0003; published: 0.001")
    ] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Start with drawn weights instead of the published ones.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    device: Device = None,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """Train a network on the photos, and print how it does beside the heads; killed, it goes on."""
    from photogenic.app.terminal.leaderboard import print_leaderboard
    from photogenic.models.finetune.finetune import finetune

    progress = listener()
    with FeatureStore(store, progress=progress) as opened:
        board = finetune(
            opened,
            backbone,
            target,
            setup,
            recipe=recipe,
            division=division,
            iterations=iterations,
            batch_size=batch_size,
            learning_rate=learning_rate,
            random_weights=random_weights,
            seed=seed,
            device=device,
            progress=progress,
        )
    print_leaderboard(board, [], form)
    name = board.frame.filter(head="finetuned").sort("created_at", descending=True)["encoder"][0]
    say(f"Encoder {name}: features train --encoder {name}, features similar FILE --encoder {name}.")
