"""Fixtures of all fault tests: one process that forks, and one small complete store."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from photogenic.synthetic.swipes.world import make_world
from tests.faults.zygote import Zygote

THOROUGH = bool(os.environ.get("FAULTS_ALL"))
"""Whether every row of every table is run, as in `make test-thorough` and `make soak`; else only the chosen ones."""

BUILD = ("build", "--encoder", "mean_colour")
TRAIN = ("train", "--encoder", "mean_colour", "--head", "ridge", "--setup", "all", "--target", "like_ratio")
FINETUNE = ("finetune", "--target", "popular", "--setup", "all", "--iterations", "4", "--batch-size", "4")


@dataclass(frozen=True)
class World:
    """Files to ingest, in a folder beside the stores."""

    folder: Path

    @property
    def users(self):
        return self.folder / "users.csv"

    @property
    def photos(self):
        return self.folder / "photos.csv"

    @property
    def main_photos(self):
        return self.folder / "main_photos.csv"

    @property
    def swipes(self):
        return sorted(self.folder.glob("swipes*"))

    @property
    def images(self):
        return self.folder / "images"


@pytest.fixture(scope="session")
def zygote():
    with Zygote() as zygote:
        yield zygote


@pytest.fixture(scope="session")
def folder(tmp_path_factory, zygote):
    """Make `world`, `ingested` and `built`, in the first process of a test run that needs them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "faults"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            _make(folder, zygote)
    return folder


def _make(folder, zygote):
    make_world(folder / "world", users=60, swipes=6_000, seed=3, picture_size=64)
    store = folder / "making"
    for command in (*ingests(World(folder / "world")), None, BUILD, TRAIN):
        if command is None:
            shutil.copytree(store, folder / "ingested")
            continue
        ended = zygote.run(*command, "--store", store)
        assert ended.code == 0, ended.err
    store.rename(folder / "built")


@pytest.fixture(scope="session")
def world(folder):
    return World(folder / "world")


@pytest.fixture(scope="session")
def ingested(folder):
    """An ingested store without a build."""
    return folder / "ingested"


@pytest.fixture(scope="session")
def built(folder):
    """A store with labels, vectors, an index and a head."""
    return folder / "built"


@pytest.fixture
def copy(built):
    """Copy the built store, or another one, so that a test may break it. None: an empty place."""
    made = []

    def copied(of=built):
        made.append(built.with_name(f"copy-{uuid.uuid4().hex[:12]}"))
        if of is not None:
            shutil.copytree(of, made[-1])
        return made[-1]

    yield copied
    for path in made:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def asked(zygote):
    """Call a function of readers.py in a fork."""

    def ask(name, *words):
        ended = zygote.run(*words, call=f"tests.faults.readers:{name}")
        assert ended.code == 0, ended.err
        return json.loads(ended.out.splitlines()[-1])

    return ask


def ingests(world):
    return (
        ("ingest", "users", world.users),
        ("ingest", "photos", world.photos, "--images", world.images),
        ("ingest", "main-photos", world.main_photos),
        ("ingest", "swipes", *world.swipes),
    )


def plain(ended):
    """Whether a command ended with success or with one of our errors."""
    beats = "Expected:" in ended.err or "Try:" in ended.err
    return ended.code == 0 or (ended.code == 1 and beats and "Traceback" not in ended.err)
