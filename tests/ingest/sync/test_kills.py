"""kill -9 at any moment of a sync, rows that change meanwhile, and in the end each row once."""

import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from photogenic import FeatureStore

CHILD = Path(__file__).with_name("sync_child.py")
CONFIG = """
[[sources]]
name = "log"
kind = "swipes"
from = "log/*.csv"
[[sources]]
name = "table"
kind = "swipes"
from = "{address}"
query = "select sender_id, recipient_id, liked, swiped_at, changed_at from swipes"
watermark = "changed_at"
"""
CONTENT = "select sender_id, recipient_id, liked, swiped_at from swipes order by all"


def start(folder, rows):
    child = subprocess.Popen([sys.executable, CHILD, folder, str(rows)], stdout=subprocess.PIPE, cwd=CHILD.parents[3])
    assert child.stdout.readline() == b"ready\n"
    return child


def content(folder):
    with FeatureStore(folder / "store", config=folder / "photogenic.toml") as store:
        return store.sql(CONTENT).rows()


def write_log(folder, n):
    lines = [f"f{n}-{row},b,{row % 2},2024-01-01T00:00:{row % 60:02}\n" for row in range(500)]
    (folder / "log" / f"{n:03}.csv").write_text("sender_id,recipient_id,liked,swiped_at\n" + "".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("kills", [4, pytest.param(10, marks=pytest.mark.thorough)])
def test_killed_at_random_while_rows_come_each_row_counts_once(tmp_path, kills):
    chance, n_rows, n_killed = random.Random(5), 30_000, 0
    (tmp_path / "log").mkdir()
    con = sqlite3.connect(tmp_path / "app.db")
    con.execute("create table swipes (sender_id, recipient_id, liked, swiped_at, changed_at)")
    (tmp_path / "photogenic.toml").write_text(CONFIG.format(address="sqlite:app.db"))
    n_made = 0

    def add(n):
        nonlocal n_made
        rows = [
            (
                f"s{i}",
                "b",
                i % 2,
                "2024-01-01 00:00:00",
                f"2024-05-01 {i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}",
            )
            for i in range(n_made, n_made + n)
        ]
        with con:
            con.executemany("insert into swipes values (?, ?, ?, ?, ?)", rows)
        n_made += n

    add(n_rows)
    for n in range(3):
        write_log(tmp_path, n)
    for kill in range(kills):
        with start(tmp_path, 3_000) as child:
            try:
                child.wait(chance.uniform(0.02, 0.5))
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                n_killed += 1
        add(500)
        write_log(tmp_path, 3 + kill)
    con.close()
    with start(tmp_path, 3_000) as child:
        pass
    assert child.returncode == 0
    found = content(tmp_path)
    assert len(found) == len(set(found)) == n_made + 500 * (3 + kills)
    assert n_killed >= kills // 2, n_killed
    with FeatureStore(tmp_path / "store", config=tmp_path / "photogenic.toml") as store:
        again = store.sync()
        assert sum(report.count("new") + report.count("corrected") for report in again) == 0
