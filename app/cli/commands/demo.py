"""features demo: the whole pipeline on synthetic users."""

from pathlib import Path
from typing import Annotated

import typer

from photogenic.app.cli.commands.options import Store
from photogenic.app.terminal.progress import console_progress

__all__ = ["run"]


def run(
    *,
    users: Annotated[int, typer.Option(metavar="N", help="Number of users to make, at least 200.")] = 600,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the synthetic world.")] = 0,
    network: Annotated[
        bool,
        typer.Option(
            "--network",
            help="Log in to a synthetic social network on this machine, crawl it and download from it, instead of "
            "reading files.",
        ),
    ] = False,
    store: Store = Path("store"),
) -> None:
    """The photos are drawn. The results are printed beside the truth of the synthetic world."""
    from photogenic.app.demo.demo import run_demo

    run_demo(store, users=users, seed=seed, network=network, progress=console_progress())
