"""Read and write JSON manifests, which describe the files beside them and contain a digest of themselves.

write_atomically(path, dump_with_digest({"rows": 7}))
load_with_digest(read_limited(path))          {"rows": 7}
to_dataclass(Rows, {"rows": "seven"})         ValueError: rows is 'seven', and should be int

A store or backup may come from another person. So a manifest is read only from a regular file and only up to a size,
its values are checked against the expected types, and a file name in it must be a bare name, without folders.
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

__all__ = [
    "checked_file_name",
    "checked_relative_path",
    "checked_sha256",
    "dump_with_digest",
    "load_with_digest",
    "parse_object",
    "read_limited",
    "to_dataclass",
]

_DIGEST_KEY = "manifest_sha256"
_MOST_BYTES = 64 << 20

T = TypeVar("T")


def dump_with_digest(facts: dict[str, Any]) -> bytes:
    """Return the facts as JSON with a digest of them as the last entry."""
    return json.dumps({**facts, _DIGEST_KEY: _digest(facts)}, indent=1).encode()


def load_with_digest(data: bytes) -> dict[str, Any]:
    """Return the facts of a manifest. Earlier versions wrote no digest; their manifests are not verified.

    Raises:
        ValueError: it is not a JSON object, or its digest differs.
    """
    facts = parse_object(data)
    seal = facts.pop(_DIGEST_KEY, None)
    if seal is not None and seal != _digest(facts):
        raise ValueError("its content has changed: the digest differs")
    if seal is None and facts:
        *others, (name, value) = facts.items()
        if value == _digest(dict(others)):
            raise ValueError(f"its content has changed: the digest is called {name}")
    return facts


def read_limited(path: Path, most: int = _MOST_BYTES) -> bytes:
    """Read the bytes of a manifest.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is a folder, a pipe or a device, larger than `most` bytes, or cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would block until a process writes to it
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
            raise ValueError(f"it has {found.st_size:,} bytes, and the limit is {most:,}")
        try:
            return file.read(most)
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error


def parse_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        ValueError: it is not a JSON object, is nested too deeply, or has a key twice.
    """
    try:
        facts = json.loads(data, object_pairs_hook=_unique_keys)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(facts, dict):
        raise ValueError("it is not a JSON object")
    return facts


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Return the types of the fields of a class. Cached, since a search reads two manifests."""
    return get_type_hints(kind)


def to_dataclass(kind: type[T], facts: Any, *, where: str = "") -> T:
    """Build a dataclass from a JSON object.

    Args:
        kind: the dataclass, whose annotations are the expected types.
        facts: the parsed JSON.
        where: path of the object in the manifest, for messages.

    Raises:
        ValueError: a field is missing, unknown, or of another type.
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
    return kind(**{name: _converted(hints[name], value, f"{prefix}{name}") for name, value in facts.items()})


def checked_file_name(value: object) -> str:
    """Check that a value is a bare file name.

    Raises:
        ValueError: it is not a string, or has folders in it.
    """
    if not isinstance(value, str) or not value or value in (".", "..") or set(value) & set("/\\\0") or len(value) > 255:
        raise ValueError(f"{_short(value)} is not the name of a file")
    return value


def checked_relative_path(value: object) -> str:
    """Check that a value is a relative path with slashes that stays below its folder.

    Raises:
        ValueError: it is not a string, or has folders in it.
    """
    try:
        if isinstance(value, str) and len(value) <= 4096:
            for name in value.split("/"):
                checked_file_name(name)
            return value
    except ValueError:
        pass
    raise ValueError(f"{_short(value)} is not a path inside the store")


def checked_sha256(value: object) -> str:
    """Check that a value is a SHA-256 in hexadecimal.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str) or re.fullmatch("[0-9a-f]{64}", value) is None:
        raise ValueError(f"{_short(value)} is not a SHA-256")
    return value


def _converted(kind: Any, value: Any, where: str) -> Any:
    """Convert a value of JSON to the type `kind`."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        for choice in inner:
            try:
                return _converted(choice, value, where)
            except ValueError:
                continue
    elif origin is Literal:
        if isinstance(value, str) and value in inner:
            return value
    elif origin in (tuple, list) and isinstance(value, (list, tuple)):
        if origin is list or inner[1:] == (...,):
            return origin(_converted(inner[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        if len(inner) == len(value):
            return tuple(_converted(*both, where) for both in zip(inner, value, strict=True))
    elif origin is dict and isinstance(value, dict):
        return {key: _converted(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    elif is_dataclass(kind) and isinstance(kind, type):
        return to_dataclass(kind, value, where=where)
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


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return found


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a number of many digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _digest(facts: dict[str, Any]) -> str:
    import hashlib  # it loads OpenSSL, which most commands do not need

    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
