"""A cluster of two workers, one of which is killed during a label build; the other one finishes the build.

SPARK_SWIPES=40000000 pytest tests/warehouse/spark/test_standalone.py -s        the same at another size
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from photogenic import sql
from photogenic.features.compute.pipeline import compute
from photogenic.features.vectors import reader
from photogenic.warehouse import Database, Layout, MissingPartError, Settings, Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.spark.export import export
from photogenic.warehouse.spark.session import Cluster, require_spark
from tests.bench.bench_labels import generate
from tests.conftest import LEAN
from tests.features.gallery import Gallery, portrait
from tests.warehouse.small import ask
from tests.warehouse.spark.cluster_child import PAIR
from tests.warehouse.standalone import LEAN_JAVA, standalone

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(7200)]

SWIPES = int(os.environ.get("SPARK_SWIPES", "100000"))
LARGE = SWIPES > 1_000_000
MIDWAY = "swipe_counts"
"""The relation during which the worker is killed: the first one that reads the swipes."""


def conf():
    java = {"spark.executor.extraJavaOptions": LEAN_JAVA, "spark.executor.memory": "600m"}
    plain = {name: LEAN[name] for name in LEAN if "ui" in name or "host" in name or "log" in name}
    return {**plain, "spark.executor.memory": "3g"} if LARGE else {**LEAN, **java}


def wait_until(true, child):
    while not true():
        assert child.poll() is None, child.communicate()[1][-3000:]
        time.sleep(0.02)


def test_a_build_survives_the_death_of_a_worker_with_equal_results(tmp_path):
    try:
        require_spark(Cluster("spark://127.0.0.1:1"))
    except MissingPartError as error:
        pytest.skip(str(error))
    settings = Settings(memory_limit="2GB", threads=2)
    ours, theirs = (Database(Layout(tmp_path / name), settings) for name in ("ours", "theirs"))
    generate(ours, SWIPES, **({} if LARGE else {"users": 1_000, "events": 2_200}))
    build_labels(Store(ours))
    facts = tmp_path / "facts"
    export(Store(ours), str(facts))
    photos = {f"p{n}": portrait(n) for n in range(5)}
    here, there = Gallery(tmp_path / "here", photos), Gallery(tmp_path / "there", photos)
    compute(here.store, PAIR)
    stores = [str(path) for path in (theirs.layout.root, facts, there.layout.root)]
    with standalone(tmp_path / "cluster", conf(), memory="4g" if LARGE else "1g") as cluster:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.warehouse.spark.cluster_child", *stores, cluster.url],
            env={**cluster.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until((facts / "relations" / MIDWAY).exists, child)
        time.sleep(10 if LARGE else 0)
        cluster.kill(0)
        assert child.poll() is None
        assert not (facts / "relations" / sql.RELATIONS[-1]).exists()
        printed, said = child.communicate(timeout=7000)
        assert child.returncode == 0, said[-3000:]
        assert "Lost executor" in said
        assert cluster.alive() == 1
        told = json.loads(printed)
        print(f"\n{SWIPES:,} swipes, one of two workers killed: {told}")
    sums = "select relation, n_rows, checksum from checksums order by relation"
    assert ask(theirs, sums) == ask(ours, sums)
    assert len(ask(theirs, sums)) == len(sql.RELATIONS)
    assert ask(theirs, "select sum(n_swipes) from swipe_audit") == [(SWIPES,)]
    # The workers have the program as it is here, sent along, and find what this machine finds.
    assert "/photogenic_" in told["home"]
    assert told["n_decoded"] == len(photos)
    for name in PAIR:
        assert reader.manifest(there.layout, name).content == reader.manifest(here.layout, name).content
