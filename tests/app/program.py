"""The commands of the program by their full names, such as `ingest swipes`."""

from typer.main import get_command

from photogenic.app.cli.main import program


def leaves(command, prefix=""):
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, f"{prefix} {name}".strip())
    if not hasattr(command, "commands"):
        yield prefix, command


COMMANDS = dict(leaves(get_command(program)))
