"""Open a Spark session that reads times and numbers in the same way as DuckDB."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from photogenic._lazy import pyspark
from photogenic.warehouse.errors import InputError, MissingPartError
from photogenic.warehouse.processes import launch

T = TypeVar("T")

__all__ = ["Cluster", "require_spark", "run_on_spark", "session"]

LEAST_JAVA = 17

_SAME_RESULTS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
"""Settings under which both engines give the same results; set on every session, also on one opened elsewhere."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Spark master and the facts to compute from.

    Attributes:
        master: Spark master URL: `local[4]`, `spark://HOST:7077`, `yarn`, `k8s://...` or `sc://HOST:15002` (Connect).
        facts: folder or address of the facts, as `features export` writes them; None: Spark computes no labels.
    """

    master: str = "local[*]"
    facts: str | None = None

    @property
    def connects(self) -> bool:
        """Whether the master is a Spark Connect server, so that neither Java nor a context is needed here."""
        return self.master.startswith("sc://")

    @property
    def is_here(self) -> bool:
        """Whether Spark runs on this machine."""
        return self.master.startswith("local")


def session(cluster: Cluster) -> pyspark.sql.SparkSession:
    """Return the session of this process on that master, which stays open until the process ends.

    Raises:
        InputError: the process has a session on another master, or this one does not answer.
        MissingPartError: pyspark or Java is absent; the message has the command to install it.
    """
    require_spark(cluster)

    if not cluster.connects:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        if cluster.is_here:
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        active = pyspark.sql.SparkSession.getActiveSession()
        if active is not None and active.sparkContext.master != cluster.master:
            raise InputError(
                f"This process has a Spark session on {active.sparkContext.master} already.",
                "one master in a process",
                f"--master {active.sparkContext.master}, or another process",
            )
    builder = pyspark.sql.SparkSession.builder.appName("photogenic")
    builder = builder.remote(cluster.master) if cluster.connects else builder.master(cluster.master)
    # Workers start as `python -m`: without this their working folder precedes the standard library.
    quiet = {
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.executorEnv.PYTHONSAFEPATH": "1",
    }
    alone = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"} if cluster.is_here else {}
    for name, value in ({} if cluster.connects else quiet | alone).items():
        builder = builder.config(name, value)
    try:
        with _python_path_of_program(cluster):
            found = builder.getOrCreate()
        for name, value in _SAME_RESULTS.items():
            found.conf.set(name, value)
    except (pyspark.errors.PySparkException, OSError, ValueError) as error:
        raise _unreachable(cluster, error) from error
    except Exception as error:  # py4j and grpc have errors of their own, and grpc may be absent
        if type(error).__module__.split(".")[0] not in ("py4j", "grpc"):
            raise
        raise _unreachable(cluster, error) from error
    return found


@contextlib.contextmanager
def _python_path_of_program(cluster: Cluster) -> Iterator[None]:
    """Context manager in which $PYTHONPATH is the folder of this program: Java passes it to workers."""
    former = os.environ.get("PYTHONPATH")
    if not cluster.is_here:
        yield
        return
    os.environ["PYTHONPATH"] = launch.HOME
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if former is not None:
            os.environ["PYTHONPATH"] = former


def run_on_spark(cluster: Cluster, work: Callable[[], T]) -> T:
    """Run a function that uses Spark, and map failures of the cluster to our errors. Errors in our SQL are bugs.

    Raises:
        InputError: the master or its workers failed.
    """
    try:
        return work()
    except (pyspark.errors.AnalysisException, pyspark.errors.ParseException):
        raise
    except pyspark.errors.PySparkException as error:
        raise _job_failed(cluster, error) from error
    except Exception as error:  # a lost JVM raises errors of py4j, a lost server those of grpc
        if type(error).__module__.split(".")[0] not in ("py4j", "grpc"):
            raise
        raise _unreachable(cluster, error) from error


def _job_failed(cluster: Cluster, error: Exception) -> InputError:
    """Return the error for a failed job, with the last line of the worker's traceback in place of Java's first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    ours = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line) and not line.startswith("org.")]
    return InputError(
        f"The job on Spark at {cluster.master} failed: {(ours or lines)[0]}",
        "workers with the same files under the same paths, the packages, and enough memory and disk",
        "read the logs of the master and its workers; the former state is kept",
    )


def _unreachable(cluster: Cluster, error: Exception) -> InputError:
    """Return the error for a master that does not answer."""
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return InputError(
        f"Spark at {cluster.master} does not answer: {line}",
        "a running master that can be reached: local[*], spark://HOST:7077, sc://HOST:15002",
        "--master 'local[*]' to try it on this machine",
    )


def require_spark(cluster: Cluster, *besides: str) -> None:
    """Check that pyspark and, except for Spark Connect, Java are installed.

    Args:
        cluster: the master.
        besides: other packages that are needed.

    Raises:
        MissingPartError: a package or Java is absent; the message has the command to install it.
    """
    absent = [name for name in ("pyspark", *besides) if importlib.util.find_spec(name) is None]
    if absent:
        raise MissingPartError(
            f"Spark needs {' and '.join(absent)}, which this Python environment lacks.",
            "the extra spark",
            "pip install 'photogenic[spark]'",
        )
    if cluster.connects:
        if importlib.util.find_spec("grpc") is None:
            raise MissingPartError(
                "Spark Connect needs grpc, which this Python environment lacks.",
                "pyspark with connect",
                "pip install 'pyspark[connect]'",
            )
        return
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    version = _java_version(java) if java and Path(java).exists() else None
    if version is None or version < LEAST_JAVA:
        found = "is not on this machine" if version is None else f"is Java {version} here"
        raise MissingPartError(
            f"Spark runs on Java, which {found}.",
            f"Java {LEAST_JAVA} or newer on PATH or in JAVA_HOME",
            "sudo apt-get install --yes openjdk-17-jre-headless",
        )


def _java_version(java: str) -> int | None:
    """Return the major version: 17 for `openjdk version "17.0.2"`, 8 for `java version "1.8.0"`; None: it fails."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=60).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(match[1]) if match else None
