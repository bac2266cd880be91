import pytest

from tests.warehouse.small import swipes_store


@pytest.fixture(scope="session")
def swipes_db(tmp_path_factory):
    """A store of 5,000 swipes for queries."""
    return swipes_store(tmp_path_factory.mktemp("asked"))
