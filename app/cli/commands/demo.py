"""features demo: the whole road on people who do not exist."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photogenic.app.cli.commands.options import Store
from photogenic.app.terminal.progress import listener

__all__ = ["run"]


def run(
    *,
    users: Annotated[int, typer.Option(help="People in the world; at least 200.")] = 600,
    seed: Annotated[int, typer.Option(help="Another number, another world.")] = 0,
    network: Annotated[
        bool, typer.Option("--network", help="Log in, crawl and download from a network on this machine.")
    ] = False,
    store: Store = Path("store"),
) -> None:
    """Make a synthetic world, run everything on it, and print what was found beside what was planted."""
    from photogenic.app.demo.demo import run_demo

    run_demo(store, users=users, seed=seed, network=network, progress=listener())
