"""Register a function of pixels as a feature of a picture.

@feature(columns={"redness": "double: mean of red minus the mean of green, -255 to 255"})
def redness(pixels):
    red, green, _ = pixels.reshape(-1, 3).mean(axis=0)
    return {"redness": red - green}

The relation `redness` has one row per photo. The function is returned unchanged.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from photogenic.features.pictures.code_digest import code_digest
from photogenic.features.pictures.definition import TYPES, PictureColumn, PictureFeature
from photogenic.features.pictures.registry import register
from photogenic.warehouse import InputError

__all__ = ["feature"]

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_TAKEN = ("photo_id", "face_no", "sha256", "status", "detail")
"""Columns that every relation of a picture feature has."""

_EXAMPLE = '@feature(columns={"redness": "double: mean of red minus the mean of green, -255 to 255"})'
_COMMENT = 500


def feature(
    *,
    columns: Mapping[str, str],
    input: Literal["photo", "face"] = "photo",
    name: str | None = None,
    version: int = 1,
    batch: bool = False,
    seconds: float = 60.0,
) -> Callable[[F], F]:
    """Register the decorated function as a feature of a picture.

    The function takes the pixels, uint8 (height, width, 3), RGB, upright and read-only; a second parameter gets a
    `PhotoInfo` with the size of the original and the faces. It returns a mapping with a value for each column. None,
    NaN and infinity become NULL.

    Args:
        columns: column -> its type and comment, as "double: what it holds". Types: double, bigint, boolean, varchar.
        input: `photo`, one row per photo, or `face`, one row per face with the pixels of its box.
        name: name of the relation. Default: the name of the function.
        version: raise it where the values change, although the source of the function does not.
        batch: the function takes a list of pictures, whose sizes differ, and returns a list of as many mappings.
        seconds: longest time for one picture. A function that takes longer is stopped, and the photo gets the status
            timeout.

    Raises:
        InputError: a name, a column or the function has another form.
    """
    checked = tuple(_column(key, text) for key, text in _mapping(columns).items())
    if input not in ("photo", "face"):
        raise InputError(f"input is {input!r}.", 'input="photo" or input="face"', _EXAMPLE)
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise InputError(f"version is {version!r}.", "a whole number, 0 or more", "version=2")
    if not isinstance(seconds, (int, float)) or not 0 < seconds <= 86_400:
        raise InputError(f"seconds is {seconds!r}.", "a number above 0, at most 86400", "seconds=60")

    def decorate(function: F) -> F:
        if not callable(function):
            raise InputError(f"@feature decorates {function!r}.", "a function of pixels", _EXAMPLE)
        title = getattr(function, "__name__", "") if name is None else name
        if not isinstance(title, str) or not _NAME.fullmatch(title):
            raise InputError(
                f"A feature is called {str(title)[:80]!r}.",
                "a name of lower-case letters, digits and _, which begins with a letter and has at most 60 characters",
                'name="redness"',
            )
        register(
            PictureFeature(
                name=title,
                input=input,
                columns=checked,
                version=version,
                summary=_summary(function, input),
                function=function,
                code=code_digest(function),
                home=str(getattr(function, "__module__", "")),
                takes_photo=_takes_photo(title, function),
                is_batch=bool(batch),
                seconds=float(seconds),
            )
        )
        return function

    return decorate


def _mapping(columns: object) -> Mapping[str, str]:
    if not isinstance(columns, Mapping) or not columns:
        raise InputError(f"columns is {str(columns)[:80]!r}.", "a mapping of at least one column", _EXAMPLE)
    return columns


def _column(name: object, text: object) -> PictureColumn:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"A column is called {str(name)[:80]!r}.",
            "a name of lower-case letters, digits and _, which begins with a letter and has at most 60 characters",
            _EXAMPLE,
        )
    if name in _TAKEN:
        raise InputError(
            f"A column is called {name}, which the relation has already.", f"none of {', '.join(_TAKEN)}", _EXAMPLE
        )
    kind, _, comment = text.partition(":") if isinstance(text, str) else ("", "", "")
    kind, comment = kind.strip().lower(), comment.strip()
    if kind not in TYPES or not comment:
        raise InputError(
            f"The column {name} is declared as {str(text)[:80]!r}.",
            f"a type and a comment, as in 'double: what it holds'; types: {', '.join(TYPES)}",
            _EXAMPLE,
        )
    if not comment.isprintable() or len(comment) > _COMMENT:
        raise InputError(
            f"The comment of the column {name} is {comment[:80]!r}.",
            f"one line of at most {_COMMENT} printable characters",
            _EXAMPLE,
        )
    return PictureColumn(name, kind, comment)


def _takes_photo(name: str, function: Callable[..., Any]) -> bool:
    """Whether the function has a second parameter."""
    problem = InputError(
        f"The function of the feature {name} cannot be called with one picture.",
        "one parameter, the pixels, or two, the pixels and the photo; others have defaults and are named",
        f"def {name}(pixels): ...   or   def {name}(pixels, photo): ...",
    )
    if inspect.iscoroutinefunction(function):
        raise problem
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False  # a function of C without a signature
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in signature.parameters.values() if p.default is p.empty and p.kind in places]
    named = [p for p in signature.parameters.values() if p.default is p.empty and p.kind == p.KEYWORD_ONLY]
    if named or len(needed) not in (1, 2):
        raise problem
    return len(needed) == 2


def _summary(function: Callable[..., Any], input: str) -> str:
    """First line of the docstring."""
    lines = (inspect.getdoc(function) or "").strip().splitlines() if hasattr(function, "__name__") else []
    line = " ".join(lines[0].split()) if lines else ""
    if line and line.isprintable() and len(line) <= _COMMENT:
        return line[0].lower() + line[1:]
    return f"values that a Python function computes from the pixels of each {input}."
