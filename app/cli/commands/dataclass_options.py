"""The fields of an options class as command-line options, with type, default and help from the class.

@options_from_dataclass(TrainOptions)
def run(*, options: TrainOptions, store: Store = Path("store")) -> None: ...

A command whose options have values in other places too takes only those that the command line gives, as `Given`:

@options_from_dataclass(BuildOptions)
def run(*, options: Given, store: Store = Path("store")) -> None: ...
"""

from __future__ import annotations

import datetime as dt
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Optional, get_args, get_origin

import typer

from photogenic.app.cli import completion
from photogenic.app.cli.commands.options import instant, placeholder, size
from photogenic.warehouse.errors import ConflictError
from photogenic.warehouse.option_help import OptionField, option_fields

__all__ = ["Given", "options_from_dataclass"]

Command = Callable[..., None]


class Given(dict[str, Any]):
    """The fields that the command line gives, by name; those of a nested options class as a dictionary of their own."""


def options_from_dataclass(kind: type[Any], *, panel: str | None = None) -> Callable[[Command], Command]:
    """Replace the parameter of type `kind` of a command by one option per field.

    A field that is itself an options class gives one option per field of that class; it keeps its default where all of
    these are at theirs.

    Args:
        kind: a dataclass of which every field has a default and `Annotated[..., Help(...)]`.
        panel: the heading in the command's help; None: among the command's own.
    """
    added = [_parameter(field, prefix, heading) for field, prefix, heading in _leaves(kind, "", panel)]

    def decorate(command: Command) -> Command:
        given = list(inspect.signature(command, eval_str=True).parameters.values())
        (at,) = (place for place, parameter in enumerate(given) if parameter.annotation in (kind, Given))
        own, takes_given = given[at].name, given[at].annotation is Given

        @functools.wraps(command)
        def run(**values: Any) -> None:
            ctx = values.pop("ctx")
            typed = {name for name in values if ctx.get_parameter_source(name).name != "DEFAULT"}
            chosen = _given(kind, values, typed)
            try:
                values[own] = _gathered(kind, values)
            except ConflictError as error:
                raise typer.BadParameter(str(error)) from error
            command(**values | ({own: chosen} if takes_given else {}))

        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        shown = [*given[:at], *added, *given[at + 1 :], context]
        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
        return run

    return decorate


def _leaves(kind: type[Any], prefix: str, panel: str | None) -> Iterator[tuple[OptionField, str, str | None]]:
    """Yield each option with the prefix of its name and the heading above it."""
    for field in option_fields(kind):
        if field.nested is None:
            yield field, prefix, panel
        else:
            yield from _leaves(field.nested, prefix + field.help.prefix, field.help.text)


def _gathered(kind: type[Any], values: dict[str, Any], prefix: str = "") -> Any:
    """Build an options object from command-line values, which are removed from `values`."""
    chosen = {}
    for field in option_fields(kind):
        if field.nested is None:
            chosen[field.name] = values.pop(prefix + field.name)
        else:
            inner = _gathered(field.nested, values, prefix + field.help.prefix)
            chosen[field.name] = field.default if inner == field.nested() else inner
    return kind(**chosen)


def _given(kind: type[Any], values: dict[str, Any], typed: set[str], prefix: str = "") -> Given:
    """Return the fields of an options class that are among the options `typed`."""
    chosen = Given()
    for field in option_fields(kind):
        name = prefix + field.name
        if field.nested is not None:
            if inner := _given(field.nested, values, typed, prefix + field.help.prefix):
                chosen[field.name] = dict(inner)
        elif name in typed:
            chosen[field.name] = values[name]
    return chosen


def _parameter(field: OptionField, prefix: str, panel: str | None) -> inspect.Parameter:
    name, kind, default = prefix + field.name, field.kind, field.default
    settings: dict[str, Any] = {
        "help": field.help.text,
        "metavar": field.help.metavar or placeholder(kind, name),
        "rich_help_panel": field.help.heading or panel,
        "autocompletion": completion.by_option(field.help.option or field.name),
    }
    if field.help.least is not None:
        settings["min"] = field.help.least
    if dt.datetime in (kind, *get_args(kind)):
        settings["parser"] = instant
    elif field.help.is_size:
        settings |= {"parser": size, "metavar": "SIZE"}
    several = [part for part in (kind, *get_args(kind)) if get_origin(part) is Sequence]
    if several:  # Typer knows lists only
        kind = list[get_args(several[0])[0]]  # type: ignore[misc]
        kind, default = (kind, list(default)) if default is not None else (Optional[kind], None)  # noqa: UP045
    # A flag that is off has no opposite: --flip, and no --no-flip. An option of one letter has one dash: -k.
    named = field.help.option or (name.replace("_", "-") if default is False else None)
    named = name if named is None and len(name) == 1 else named
    names = [f"{'-' if len(named) == 1 else '--'}{named}"] if named else []
    option = typer.Option(*names, **settings)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])
