"""If a part of Spark is absent, one message names it and the command to install it."""

import importlib.util
import os
import stat
import subprocess
import sys

import pytest

from photogenic.warehouse import InputError, MissingPartError, Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.spark.export import export
from photogenic.warehouse.spark.session import Cluster, require_spark, session
from tests.warehouse.small import add_facts, store


def without(monkeypatch, *names):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in names else find(name, *rest))


@pytest.mark.parametrize(
    ("absent", "cluster", "command"),
    [
        ("pyspark", Cluster(), "pip install 'photogenic[spark]'"),
        ("grpc", Cluster("sc://somewhere"), "pip install 'pyspark[connect]'"),
    ],
)
def test_an_absent_package_is_named_with_the_command_that_installs_it(monkeypatch, absent, cluster, command):
    pytest.importorskip("pyspark")
    without(monkeypatch, absent)
    with pytest.raises(MissingPartError, match=absent) as caught:
        session(cluster)
    assert caught.value.remedy == command


@pytest.mark.parametrize(("version", "says"), [(None, "is not on this machine"), ("1.8.0_292", "is Java 8 here")])
def test_absent_or_old_java_has_a_command_that_installs_it(monkeypatch, tmp_path, version, says):
    pytest.importorskip("pyspark")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if version:
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        java.write_text(f"#!/bin/sh\necho 'java version \"{version}\"' >&2\n")
        java.chmod(java.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(MissingPartError, match=says) as caught:
        require_spark(Cluster("spark://somewhere:7077"))
    assert "openjdk-17-jre-headless" in caught.value.remedy


def test_connect_needs_no_java(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: object())
    require_spark(Cluster("sc://somewhere"))


def test_the_program_ends_with_that_message_and_no_traceback(tmp_path):
    pytest.importorskip("pyspark")
    db = store(tmp_path)
    add_facts(db, users=[("u", "male")])
    export(Store(db), str(tmp_path / "facts"))
    line = ["build", "--only", "labels", "--engine", "spark", "--facts", str(tmp_path / "facts")]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from photogenic.app.cli.main import main; main()",
            *line,
            "--store",
            str(db.layout.root),
        ],
        env={**os.environ, "JAVA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "Try: sudo apt-get install --yes openjdk-17-jre-headless"
    assert "Traceback" not in done.stderr


def test_facts_that_are_not_there_or_half_there_are_refused(tmp_path, master):
    db = store(tmp_path)
    add_facts(db, users=[("u", "male")])
    with pytest.raises(InputError, match="There are no swipes"):
        build_labels(Store(db), cluster=Cluster(master, str(tmp_path / "mistyped")))
    export(Store(db), str(tmp_path / "facts"))
    (tmp_path / "facts" / "_EXPORTING").touch()
    with pytest.raises(InputError, match="interrupted"):
        build_labels(Store(db), cluster=Cluster(master, str(tmp_path / "facts")))
    with pytest.raises(InputError, match="No facts are given"):
        build_labels(Store(db), cluster=Cluster(master))
    with pytest.raises(InputError, match="one master"):
        session(Cluster("local[3]"))
