"""kill -9 at any moment of an ingest: the repeated command gives the same store."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from photogenic.warehouse import Database, Layout, Settings
from tests.ingest.ingest_store import SWIPES, StoreWithFiles

CHILD = Path(__file__).with_name("ingest_child.py")
CONTENT = {
    "photos": "select * exclude (ingested_at) from facts.photos order by all",
    "photo_files": "select * exclude (ingested_at) from facts.photo_files order by all",
    "main_photos": "select * exclude (ingested_at) from facts.main_photos order by all",
    "swipes": "select * exclude (ingested_at) from facts.swipes order by all",
    "rejects": "select * exclude (ingested_at) from facts.rejects order by all",
    "ingests": "select * exclude (ingested_at, duration_s) from facts.ingests order by all",
}


def content(store):
    db = Database(Layout(store), Settings("500MB", 2))
    with db.read() as con:
        found = {name: con.execute(query).fetchall() for name, query in CONTENT.items()}
    found["bytes"] = sorted(path.name for path in db.layout.photos.rglob("*.*"))
    for path in db.layout.photos.rglob("*.jpg"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
    return found


def start(store, folder):
    child = subprocess.Popen([sys.executable, CHILD, store, folder], stdout=subprocess.PIPE, cwd=CHILD.parents[3])
    assert child.stdout.readline() == b"ready\n"
    return child


@pytest.mark.slow
@pytest.mark.parametrize("trials", [2, pytest.param(8, marks=pytest.mark.thorough)])
def test_killed_at_any_moment_and_run_again_the_result_is_the_same(tmp_path, trials):
    folder, rng = tmp_path / "given", random.Random(3)
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(300):
        Image.effect_noise((40, 40), 80).convert("RGB").save(folder / "images" / f"{number}.jpg")
        rows.append(f"p{number},u{number % 90},{number}.jpg,2024-01-01T00:00:{number % 60:02}\n")
    (folder / "photos.csv").write_text("photo_id,user_id,path,set_at\n" + "".join(rows))
    for part in range(3):
        lines = [f"u{rng.randrange(99)},u{rng.randrange(99)},{rng.randrange(9)},2024-01-01\n" for _ in range(8_000)]
        (folder / f"swipes-{part}.csv").write_text(SWIPES + "".join(lines))
    began = time.monotonic()
    with start(tmp_path / "undisturbed", folder) as child:
        began = time.monotonic()
    assert child.returncode == 0
    expected, took = content(tmp_path / "undisturbed"), time.monotonic() - began
    n_killed = 0
    for trial in range(trials):
        store = tmp_path / f"killed-{trial}"
        for _ in range(2):
            with start(store, folder) as child:
                time.sleep(rng.uniform(0, took))
                child.send_signal(signal.SIGKILL)
            n_killed += child.returncode == -signal.SIGKILL
        with start(store, folder) as child:
            pass
        assert child.returncode == 0
        assert content(store) == expected
    assert n_killed > trials // 2


def test_nothing_of_a_file_is_loaded_after_an_error_in_it(tmp_path, monkeypatch):
    store = StoreWithFiles(tmp_path)
    store.take_text("swipes", SWIPES + "a,b,1,2024-01-01\n", "first.csv")
    monkeypatch.setattr("photogenic.ingest.tabular.event_rows.name_events", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.take_text("swipes", SWIPES + "c,d,1,2024-01-01\nc,d,1,2024-01-01\ne,f,?,2024-01-01\n", "second.csv")
    monkeypatch.undo()
    assert len(store.swipes()) == 1
    account = store.take_text("swipes", SWIPES + "c,d,1,2024-01-01\nc,d,1,2024-01-01\ne,f,?,2024-01-01\n", "second.csv")
    assert (account.repeated, account.n_new, account.n_known, account.n_refused) == (False, 1, 1, 1)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    from photogenic.ingest.tabular import load
    from photogenic.warehouse import InputError

    store = StoreWithFiles(tmp_path)
    path = store.file("swipes.csv", SWIPES + "a,b,1,2024-01-01\n")

    def add_events(*given):
        path.write_text(SWIPES + "a,b,1,2024-01-01\nc,d,1,2024-01-01\n")
        return 1

    monkeypatch.setattr(load, "add_events", add_events)
    with pytest.raises(InputError, match="changed while it was read"):
        store.take("swipes", path)
    assert store.rows("select count(*) from facts.ingests") == [(0,)]
