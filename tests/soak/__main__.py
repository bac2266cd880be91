"""Compare a store after random kills, damage and hostile files with plain lists: python -m tests.soak --minutes 30."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.conftest import BUILD
from tests.faults.zygote import Zygote
from tests.soak.soak import Soak, repeated
from tests.soak.truth import instant
from tests.sql.plain import swipe_audit


def main() -> int:
    """Return 0 if no row was lost and no answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="leave store and files in this folder, which is made")
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if asked.keep:
            folder = asked.keep
            folder.mkdir(parents=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        address = stack.enter_context(_served(folder / "served"))
        zygote = stack.enter_context(Zygote())
        started = time.monotonic()
        soak = Soak(zygote, folder, address, asked.seed)
        n_steps = repeated(soak, asked.minutes * 60, lambda text: print(text, flush=True))
        lost, differing = recount(soak)
        minutes = (time.monotonic() - started) / 60
    load = os.getloadavg()[1]
    print(f"seed {asked.seed}, {minutes:.0f} minutes, {os.cpu_count()} cores, load {load:.0f}: {n_steps} steps")
    print(f"commands run        {sum(soak.ran.values()):,}  {dict(soak.ran)}")
    print(f"kills survived      {sum(soak.killed.values()):,}  {dict(soak.killed)}")
    print(f"people erased       {len(soak.truth.erased):,}")
    print(f"bits flipped        {soak.n_flips:,}, after which {soak.n_refused:,} looks were refused")
    print(f"bad inputs tried    {soak.n_bad:,} files, and {sum(soak.truth.n_bad.values()):,} bad rows")
    print(f"answers compared    {soak.n_looks:,} looks")
    print(f"rows lost           {lost:,}")
    print(f"wrong answers       {len(soak.wrong) + len(differing):,}")
    for text in (*soak.wrong, *differing):
        print("WRONG:", text)
    return int(bool(lost or differing or soak.wrong))


def recount(soak: Soak) -> tuple[int, list[str]]:
    """Finish all commands, and compare the store with the plain lists: lost rows and differences."""
    truth, store, differing = soak.truth, soak.store, []

    def run(*words: object) -> None:
        ended = soak.zygote.run(*words, "--store", store)
        if ended.code:
            differing.append(f"{words}: {ended.err[-2000:]}")

    def call(name: str, *words: object) -> Any:
        ended = soak.zygote.run(store, *words, call=name)
        if ended.code:
            differing.append(f"{name}: {ended.err[-2000:]}")
            return None
        return json.loads(ended.out.splitlines()[-1])

    run("fetch", "--allow-private", "--retry", "healable")
    run(*BUILD)
    found = call("tests.soak.checks:final")
    if found is None:
        return 0, differing
    run("build", "--encoder", "mean_colour", "--force")
    again = call("tests.soak.checks:final")
    if again is not None and again["checksums"] != found["checksums"]:
        differing.append("relations of a full build differ")

    expected = Counter((s, r, str(liked), instant(at).replace("T", " ")) for s, r, liked, at in truth.facts.swipes)
    held = Counter(tuple(row) for row in found["swipes"])
    lost = (expected - held).total() + len({row[0] for row in truth.facts.users} - set(found["people"]))
    lost += len(truth.pictures.keys() - found["pictures"].keys())
    bad = {kind: n for kind, n in truth.n_bad.items() if n}
    comparisons = {
        "swipes": (held, expected),
        "people": (sorted(found["people"]), sorted(row[0] for row in truth.facts.users)),
        "pictures": (found["pictures"], truth.pictures),
        "bytes": (found["bytes"], {sha256: sha256 for sha256 in truth.pictures.values()}),
        "photos with vectors": (found["vectors"], sorted(truth.pictures)),
        "photos in the index": (found["indexed"], sorted(truth.pictures)),
        "fate of swipes": ({r: (n, k) for r, n, k in found["audit"]}, swipe_audit(truth.facts)),
        "refused rows": (found["rejects"], bad),
    }
    differing += [f"{name}: {str(a)[:500]} is not {str(b)[:500]}" for name, (a, b) in comparisons.items() if a != b]
    told = call("tests.faults.readers:doctor", "thorough")
    if told is not None:
        differing += [f"doctor: {check} {said}" for check, said in told.items() if said[0] == "fault"]
    if truth.erased_ids:
        traces = call("tests.soak.checks:traces", *truth.erased_ids)
        if traces:
            differing.append(f"traces of erased people: {traces}")
    return lost, differing


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    """An image host on loopback."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    port = process.stdout.readline().split(" port ")[1].split()[0]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    sys.exit(main())
