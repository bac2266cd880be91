"""JSON files of the store that say what lies beside them, with a digest of their own: a flipped bit is not believed.

write_atomically(path, sealed({"rows": 7}))
unsealed(contents(path))                      {"rows": 7}
shaped(Rows, {"rows": "seven"})               ValueError: rows is 'seven', and should be int

A store or backup may come from somebody else. So a manifest is read only from a file, only up to a size, and what it
says is compared with the types that it should have; a name of a file in it is one name, and not a path to elsewhere.
"""

from __future__ import annotations

import functools
import json
import os
import re
import stat
import types
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["contents", "name_in", "parsed", "path_in", "sealed", "sha256_in", "shaped", "unsealed"]

_SEAL = "manifest_sha256"
_MOST_BYTES = 64 << 20

T = TypeVar("T")


def sealed(facts: dict[str, Any]) -> bytes:
    """As JSON, the last entry a digest of the others."""
    return json.dumps({**facts, _SEAL: _digest(facts)}, indent=1).encode()


def unsealed(data: bytes) -> dict[str, Any]:
    """The facts. A manifest of a version that wrote no digest is taken as it is.

    Raises:
        ValueError: it is no JSON object, or not what was written.
    """
    facts = parsed(data)
    seal = facts.pop(_SEAL, None)
    if seal is not None and seal != _digest(facts):
        raise ValueError("it is not what was written: its digest differs")
    if seal is None and facts:
        *others, (name, value) = facts.items()
        if value == _digest(dict(others)):
            raise ValueError(f"it is not what was written: its digest is called {name}")
    return facts


def contents(path: Path, most: int = _MOST_BYTES) -> bytes:
    """The bytes of a manifest.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is a folder, a pipe or a device, larger than `most` bytes, or cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for somebody to write
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise ValueError("it is not a file")
    with os.fdopen(fd, "rb") as file:
        if found.st_size > most:
            raise ValueError(f"it has {found.st_size:,} bytes, and no manifest has more than {most:,}")
        try:
            return file.read(most)
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error


def parsed(data: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: it is none, is nested too deeply, or has a key twice.
    """
    try:
        facts = json.loads(data, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(facts, dict):
        raise ValueError("it is no JSON object")
    return facts


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """The types of a class's fields: worked out once, since a search reads two manifests."""
    return get_type_hints(kind)


def shaped(kind: type[T], facts: Any, *, where: str = "") -> T:
    """A dataclass from what JSON said of it.

    Args:
        kind: the dataclass; its annotations are what is expected.
        facts: what was read.
        where: of what it is a part, for messages.

    Raises:
        ValueError: something is missing, unknown, or of another type.
    """
    if not isinstance(facts, dict):
        raise ValueError(f"{where or 'it'} is {_short(facts)}, and should be an object")
    hints, prefix = _hints(kind), f"{where}." if where else ""  # type: ignore[arg-type]
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := facts.keys() - known.keys():
        raise ValueError(f"{prefix}{min(unknown)} is unknown")
    for name, field in known.items():
        if name not in facts and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{prefix}{name} is missing")
    return kind(**{name: _as(hints[name], value, f"{prefix}{name}") for name, value in facts.items()})


def name_in(value: object) -> str:
    """One name of a file, in a folder that is known.

    Raises:
        ValueError: it would lead elsewhere, or is none.
    """
    if not isinstance(value, str) or not value or value in (".", "..") or set(value) & set("/\\\0") or len(value) > 255:
        raise ValueError(f"{_short(value)} is not the name of a file")
    return value


def path_in(value: object) -> str:
    """A path below a folder that is known, with slashes.

    Raises:
        ValueError: it would lead elsewhere, or is none.
    """
    try:
        if isinstance(value, str) and len(value) <= 4096:
            for name in value.split("/"):
                name_in(name)
            return value
    except ValueError:
        pass
    raise ValueError(f"{_short(value)} lies outside of the store, or is no path")


def sha256_in(value: object) -> str:
    """A SHA-256 in hexadecimal.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str) or re.fullmatch("[0-9a-f]{64}", value) is None:
        raise ValueError(f"{_short(value)} is no SHA-256")
    return value


def _as(kind: Any, value: Any, where: str) -> Any:
    """`value`, as `kind` has it, of what JSON can say."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        for choice in inner:
            try:
                return _as(choice, value, where)
            except ValueError:
                continue
    elif origin is Literal:
        if isinstance(value, str) and value in inner:
            return value
    elif origin in (tuple, list) and isinstance(value, (list, tuple)):
        if origin is list or inner[1:] == (...,):
            return origin(_as(inner[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        if len(inner) == len(value):
            return tuple(_as(*both, where) for both in zip(inner, value, strict=True))
    elif origin is dict and isinstance(value, dict):
        return {key: _as(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    elif is_dataclass(kind) and isinstance(kind, type):
        return shaped(kind, value, where=where)
    elif kind is types.NoneType:
        if value is None:
            return None
    elif kind is float:
        if (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and (isinstance(value, float) or abs(value) < 1 << 63)
        ):
            return value
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
            return value
    elif kind in (str, bool) and isinstance(value, kind):
        return value
    raise ValueError(f"{where} is {_short(value)}, and should be {getattr(kind, '__name__', kind)}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands in it twice")
    return found


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a number of many digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _digest(facts: dict[str, Any]) -> str:
    import hashlib  # it loads OpenSSL, which most commands need not wait for

    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
