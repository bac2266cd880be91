import itertools

import pytest

from tests.ingest.streams.events import Listener
from tests.kafka_broker import binary, running

_numbers = itertools.count()


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory):
    binary()
    with running(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def broker(shared_broker):
    """A broker that other tests share: it is neither cut nor stopped."""
    return shared_broker


@pytest.fixture
def own_broker(tmp_path):
    """A broker that the test may cut and stop."""
    binary()
    with running(tmp_path) as broker:
        yield broker


@pytest.fixture
def topic():
    """A name that no other test uses."""
    return f"swipes-{next(_numbers)}"


@pytest.fixture
def start():
    """Starts listeners; those that run at the end of the test are killed."""
    started = []

    def run(*arguments):
        started.append(Listener(*arguments))
        return started[-1]

    yield run
    for listener in started:
        listener.kill()
