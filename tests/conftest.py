"""Shared fixtures: folders that one process prepares for all, and one Spark session per process on request."""

import contextlib
import fcntl
import os
import shutil
import sys

import pytest

from photogenic.warehouse import MissingPartError
from photogenic.warehouse.spark.session import Cluster, require_spark
from tests.faults.zygote import Zygote
from tests.postgres_server import database, postgres  # noqa: F401
from tests.s3_server import bucket, s3_port  # noqa: F401  fixtures of all tests

MASTER = "local[2]"
LEAN = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.host": "127.0.0.1",
    "spark.log.level": "ERROR",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
"""Settings with a third of the processor time of Spark's defaults, for tables of some thousand rows."""


@contextlib.contextmanager
def spark_session():
    """Keep one lean Spark session at MASTER, which builds then use."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(MASTER)
    for name, value in LEAN.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield
    session.stop()


@pytest.fixture(scope="session")
def master():
    """Spark master URL on this machine; skips the test if Spark cannot run."""
    try:
        require_spark(Cluster(MASTER))
    except MissingPartError as error:
        pytest.skip(str(error))
    with spark_session():
        yield MASTER


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A function that returns the folder of a name; the first process that asks for it calls `make(folder)`.

    All tests read the folder; a test that changes files makes a copy.
    """
    base = tmp_path_factory.getbasetemp()
    base = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "prepared"
    base.mkdir(exist_ok=True)

    def ready(name, make):
        folder, making = base / name, base / f"{name}.making"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                shutil.rmtree(making, ignore_errors=True)
                make(making)
                making.rename(folder)
        return folder

    return ready


SLOW = {"faults", "serve", "soak", "worlds"}
"""Folders whose tests start servers, kill processes or make worlds, which is slow."""


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item):
    folders = item.path.relative_to(item.config.rootpath).parts
    if SLOW & set(folders) or "master" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(items):
    """Run files with slow tests first, those on the rated photos before all: no process ends with the longest."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.parent.name != "real"))


@pytest.fixture(scope="session")
def forks():
    """Run commands in forks of one process: see `typed`."""
    with Zygote(FEATURES_ENCODERS="") as zygote:
        yield zygote
