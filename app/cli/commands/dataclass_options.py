"""The fields of an options class as command-line options: named, typed and explained in one place, the class."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, get_args, get_type_hints

import typer

from photogenic.app.cli.commands.options import instant

__all__ = ["spelled_out"]

Command = Callable[..., None]


def spelled_out(kind: type[Any], *, panel: str) -> Callable[[Command], Command]:
    """Give a command one option per field of `kind`, in the place of its parameter of that type.

    Args:
        kind: a dataclass of which every field has a default. The help of an option is the field's line under
            `Attributes:` in its docstring.
        panel: the heading in the command's help.
    """
    hints, helps = get_type_hints(kind), _explained(kind)
    added = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[hints[field.name], _option(hints[field.name], helps.get(field.name, ""), panel)],
        )
        for field in fields(kind)
    ]

    def decorate(command: Command) -> Command:
        given = inspect.signature(command, eval_str=True).parameters.values()
        own = [parameter for parameter in given if parameter.annotation is not kind]
        (name,) = (parameter.name for parameter in given if parameter.annotation is kind)

        @functools.wraps(command)
        def run(**values: Any) -> None:
            chosen = {parameter.name: values.pop(parameter.name) for parameter in added}
            command(**values, **{name: kind(**chosen)})

        run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *added)}
        return run

    return decorate


def _option(kind: object, text: str, panel: str) -> Any:
    if dt.datetime in (kind, *get_args(kind)):
        return typer.Option(parser=instant, metavar="TIME", help=text, rich_help_panel=panel)
    return typer.Option(help=text, rich_help_panel=panel)


def _explained(kind: type[Any]) -> dict[str, str]:
    """The lines under `Attributes:`, by field."""
    _, _, attributes = inspect.getdoc(kind).partition("Attributes:\n")  # type: ignore[union-attr]
    found = re.findall(r"^ {4}(\w+): ((?:.|\n {5,})+)", attributes, re.MULTILINE)
    helps = {name: " ".join(text.split()) for name, text in found}
    return {name: f"{text[0].upper()}{text[1:]}" for name, text in helps.items()}
