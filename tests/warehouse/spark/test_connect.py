"""Spark Connect (`sc://`): the same labels and vectors, from a client that starts no Java."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from photogenic.features.compute.pipeline import compute
from photogenic.features.vectors import reader
from photogenic.warehouse import MissingPartError, Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.spark.export import export
from photogenic.warehouse.spark.session import Cluster, require_spark
from tests.conftest import LEAN
from tests.features.gallery import Gallery, portrait
from tests.warehouse.small import add_facts, ask, store
from tests.warehouse.spark.cluster_child import PAIR
from tests.warehouse.standalone import connect_server

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(900)]


def test_a_server_gives_the_same_labels_and_vectors(tmp_path):
    try:
        require_spark(Cluster("sc://127.0.0.1"))
        require_spark(Cluster("local"))
    except MissingPartError as error:
        pytest.skip(str(error))
    ours, theirs = store(tmp_path / "ours"), store(tmp_path / "theirs")
    add_facts(
        ours,
        users=[(f"u{n}", ("female", "male", None)[n % 3]) for n in range(9)],
        photos=[(f"p{n}", f"u{n}") for n in range(9)],
        main_photos=[(f"u{n}", f"p{n}", 1) for n in range(9)],
        swipes=[(f"u{n}", f"u{m}", (n * m) % 2 == 0, 2 + n) for n in range(9) for m in range(9)],
    )
    build_labels(Store(ours))
    export(Store(ours), str(tmp_path / "facts"))
    photos = {f"p{n}": portrait(n) for n in range(5)}
    here, there = Gallery(tmp_path / "here", photos), Gallery(tmp_path / "there", photos)
    compute(here.store, PAIR)
    stores = [str(path) for path in (theirs.layout.root, tmp_path / "facts", there.layout.root)]
    with connect_server(tmp_path / "server", LEAN) as url:
        done = subprocess.run(
            [sys.executable, "-m", "tests.warehouse.spark.cluster_child", *stores, url],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "JAVA_HOME": str(tmp_path)},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert "/photogenic_" in told["home"]
    assert told["n_decoded"] == len(photos)
    sums = "select relation, n_rows, checksum from checksums order by relation"
    assert ask(theirs, sums) == ask(ours, sums)
    for name in PAIR:
        assert reader.manifest(there.layout, name).content == reader.manifest(here.layout, name).content
