"""Listeners that are killed, brokers that are cut off, hang, and lose everything: each event counts once."""

import random
import signal
import time

import pytest

from photogenic import FeatureStore
from photogenic.ingest.streams.options import ListenOptions
from tests.ingest.streams.events import state, swipe, swipes


def total(folder):
    with FeatureStore(folder / "store") as store:
        with store.database.write("test"):
            pass  # publishes what a killed listener had written
        return store.sql("select count(*) as n, count(distinct event_id) as ids from swipes").rows()[0]


def n_events(folder):
    try:
        return state(folder / "store")["n_events"]
    except ValueError:
        return 0


def hammer(start, folder, broker, n, n_kills, n_cuts, batch_rows):
    """Send n events, and kill listeners and cut connections at random while they come; return the last report."""
    draw = random.Random(n)
    broker.create("swipes", 4)
    broker.send("swipes", swipes(n))
    uri = f"kafka://{broker.address}/swipes"
    options = ("--batch-rows", str(batch_rows), "--batch-seconds", "0.3", "--publish-seconds", "1")
    faults = ["kill"] * n_kills + ["cut"] * n_cuts
    draw.shuffle(faults)
    listener = start(folder, uri, *options)
    for fault in faults:
        if fault == "kill":
            # anywhere from the start of Python to the middle of a batch
            listener.wait_for(lambda: n_events(folder) > 0) if draw.random() < 0.8 else None
            time.sleep(draw.uniform(0, 0.5))
            listener.kill()
            for told in (folder / "store" / "listeners").glob("*.json"):
                told.unlink()  # so that the next wait is for the next listener
            listener = start(folder, uri, *options)
        else:
            listener.wait_for(lambda: broker.proxy.is_used)
            time.sleep(draw.uniform(0, 0.5))
            broker.proxy.cut(refuse=True)
            time.sleep(draw.uniform(0, 0.3))
            broker.proxy.restore()
            time.sleep(draw.uniform(0, 0.3))
    assert broker.proxy.n_cuts >= n_cuts
    listener.stop()
    with FeatureStore(folder / "store") as store:
        store.listen(uri, "swipes", ListenOptions(until_end=True))


def test_kills_and_cuts_leave_each_event_once(tmp_path, own_broker, start):
    hammer(start, tmp_path, own_broker, 4000, n_kills=2, n_cuts=2, batch_rows=250)
    assert total(tmp_path) == (4000, 4000)
    with FeatureStore(tmp_path / "store") as store:
        told = store.sql("select sum(n_read) as n, sum(n_new) as new, sum(n_known) as known from ingests").rows()
    assert told == [(4000, 4000, 0)], "an event was read twice"


def test_sigterm_writes_the_open_batch(tmp_path, own_broker, start):
    own_broker.create("swipes")
    own_broker.send("swipes", swipes(50))
    uri = f"kafka://{own_broker.address}/swipes"
    listener = start(tmp_path, uri, "--batch-seconds", "600")
    listener.wait_for(lambda: (tmp_path / "store" / "listeners").exists() and sum(lags(tmp_path)) == 50)
    assert listener.stop() == 128 + signal.SIGTERM
    assert total(tmp_path) == (50, 50)


@pytest.mark.thorough
def test_a_broker_that_is_away_is_told_once_and_does_not_hold_the_listener(tmp_path, own_broker, start):
    own_broker.create("swipes")
    own_broker.send("swipes", swipes(50))
    uri = f"kafka://{own_broker.address}/swipes"
    listener = start(tmp_path, uri)
    listener.wait_for(lambda: live(tmp_path) == "reading")
    own_broker.stop()
    listener.wait_for_log("does not answer")
    assert listener.stop() == 128 + signal.SIGTERM
    assert listener.log.read_text().count("does not answer") == 1


def lags(folder):
    try:
        return list(state(folder / "store")["partitions"].values())
    except ValueError:
        return []


def live(folder):
    try:
        one = state(folder / "store")
    except ValueError:
        return None
    return one["state"] if one["process"] else None


@pytest.mark.thorough
def test_a_broker_that_hangs_is_told_once_and_reading_continues(tmp_path, own_broker, start):
    own_broker.create("swipes")
    own_broker.send("swipes", swipes(10))
    (tmp_path / "client.properties").write_text("socket.timeout.ms=1000\n")
    uri = f"kafka://{own_broker.address}/swipes"
    listener = start(tmp_path, uri, "--client-config", str(tmp_path / "client.properties"), "--batch-seconds", "0.2")
    listener.wait_for(lambda: n_events(tmp_path) == 10)
    own_broker.proxy.hang()
    listener.wait_for_log("does not answer")
    assert live(tmp_path) is not None
    own_broker.proxy.restore()
    own_broker.send("swipes", [swipe(10)])
    listener.wait_for(lambda: n_events(tmp_path) == 11)
    listener.wait_for_log("answers again")
    listener.stop()
    assert listener.log.read_text().count("does not answer") == 1
    assert total(tmp_path) == (11, 11)


def test_a_broker_that_lost_everything_ends_the_listener_and_a_replay_adds_nothing_twice(tmp_path, own_broker, start):
    own_broker.create("swipes")
    own_broker.send("swipes", swipes(30))
    uri = f"kafka://{own_broker.address}/swipes"
    listener = start(tmp_path, uri, "--batch-seconds", "0.2")
    listener.wait_for(lambda: n_events(tmp_path) == 30)
    own_broker.proxy.cut(refuse=True)
    own_broker.stop()
    own_broker.start()
    own_broker.proxy.restore()
    own_broker.create("swipes")
    own_broker.send("swipes", swipes(45))
    assert listener.process.wait(60) == 1
    assert "created again" in listener.log.read_text()
    assert total(tmp_path) == (30, 30)
    with FeatureStore(tmp_path / "store") as store:
        report = store.listen(uri, "swipes", ListenOptions(until_end=True, start_over=True))
    assert (report.n_known, report.n_new) == (30, 15)
    assert total(tmp_path) == (45, 45)


@pytest.mark.thorough
def test_many_kills_and_cuts_leave_each_event_once(tmp_path, own_broker, start):
    hammer(start, tmp_path, own_broker, 100_000, n_kills=20, n_cuts=20, batch_rows=2000)
    assert total(tmp_path) == (100_000, 100_000)
