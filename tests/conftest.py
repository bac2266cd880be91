"""What all rooms' tests share: one Spark a process, started once, and only when a test asks for it."""

import os
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


def pytest_collection_modifyitems(items):
    """Files with slow tests go out first, those on the rated photos before all: no process ends with the longest."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.parent.name != "real"))
