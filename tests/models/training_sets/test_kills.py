"""A creation of a training set is killed at every step that writes; the next one gives the same set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from photogenic.models.training_sets.versions import find, listed, verify
from photogenic.warehouse.storage.training_set_files import hold
from tests.models.training_sets.sets import made, make, opened, spells
from tests.warehouse.small import ask

STEPS = ("write_rows", "describe", "write_manifest", "sync_directory", "_row")
"""Functions of the creation after which the process is killed."""

PROGRAM = """
import os, signal, sys
from photogenic.models.training_sets import create as module
from photogenic.warehouse import Store
from tests.models.training_sets.sets import made

original = getattr(module, sys.argv[2])

def and_die(*args, **named):
    original(*args, **named)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(module, sys.argv[2], and_die)
made(Store.open(sys.argv[1]))
"""


@pytest.fixture
def store(tmp_path):
    return make(tmp_path, {"spells": spells()}, n=8)


@pytest.mark.parametrize("step", STEPS)
def test_killed_and_run_again(store, step):
    command = [sys.executable, "-c", PROGRAM, str(store.layout.root), step]
    done = subprocess.run(command, check=False, capture_output=True, timeout=120, cwd=Path(__file__).parents[3])
    assert done.returncode == -9, done.stderr.decode()
    assert listed(store) == []
    assert ask(store.database, "select count(*) from training_sets") == [(0,)]
    result = made(store)
    assert (result.manifest.version, result.is_new) == (1, True)
    assert {one.state for one in verify(store)} == {"ok"}
    assert len(opened(store)) == 16
    folder, _ = find(store, "may")
    assert [path.name for path in folder.parent.iterdir()] == ["v1"]
    assert [path.name for path in store.layout.training_sets.iterdir()] == ["may"]


def test_a_creation_that_runs_keeps_its_folder_while_another_one_ends(store):
    running = store.layout.training_sets / ".june.1.tmp"
    running.mkdir(parents=True)
    handle = hold(running)
    made(store)
    assert running.is_dir()
    os.close(handle)
    made(store)
    assert not running.exists()
