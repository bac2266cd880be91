"""features weights: the files that networks are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photogenic.app.cli.checked_command import Checked
from photogenic.app.cli.commands.options import FormatOption
from photogenic.app.terminal.output import Table, say, show
from photogenic.app.terminal.progress import listener

__all__ = ["commands"]

commands = typer.Typer(no_args_is_help=True, help="See and fetch the files that networks are made of.")


@commands.command("list", cls=Checked)
def list_(*, form: FormatOption = "table") -> None:
    """Every file of weights, and where it lies on this machine; empty: not here yet."""
    from photogenic.features.encoders.weights import WEIGHTS, located

    rows = [
        (entry.name, entry.file, entry.licence, found and str(found)) for entry in WEIGHTS for found in [located(entry)]
    ]
    show(Table(("weights", "file", "licence", "path"), rows), form)


@commands.command("add", cls=Checked)
def add(
    name: Annotated[str, typer.Argument(help="The published file they stand in for: see `features weights list`.")],
    file: Annotated[Path, typer.Argument(help="Your weights: a state dict with the names and shapes of the network.")],
) -> None:
    """Use weights of your own for a published network; their SHA-256 is stated, warned of and named in `runs`."""
    from photogenic.features.encoders.published import check_own_weights
    from photogenic.features.encoders.weights import add as added
    from photogenic.features.encoders.weights import weights
    from photogenic.warehouse.storage.checksum import digest

    entry = weights(name)
    check_own_weights(entry, file)
    path = added(entry, file)
    say(f"{path} stands in for the published {name}: SHA-256 {digest(path)}.")
    say(f"To go back to the published weights: rm {path} {path}.sha256")
    print(path)


@commands.command("fetch", cls=Checked)
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="As `features weights list` has them.")],
) -> None:
    """Bring weights to this machine now, so that later work needs no network."""
    from photogenic.features.encoders.weights import fetch as fetched

    for path in fetched(names, listener()):
        print(path)
