from collections.abc import Iterator

import pytest
from torch import nn

from photogenic.features.encoders.base import Backbone

_LOADED: dict[str, nn.Module] = {}


@pytest.fixture(scope="module")
def loaded_networks() -> Iterator[None]:
    """Load and fuse published networks once per test run, which halves the time of a small build."""
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
