"""The rated photos beside the checkout. Where they are absent, these tests are skipped."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.real)
            if not DATA.is_dir():
                item.add_marker(pytest.mark.skip(reason="the rated photos are not beside this checkout"))


@pytest.fixture(scope="session")
def data():
    return DATA


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """A function: the labels of one data set, built once, without looking at pictures."""
    from photogenic import FeatureStore

    built = {}

    def build(name):
        if name not in built:
            folder, store = DATA / name, FeatureStore(tmp_path_factory.mktemp(name) / "store")
            for kind in ("users", "photos", "swipes"):
                if (folder / f"{kind}.csv").exists():
                    getattr(store, f"ingest_{kind}")(folder / f"{kind}.csv")
            store.build(only="labels")
            built[name] = store
        return built[name]

    return build
