"""Digest of the source of a function, so that its values are computed again where the code changed.

It covers the function, the functions that it wraps, the functions and constants of its closure, and its defaults.
Comments, layout and docstrings do not count. Functions that it calls are not followed: for a change in them, the author
raises the version of the feature.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

__all__ = ["code_digest"]

_PLAIN = (int, float, complex, str, bytes, bool, type(None))


def code_digest(function: Callable[..., Any]) -> str:
    """16 hex digits that identify the code of a function."""
    text = "\0".join(_parts(function, set()))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _parts(value: Any, seen: set[int]) -> Iterator[str]:
    """Yield the text of everything that decides what a function computes; constants of other types do not count."""
    if isinstance(value, (tuple, list)):
        for entry in value:
            yield from _parts(entry, seen)
        return
    if isinstance(value, dict):
        for name, entry in value.items():
            yield repr(name)
            yield from _parts(entry, seen)
        return
    if isinstance(value, _PLAIN):
        yield repr(value)
        return
    if not callable(value) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, functools.partial):
        yield from _parts((value.func, value.args, value.keywords), seen)
    elif inspect.ismethod(value):
        yield from _parts(value.__func__, seen)
    elif isinstance(value, FunctionType):
        yield _source(value)
        yield from _parts((value.__defaults__ or (), value.__kwdefaults__ or {}), seen)
        for cell in value.__closure__ or ():
            try:
                yield from _parts(cell.cell_contents, seen)
            except ValueError:  # not set yet, as in a function that calls itself
                continue
        yield from _parts(getattr(value, "__wrapped__", None), seen)
    elif isinstance(value, type):
        yield _source(value)
    else:
        yield from _parts((getattr(value, "__wrapped__", None), type(value)), seen)


def _source(value: FunctionType | type) -> str:
    """The source without comments, layout, docstring and decorators; where there is none, the compiled code."""
    if isinstance(value, FunctionType) and value.__name__ == "<lambda>":
        return repr(_compiled(value.__code__))  # its source is the whole statement around it
    try:
        # inspect.getsource of a function returns the source of the function that it wraps, if it wraps one.
        shown = value.__code__ if isinstance(value, FunctionType) else value
        tree = ast.parse(textwrap.dedent(inspect.getsource(shown)))
    except (OSError, TypeError, SyntaxError):
        return repr(_compiled(value.__code__)) if isinstance(value, FunctionType) else value.__qualname__
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            node.decorator_list = []
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1:
                node.body = node.body[1:]
    return ast.dump(tree, annotate_fields=False)


def _compiled(code: CodeType) -> tuple[object, ...]:
    constants = tuple(_compiled(value) if isinstance(value, CodeType) else value for value in code.co_consts)
    return code.co_code.hex(), code.co_names, constants
