"""kill -9 at random moments of a build; the next build ends where an undisturbed one ends."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from photogenic import FeatureStore, sql
from photogenic.synthetic.swipes.world import make_world

FEATURES = Path(sys.executable).with_name("features")
ENCODERS = ("efficientnet_lite0", "dlib_face")


def build(store):
    return subprocess.Popen(
        [FEATURES, "build", "--store", store], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(store):
    process = build(store)
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors


def relations(store):
    # The relation of indices without its measured milliseconds.
    names = (*sql.RELATIONS, "photos", "faces", "(from embeddings select * exclude p50_ms)")
    return {name: sorted(map(repr, store.sql(f"select * from {name}").rows())) for name in names}


def same(calm, shaken):
    with FeatureStore(calm) as one, FeatureStore(shaken) as other:
        assert relations(other) == relations(one)
        for encoder in ENCODERS:
            ids, vectors = one.embeddings(encoder)
            other_ids, other_vectors = other.embeddings(encoder)
            assert other_ids == ids
            np.testing.assert_allclose(other_vectors, vectors, atol=1e-5)
            for query in ids[:3]:
                near = [store.similar(query, k=10, encoder=encoder)["photo_id"].to_list() for store in (one, other)]
                assert near[0] == near[1]
    assert [path for path in shaken.rglob("*") if path.name.endswith((".tmp", ".wal"))] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.thorough)])
def test_killed_builds_end_like_an_undisturbed_one(tmp_path, kills):
    """With the default encoders; tests/faults/test_kills.py kills every other command too, with a small one."""
    world = make_world(tmp_path / "world", users=40, swipes=4_000, seed=3, picture_size=160)
    fresh, calm, shaken = (tmp_path / name for name in ("fresh", "calm", "shaken"))
    with FeatureStore(fresh) as store:
        store.ingest_users(world.users)
        store.ingest_photos(world.photos, images=world.images)
        store.ingest_main_photos(world.main_photos)
        store.ingest_swipes(*world.swipes)
    shutil.copytree(fresh, calm)
    shutil.copytree(fresh, shaken)
    started = time.monotonic()
    finish(calm)
    whole_s = time.monotonic() - started

    moments, killed = random.Random(1), 0
    while killed < kills:
        process = build(shaken)
        try:
            process.wait(moments.uniform(0.05, whole_s))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        else:  # the earlier kills let it finish: check it, and start again
            same(calm, shaken)
            shutil.rmtree(shaken)
            shutil.copytree(fresh, shaken)
        process.communicate()
    finish(shaken)
    same(calm, shaken)
