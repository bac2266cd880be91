"""Pages as parameters of tests. Each folder has its test file, so that several processes share the pages."""

import pytest

from tests.docs.runner.pages import pages
from tests.docs.runner.worlds import LONDON


def pages_of(*folders):
    """Parametrize `page` over the pages of folders that have blocks to run; "." is README.md and the pages in docs/."""
    chosen = [page for page in pages() if page.runs and folder_of(page) in folders]
    marks = [[pytest.mark.thorough] if page.thorough else [] for page in chosen]
    for page, held in zip(chosen, marks, strict=True):
        if page.files == "london" and not LONDON.is_dir():
            held.append(pytest.mark.skip(reason="the rated photos are not next to this checkout"))
    return pytest.mark.parametrize(
        "page", [pytest.param(page, id=page.name, marks=m) for page, m in zip(chosen, marks, strict=True)]
    )


def folder_of(page):
    parts = page.name.removeprefix("docs/").split("/")
    return parts[0] if len(parts) > 1 else "."
