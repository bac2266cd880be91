"""The rated photos next to the checkout. If they are missing, these tests are skipped."""

import shutil
from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.real)
            if not DATA.is_dir():
                item.add_marker(pytest.mark.skip(reason="the rated photos are not next to this checkout"))


@pytest.fixture(scope="session")
def data():
    return DATA


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """A function that returns the labels of one data set, built once, without faces and vectors."""
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


@pytest.fixture(scope="module")
def rated(tmp_path_factory, data, prepared):
    """A function that returns a store of one data set with vectors of both default encoders, a copy per test file."""
    from photogenic import FeatureStore

    def make(root, name):
        with FeatureStore(root) as store:
            store.ingest_users(data / name / "users.csv")
            store.ingest_photos(data / name / "photos.csv", images=data / name)
            store.ingest_swipes(data / name / "swipes.csv")
            store.build(encoders=["efficientnet_lite0", "dlib_face"])

    def opened(name):
        root = tmp_path_factory.mktemp(name) / "store"
        shutil.copytree(prepared(f"rated-{name}", lambda folder: make(folder, name)), root)
        return FeatureStore(root)

    return opened
