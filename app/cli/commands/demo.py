"""features demo: the whole pipeline on synthetic users."""

from pathlib import Path
from typing import Annotated

import typer

from photogenic.app.cli.commands.options import Store
from photogenic.app.terminal.progress import console_progress

__all__ = ["run"]


def run(
    *,
    users: Annotated[int, typer.Option(help="Number of users to make; at least 200.")] = 600,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic world.")] = 0,
    network: Annotated[
        bool,
        typer.Option(
            "--network", help="Log in, crawl and download from a synthetic social network on this machine instead."
        ),
    ] = False,
    store: Store = Path("store"),
) -> None:
    """Make a synthetic world, run the whole pipeline on it, and print what was found beside what was planted."""
    from photogenic.app.demo.demo import run_demo

    run_demo(store, users=users, seed=seed, network=network, progress=console_progress())
