"""The README's commands and its Python run, in their order, as someone would type them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from photogenic.synthetic.swipes.world import make_world

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line[2:] for language, text in BLOCKS if language == "console" for line in text.splitlines()]
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder such as the tour starts from: files, pictures, and a portrait nobody has rated."""
    folder = tmp_path_factory.mktemp("tour")
    world = make_world(folder, users=60, seed=1)
    shutil.copy(world.images / "p000001.jpg", folder / "portrait.jpg")
    return folder


def run(command, folder, stdin=None):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FEATURES_")}
    environment |= {"PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        shell=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def test_console_blocks_hold_commands_only():
    lines = [line for language, text in BLOCKS if language == "console" for line in text.splitlines()]
    assert all(line.startswith("$ features ") for line in lines)
    assert len(COMMANDS) >= 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tour_runs(folder):
    printed = {command: run(command, folder) for command in COMMANDS}
    accounts = "".join(out for command, out in printed.items() if command.startswith("features ingest"))
    assert accounts.count(" read = ") == 5
    assert "Table 2. Like ratio" in next(out for command, out in printed.items() if "train" in command)
    assert (folder / "like_ratios.parquet").exists()
    for text in PYTHON:
        run("python -", folder, stdin=text)
