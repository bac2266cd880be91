"""What the command line says about an option, written at the field of the options class that holds it.

    @dataclass(frozen=True, slots=True)
    class SearchOptions:
        k: Annotated[int, Help("Number of photos to return.")] = 10

`app.cli.commands.dataclass_options` makes the options of a command from such a class. `warehouse.option_ranges` says
which numbers an option takes, and `check_choices` here holds it to the words of its `Literal`.

Modules of options classes do without `from __future__ import annotations`: annotations that are strings would have to
be compiled again whenever the command line starts.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from photogenic.warehouse.errors import InputError

__all__ = ["Help", "OptionField", "check_choices", "option_fields"]


@dataclass(frozen=True, slots=True)
class Help:
    """The help of one option.

    Attributes:
        text: whole sentences that read alone: the thing, its unit or values and, where the default is None, what None
            does. Other defaults are added by the command line. For a field that is itself an options class, the
            heading above its options.
        metavar: placeholder of the value, such as URL; None: one that the type gives, such as N for an integer.
        option: name on the command line, without dashes, where it differs from the field: `encoder` for `encoders`,
            which may be given several times.
        is_size: whether it is a number of bytes, which the command line takes as 4GB or 200MB.
        prefix: of the options of a field that is itself an options class: `face_` makes `faces.model` `--face-model`.
        least: smallest number that the command line takes; a smaller one is a wrong command line.
        heading: heading above the option in the help of the command; empty: that of the command's main options.
    """

    text: str
    metavar: str | None = None
    option: str | None = None
    is_size: bool = False
    prefix: str = ""
    least: int | None = None
    heading: str = ""


@dataclass(frozen=True, slots=True)
class OptionField:
    """One field of an options class.

    Attributes:
        kind: its type, without `Annotated`.
        nested: the options class that the field holds; None: it is one option.
    """

    name: str
    kind: Any
    default: Any
    help: Help
    nested: type[Any] | None


def option_fields(kind: type[Any]) -> Iterator[OptionField]:
    """The fields of an options class, in order.

    Raises:
        TypeError: a field without `Annotated[..., Help(...)]`.
    """
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint = hints[field.name]
        notes = [note for note in get_args(hint)[1:] if isinstance(note, Help)] if get_origin(hint) is Annotated else []
        if len(notes) != 1:
            raise TypeError(f"{kind.__name__}.{field.name} needs one Help(...) in Annotated, and has {len(notes)}")
        bare = get_args(hint)[0]
        nested = [
            part for part in _alternatives(bare) if isinstance(part, type) and hasattr(part, "__dataclass_fields__")
        ]
        yield OptionField(field.name, bare, field.default, notes[0], nested[0] if nested else None)


def check_choices(options: Any) -> None:
    """Refuse the first field whose value is not among the words of its `Literal`.

    Raises:
        InputError: it names the option and the words.
    """
    for field, words in _with_words(type(options)):
        value = getattr(options, field.name)
        if value not in (*words, *(field.default,) * (field.default is None)):
            option = f"--{(field.help.option or field.name).replace('_', '-')}"
            raise InputError(f"{option} is {value!r}.", f"one of {', '.join(map(str, words))}", f"{option} {words[0]}")


_held: dict[type[Any], tuple[tuple[OptionField, tuple[Any, ...]], ...]] = {}


def _with_words(kind: type[Any]) -> tuple[tuple[OptionField, tuple[Any, ...]], ...]:
    """The fields that are one of some words, with these words; kept, because a server makes options per request."""
    if (held := _held.get(kind)) is not None:
        return held
    found = [
        (field, [word for part in _alternatives(field.kind) if get_origin(part) is Literal for word in get_args(part)])
        for field in option_fields(kind)
    ]
    _held[kind] = tuple((field, tuple(words)) for field, words in found if words)
    return _held[kind]


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """The types of a union; else the type itself."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
