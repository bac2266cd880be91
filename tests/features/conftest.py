import shutil
from collections.abc import Iterator

import pytest
from torch import nn

from photogenic import FeatureStore
from photogenic.features.encoders.backbones import Backbone
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


_LOADED: dict[str, nn.Module] = {}


@pytest.fixture(scope="module")
def loaded_networks() -> Iterator[None]:
    """Published networks are read and folded once for all builds of a test run: half the time of a small build."""
    plain = Backbone.module

    def module(backbone: Backbone) -> nn.Module:
        if backbone.weights is None:
            return plain(backbone)
        if backbone.name not in _LOADED:
            _LOADED[backbone.name] = plain(backbone)
        return _LOADED[backbone.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backbone, "module", module)
        yield
