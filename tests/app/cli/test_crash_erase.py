"""kill -9 at random moments of an erase: readers see before or after, and the next one ends as if undisturbed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from photogenic import FeatureStore
from photogenic.synthetic.swipes.world import make_world
from photogenic.warehouse import StoreError
from tests.app.cli.test_crash import same
from tests.scanner import found

pytestmark = pytest.mark.slow

FEATURES = Path(sys.executable).with_name("features")
PEOPLE = ["u000003", "u000011", "u000026"]


def erase(store, *people):
    return subprocess.Popen(
        [FEATURES, "erase", *people, "--yes", "--store", store],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(store, *people):
    process = erase(store, *people)
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("erase")
    world = make_world(folder / "world", users=40, seed=3)
    with FeatureStore(folder / "store") as store:
        store.ingest_users(world.users)
        store.ingest_photos(world.photos, images=world.images)
        store.ingest_main_photos(world.main_photos)
        store.ingest_swipes(*world.swipes)
        store.build(neighbours=3, near_duplicates=True)
    return folder / "store"


def left_in(root, needles):
    return {name: files for name, files in found(root, needles).items() if files}


def seen(root):
    """Return what a reader sees: users, photos, labels, and the ids in embeddings and indices."""
    with FeatureStore(root) as store:
        n_users = store.sql(f"select count(*) from users where user_id in {tuple(PEOPLE)}").item()
        n_labels = store.sql(f"select count(*) from photo_labels where user_id in {tuple(PEOPLE)}").item()
        whole = store.sql("select photo_id from photo_labels order by all limit 1").item()
        assert len(store.similar(whole, k=3))
    return n_users, n_labels


def shaken(built, folder, kills, seed):
    calm, shaken = folder / "calm", folder / "shaken"
    shutil.copytree(built, calm)
    shutil.copytree(built, shaken)
    with FeatureStore(built) as store:
        rows = store.sql(f"select photo_id, sha256 from photos where user_id in {tuple(PEOPLE)}").rows()
    needles = {one: [one.encode()] for one in (*PEOPLE, *(value for row in rows for value in row))}
    assert not [name for name, files in found(built, needles).items() if not files]
    before = seen(built)
    started = time.monotonic()
    finish(calm, *PEOPLE)
    whole_s = time.monotonic() - started
    after = seen(calm)
    assert before[0] == len(PEOPLE)
    assert after == (0, 0)

    moments, killed = random.Random(seed), 0
    while killed < kills:
        cut_off = (shaken / "erased" / "journal.json").exists()
        process = erase(shaken, *([] if cut_off else PEOPLE))
        try:
            process.wait(moments.uniform(0.5, whole_s))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
            process.communicate()
            assert seen(shaken) in (before, after)
            if (shaken / "erased" / "journal.json").exists():
                with FeatureStore(shaken) as store, pytest.raises(StoreError, match="was interrupted"):
                    store.build(only="labels")
        else:  # the earlier kills let it finish: check it, and start again
            process.communicate()
            same(calm, shaken)
            assert left_in(shaken, needles) == {}
            shutil.rmtree(shaken)
            shutil.copytree(built, shaken)
    cut_off = (shaken / "erased" / "journal.json").exists()
    with FeatureStore(shaken) as store:
        done = not cut_off and not store.sql(f"select 1 from users where user_id = '{PEOPLE[0]}'").height
    if not done:
        finish(shaken, *([] if cut_off else PEOPLE))
    same(calm, shaken)
    assert left_in(shaken, needles) == {}
    assert not (shaken / "erased" / "work").exists()
    assert len(list((shaken / "erased" / "receipts").iterdir())) == 1


@pytest.mark.timeout(900)
def test_killed_again_and_again_an_erase_ends_as_if_undisturbed(built, tmp_path):
    shaken(built, tmp_path, kills=20 if os.environ.get("FAULTS_ALL") else 3, seed=7)
