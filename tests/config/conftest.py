"""A working folder with a small store, and nothing in the environment."""

import shutil

import pytest

from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from tests.warehouse.small import add_facts, store


@pytest.fixture(scope="session")
def templates(tmp_path_factory):
    """A store of three users whose photos got 2, 4 and 6 swipes, and a copy of it with labels."""
    folder, names = tmp_path_factory.mktemp("config"), ("ann", "bob", "cat")
    (folder / "built").mkdir()
    add_facts(
        store(folder),
        users=[(name, "female") for name in names],
        photos=[(f"p-{name}", name) for name in names],
        main_photos=[(name, f"p-{name}", 1) for name in names],
        swipes=[("dan", name, n % 2 == 0, 2 + n) for at, name in enumerate(names, 1) for n in range(2 * at)],
    )
    shutil.copytree(folder / "store", folder / "built/store")
    build_labels(Store(store(folder / "built")))
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch, templates):
    """A working folder with a store without labels."""
    monkeypatch.chdir(tmp_path)
    for name in ("FEATURES_STORE", "FEATURES_CONFIG", "FEATURES_MEMORY_LIMIT", "FEATURES_THREADS"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(templates / "store", tmp_path / "store")
    return tmp_path


@pytest.fixture
def built(folder, templates):
    """The same with labels."""
    shutil.rmtree(folder / "store")
    shutil.copytree(templates / "built/store", folder / "store")
    return folder
