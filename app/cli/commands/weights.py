"""features weights: the weight files of networks."""

from pathlib import Path
from typing import Annotated

import typer

from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import FormatOption
from photogenic.app.terminal.output import Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress

__all__ = ["add", "fetch", "list_"]


def list_(*, form: FormatOption = "table") -> None:
    """The path is empty if the file is not on this machine."""
    from photogenic.features.encoders.weights import WEIGHTS, located

    rows = [
        (entry.name, entry.file, entry.licence, found and str(found)) for entry in WEIGHTS for found in [located(entry)]
    ]
    print_table(Table(("weights", "file", "licence", "path"), rows), form)


def add(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=completion.weights,
            help="Name of the published weights to replace; features weights list prints the names.",
        ),
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="File with your weights: a state dict with the names and shapes of the network."
        ),
    ],
) -> None:
    """Their SHA-256 is printed, and recorded in the relation runs."""
    from photogenic.features.encoders.published import check_own_weights
    from photogenic.features.encoders.weights import add as added
    from photogenic.features.encoders.weights import weights
    from photogenic.warehouse.storage.checksum import digest

    entry = weights(name)
    check_own_weights(entry, file)
    path = added(entry, file)
    print_message(f"{path} stands in for the published {name}: SHA-256 {digest(path)}.")
    print_message(f"To go back to the published weights: rm {path} {path}.sha256")
    print(path)


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            autocompletion=completion.weights,
            help="Names of the weights; features weights list prints them.",
        ),
    ],
) -> None:
    from photogenic.features.encoders.weights import fetch as fetched

    for path in fetched(names, console_progress()):
        print(path)
