import shutil

import pytest

from photogenic import FeatureStore
from tests.features.toy import SETTINGS
from tests.maintenance.kept import make


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The database of a store to make backups of; see `make`."""
    return make(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def store(whole, tmp_path):
    shutil.copytree(whole.layout.root, tmp_path / "store")
    return FeatureStore(tmp_path / "store", settings=SETTINGS)


@pytest.fixture
def other(tmp_path):
    return FeatureStore(tmp_path / "elsewhere" / "store", settings=SETTINGS)
