"""What all tests share: folders that one process prepares for all, and one Spark a process, for those who ask."""

import fcntl
import os
import shutil
import sys

import pytest

from photogenic.warehouse import MissingPartError
from photogenic.warehouse.spark.session import Cluster, require_spark

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
"""A third of the processor time of Spark's own settings, for tables of some thousand rows."""


@pytest.fixture(scope="session")
def master():
    """The address of a Spark on this machine; skips where there can be none."""
    try:
        require_spark(Cluster(MASTER))
    except MissingPartError as error:
        pytest.skip(str(error))
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(MASTER)
    for name, value in LEAN.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield MASTER
    session.stop()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A function: the folder of this name, which `make(folder)` fills in whichever process of the run asks first.

    All read it; whoever changes something takes a copy.
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
"""Folders whose tests start servers, kill processes or make worlds: none of them is quick."""


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item):
    folders = item.path.relative_to(item.config.rootpath).parts
    if SLOW & set(folders) or "master" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(items):
    """Files with slow tests go out first, those on the rated photos before all: no process ends with the longest."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.parent.name != "real"))
