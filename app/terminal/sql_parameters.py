"""Read the parameters of a query from text: `name=value` on the command line, `.set name value` at the prompt.

A value is read as JSON: a number, true, false, null or a text in quotes. `@FILE` is the bytes of a file, such as a
picture for `similar($upload)`. Everything else is a text as it stands, such as `female`, `2024-02-01` or `007`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from photogenic.ingest.images.folders import MAX_BYTES
from photogenic.warehouse.errors import QueryError

__all__ = ["read_parameters", "read_value"]


def read_parameters(given: Iterable[str]) -> dict[str, Any]:
    """Return the values of `name=value` by name.

    Raises:
        QueryError: An equals sign or a name is missing, a name is repeated, or a value is no single value.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        name = name.strip().removeprefix("$")
        if not sign or not name:
            raise QueryError(
                f"The parameter {text[:80]!r} has no {'name' if sign else 'value'}.",
                "NAME=VALUE",
                f"--param {name or 'name'}=value",
            )
        if name in found:
            raise QueryError(f"The parameter ${name[:80]} is given twice.", "one value for each name", "")
        found[name] = read_value(name, value)
    return found


def read_value(name: str, text: str) -> Any:
    """Return the value that a text stands for.

    Raises:
        QueryError: It is a list, an object, no finite number, or a file that cannot be read.
    """
    if text.startswith("@"):
        return _read_file(name, Path(text[1:]))
    try:
        value = json.loads(text, parse_constant=lambda word: _refuse_constant(name, word))
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError):  # more than 4,300 digits, or a thousand brackets
        raise _refused(name, f"{text[:40]}...", "one value that is not nested, of at most 39 digits") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise _refused(name, text, "a finite number, null, or a text in quotes")
    if isinstance(value, (list, dict)):
        raise _refused(name, text, "one value; a text that looks like a list or an object in quotes")
    return value


def _read_file(name: str, path: Path) -> bytes:
    expected = f"a file of at most {MAX_BYTES:,} bytes; a text that begins with @ in quotes"
    try:
        if not path.is_file():  # a pipe would never end
            raise _refused(name, f"@{path}", expected)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refused(name, f"@{path}, which cannot be read ({error.strerror})", expected) from error
    if len(data) > MAX_BYTES:
        raise _refused(name, f"@{path}, which has more than {MAX_BYTES:,} bytes", expected)
    return data


def _refuse_constant(name: str, word: str) -> NoReturn:
    raise _refused(name, word, "a finite number, null, or a text in quotes")


def _refused(name: str, text: str, expected: str) -> QueryError:
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return QueryError(f"${name[:80]} is {shown}.", expected, f"--param '{name[:80]}=\"TEXT\"'")
