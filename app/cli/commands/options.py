"""Options that many commands share."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from photogenic.app.cli import completion
from photogenic.app.cli.help_text import COMMON
from photogenic.app.terminal.output import Format
from photogenic.warehouse.option_ranges import size_of

__all__ = [
    "AsOf",
    "Config",
    "Device",
    "Encoder",
    "FormatOption",
    "KnownAt",
    "Project",
    "Store",
    "common",
    "instant",
    "instants",
    "placeholder",
    "size",
]

_UNITS = {"_s": "SECONDS", "_days": "DAYS", "_bytes": "BYTES"}
"""Placeholder of a number by the ending of its parameter."""

_LONGEST = 20
"""Longest list of words that stands as a placeholder."""


def instant(given: str | dt.datetime) -> dt.datetime:
    """Parse an ISO 8601 instant; without an offset it is UTC. Typer also calls it with default values."""
    if isinstance(given, dt.datetime):
        return given
    try:
        found = dt.datetime.fromisoformat(given)
        return found.astimezone(dt.UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{given!r} is no ISO 8601 instant, such as 2024-02-01T00:00:00Z") from None


def instants(option: str, given: list[str] | None) -> dict[str, dt.datetime] | None:
    """Parse the values of a repeatable option, each `TIME` or `NAME=TIME`: name -> instant; the name may be empty."""
    found: dict[str, dt.datetime] = {}
    for text in given or ():
        name, sign, time = text.partition("=")
        name, time = (name, time) if sign else ("", text)
        if name in found:
            raise typer.BadParameter(f"{option} is given twice for {name or 'relations without a name'}")
        found[name] = instant(time)
    return found or None


def size(given: str | int) -> int:
    """Parse a size in bytes: `200MB`, `1.5 GB`, `4096`."""
    found = size_of(str(given))
    if found is None:
        raise typer.BadParameter(f"{given!r} is no size, such as 200MB")
    return found


def placeholder(kind: Any, name: str = "") -> str | None:
    """Return the placeholder of a value in help: the words of a choice, N for an integer; None for a flag.

    Args:
        kind: type of the parameter.
        name: name of the parameter, whose ending may give the unit.
    """
    parts = [part for part in (kind, *get_args(kind)) if part is not type(None)]
    if parts == [bool] or parts[1:] == [bool]:
        return None
    for part in parts:
        if get_origin(part) is Literal:
            words = "|".join(map(str, get_args(part)))
            return words if len(words) <= _LONGEST else "NAME"
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), None)
    for known, shown in ((int, unit or "N"), (float, unit or "X"), (dt.datetime, "TIME"), (Path, "FILE")):
        if known in parts:
            return shown
    return "NAME"


Store = Annotated[
    Path,
    typer.Option(
        "--store", envvar="FEATURES_STORE", metavar="FOLDER", rich_help_panel=COMMON, help="Folder of the store."
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="FEATURES_CONFIG",
        metavar="FILE",
        rich_help_panel=COMMON,
        help="File of settings. Default: photogenic.toml in the working folder, else beside the store.",
    ),
]
Project = Annotated[
    Path | None,
    typer.Option(
        "--project",
        envvar="FEATURES_PROJECT",
        metavar="FOLDER",
        rich_help_panel=COMMON,
        help="Folder of the project; its features.py may run. Default: the working folder, or the nearest one above "
        "it, if features init made it a project.",
    ),
]
FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        metavar=placeholder(Format),
        rich_help_panel=COMMON,
        help="Format of the data on standard output: table, csv or json.",
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME",
        autocompletion=completion.encoders,
        help="Encoder whose embeddings are compared; features encoders lists them. Default: that of the settings, else "
        "the first of efficientnet_lite0 and dlib_face that has an index, else any.",
    ),
]
AsOf = Annotated[
    dt.datetime | None,
    typer.Option(
        "--as-of",
        parser=instant,
        metavar="TIME",
        help="Use only what had happened before this moment, as ISO 8601 in UTC. Default: the published labels, or "
        "everything if --known-at is given.",
    ),
]
KnownAt = Annotated[
    dt.datetime | None,
    typer.Option(
        "--known-at",
        parser=instant,
        metavar="TIME",
        help="Use only what had arrived before this moment, as ISO 8601 in UTC. Default: everything.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        autocompletion=completion.devices,
        help="Device for the networks: cpu, cuda or cuda:1. Default: the variable FEATURES_DEVICE, else the first GPU, "
        "else the CPU.",
    ),
]


def common(*, config: Config = None, project: Project = None) -> None:
    """Hold the options that every command has, and that `app.cli.checked_command` applies."""
