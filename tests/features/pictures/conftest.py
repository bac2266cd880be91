import sys

import pytest

from photogenic.features.pictures import registry

OWN = "tests.features.pictures.own"


@pytest.fixture
def no_features(monkeypatch):
    """Forget what a test registers."""
    monkeypatch.setattr(registry, "_OWN", {})
    yield
    sys.modules.pop(OWN, None)


@pytest.fixture
def own_module(no_features, monkeypatch):
    """Name a module with features of a user."""
    sys.modules.pop(OWN, None)
    monkeypatch.setenv("FEATURES_MODULES", OWN)
