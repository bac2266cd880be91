"""Extension of Griffe, which reads docstrings for mkdocstrings.

A method of `FeatureStore` whose docstring says "See `features.plan.plan`." has its parameters described there. The
reference shows them at the method: of its arguments those which it has itself, what it returns, and what it raises.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_SEE = re.compile(r" See `([\w.]+)`\.")
_RAISES_OF = re.compile(r"^ +PhotogenicError: see `([\w.]+)`\.$", re.MULTILINE)
_SECTION = re.compile(r"^(Args|Returns|Raises|Yields):\n((?:[ ]+.*\n?|\n)+)", re.MULTILINE)
_CLASSES = ("store.FeatureStore", "_intake.Intake")
"""The class, and the base class with those of its methods by which rows come in."""


class Borrow(griffe.Extension):
    """Completes the docstrings of the methods of `FeatureStore` once the package is read."""

    def on_package(self, *, pkg: Any, **_: Any) -> None:
        for method in (method for name in _CLASSES for method in pkg[name].functions.values()):
            if method.docstring is not None:
                method.docstring.value = _completed(pkg, method)


def _completed(pkg: Any, method: Any) -> str:
    text: str = method.docstring.value
    summary = text.partition("\n\n")[0]
    if found := _SEE.search(summary):
        own = _sections(text)
        text = text.replace(found[0], "")
        for name, body in _sections(pkg[found[1]].docstring.value).items():
            names = {parameter.name for parameter in method.parameters}
            shown = _arguments(body, names) if name == "Args" else body
            if shown and name not in own:
                text += f"\n\n{name}:\n{shown.rstrip()}"
    if found := _RAISES_OF.search(text):
        text = text.replace(found[0], _sections(pkg[found[1]].docstring.value)["Raises"].rstrip())
    return text


def _sections(text: str) -> dict[str, str]:
    return dict(_SECTION.findall(text + "\n"))


def _arguments(body: str, names: set[str]) -> str:
    """Return the entries of these names: each is a line and the deeper lines below it."""
    entries = re.findall(r"^ {4}\S.*\n(?: {5,}.*\n?)*", body, re.MULTILINE)
    return "".join(entry for entry in entries if entry.strip().partition(":")[0] in names)
