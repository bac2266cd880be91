"""Options classes: help at the field, words held to their Literal, nested classes found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from photogenic.warehouse import InputError
from photogenic.warehouse.option_help import Help, check_choices, option_fields


@dataclass(frozen=True)
class Inner:
    level: Annotated[int, Help("Level of detail.")] = 1


@dataclass(frozen=True)
class Outer:
    colour: Annotated[Literal["red", "blue"] | None, Help("Color of the frame.", option="hue")] = None
    size: Annotated[Literal["small", "large"], Help("Size of the frame.")] = "small"
    inner: Annotated[Inner | None, Help("Details", prefix="in_")] = None


@dataclass(frozen=True)
class Mute:
    depth: int = 1


def test_fields_have_their_type_default_and_help():
    colour, size, inner = option_fields(Outer)
    assert (colour.kind, colour.default, colour.help.text) == (
        Literal["red", "blue"] | None,
        None,
        "Color of the frame.",
    )
    assert (size.default, size.nested) == ("small", None)
    assert (inner.nested, inner.help.prefix) == (Inner, "in_")


def test_a_field_without_help_is_an_error():
    with pytest.raises(TypeError, match=r"Mute\.depth needs one Help"):
        list(option_fields(Mute))


def test_none_is_a_choice_only_where_it_is_the_default():
    check_choices(Outer(colour="blue", size="large"))
    with pytest.raises(InputError, match="--hue is 'green'") as error:
        check_choices(Outer(colour="green"))
    assert error.value.expected == "one of red, blue"
    with pytest.raises(InputError, match="--size is None"):
        check_choices(Outer(size=None))
