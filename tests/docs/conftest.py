import os
from pathlib import Path

import pytest

from tests.docs.runner.fork_server import GRID, ForkServer
from tests.docs.runner.page_runner import run_page
from tests.docs.runner.worlds import fill


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A process that runs the commands of pages in forks."""
    with ForkServer(Path(tmp_path_factory.mktemp("docs")) / "server") as server:
        yield server


@pytest.fixture
def run(server, prepared, tmp_path):
    """A function that runs a page in a fresh folder and returns what is wrong, as one text."""

    def run(page):
        folder = tmp_path / "page"
        folder.mkdir()
        fill(folder, page, prepared)
        outcomes = run_page(page, folder, server, grid=os.environ.get(GRID, "small"))
        return "\n\n".join(f"{page.name}:{found.line}: {found.failure}" for found in outcomes if found.failure)

    return run
