"""Write the pages of docs/reference from the code.

    python -m docs._tools.reference

A test fails while a page differs from what the code says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs._tools import command_line, errors, http_api, python_api, relations, settings

FOLDER = Path(__file__).parents[1] / "reference"

PAGES: dict[str, Callable[[str], str]] = {
    "command-line.md": command_line.page,
    "python.md": python_api.page,
    "relations.md": relations.page,
    "http.md": http_api.page,
    "settings.md": settings.page,
    "errors.md": errors.page,
}
"""File -> function that returns its text, given the former text."""


def written(name: str) -> str:
    """Return the text that a page must have."""
    path = FOLDER / name
    return PAGES[name](path.read_text(encoding="utf-8") if path.exists() else "")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for page in PAGES:
        (FOLDER / page).write_text(written(page), encoding="utf-8")
