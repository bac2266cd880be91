"""The README's commands and Python code run in their order, as a user would type them."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from photogenic.synthetic.swipes.world import make_world

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line[2:] for language, text in BLOCKS if language == "console" for line in text.splitlines()]
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as at the start of the tour: files, pictures, and a portrait without ratings."""
    folder = tmp_path_factory.mktemp("tour")
    world = make_world(folder, users=60, swipes=12_000, seed=1, picture_size=160)
    shutil.copy(world.images / "p000001.jpg", folder / "portrait.jpg")
    return folder


def test_console_blocks_hold_commands_only():
    lines = [line for language, text in BLOCKS if language == "console" for line in text.splitlines()]
    assert all(line.startswith("$ features ") for line in lines)
    assert len(COMMANDS) >= 10


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("grid", ["small", pytest.param("published", marks=pytest.mark.thorough)])
def test_the_tour_runs(grid, folder, forks):
    shutil.rmtree(folder / "store", ignore_errors=True)
    shutil.rmtree(folder / "kept", ignore_errors=True)
    shutil.rmtree(folder / "another", ignore_errors=True)
    call = "typed_quickly" if grid == "small" else "typed"

    def run(call, *words):
        ended = forks.run(folder, *words, call=f"tests.app.typed:{call}")
        assert ended.code == 0, f"{words}\n{ended.err}"
        return ended.out

    printed = {command: run(call, *shlex.split(command)[1:]) for command in COMMANDS}
    accounts = "".join(out for command, out in printed.items() if command.startswith("features ingest"))
    assert accounts.count(" read = ") == 5
    assert "Table 2. Like ratio" in next(out for command, out in printed.items() if "train" in command)
    assert (folder / "like_ratios.parquet").exists()
    for text in PYTHON:
        run("script", text)
