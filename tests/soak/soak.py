"""Run random commands on one store for a given time, with random kills, damage and hostile files.

A killed command runs again until it ends. Its effect is then in the plain lists of `Truth`, and the store must agree
with them. A query between two steps must return the state before or after.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.conftest import BUILD, FINETUNE, TRAIN, plain
from tests.faults.mutations import FORMATS, bomb, drawn, mutated
from tests.faults.zygote import Ended, Zygote
from tests.soak.truth import Batch, Truth, grown
from tests.sql.plain import Facts, like_ratios

REBUILDABLE = (
    *("embeddings/*/*", "indices/*/*/*", "indices/*/manifest.json", "faces/*/*", "snapshot.duckdb", "snapshot.json"),
    "thumbnails/*/*/*",
)


class Soak:
    """State of the soak test.

    Args:
        zygote: process that runs commands.
        folder: folder of the store and of the files to ingest.
        address: address of the server of `folder/served`.
        seed: seed of everything except time.
    """

    def __init__(self, zygote: Zygote, folder: Path, address: str, seed: int) -> None:
        self.zygote, self.folder, self.address, self.rng = zygote, folder, address, random.Random(seed)
        self.store = folder / "store"
        self.truth = Truth()
        self.allowed = [self.truth.counts()]
        self.labels: list[Facts] = []
        self.killed: Counter[str] = Counter()
        self.ran: Counter[str] = Counter()
        self.n_bad = self.n_flips = self.n_looks = self.n_refused = 0
        self.wrong: list[str] = []
        self.rotten = False
        self._took: dict[str, tuple[int, float]] = {}

    def step(self) -> None:
        """One kind of step."""
        if self.truth.n_told < 3:
            return self.tell()
        actions: dict[Callable[[], None], int] = {
            self.tell: 6,
            self.build: 8,
            self.fetch: 4,
            self.train: 2,
            self.keep: 2,
            self.finetune: 1,
            self.report: 1,
        }
        actions |= {self.erase: 3, self.rot: 4, self.hostile: 4, self.serve: 1, self.backup: 3}
        (action,) = self.rng.choices(list(actions), weights=list(actions.values()))
        return action()

    def tell(self) -> None:
        """Ingest new files; the truth changes when all of them are ingested."""
        after, files = grown(self.truth, self.folder / f"told-{self.truth.n_told}", self.rng, self.address)
        self._ingest(after, files)

    def _ingest(self, after: Truth, files: Batch) -> None:
        before = self.truth.counts()
        full = after.counts()
        for number, (kind, path) in enumerate(files):
            done = {kind.replace("-", "_") for kind, _ in files[:number]}
            now = {name: full[name] if name in done else n for name, n in before.items()}
            then = now | {kind.replace("-", "_"): full[kind.replace("-", "_")]}
            self.allowed = [now, then]
            self.until_done("ingest", kind, path, label=f"ingest {kind}")
            self.allowed = [then]
        self.truth = after

    def build(self) -> None:
        """Build labels; a reader sees those of the last finished build or of this one."""
        self.labels.append(self.truth.facts)
        self.until_done(*BUILD, *self.rng.choice(((), ("--neighbours", "3"), ("--near-duplicates",))))
        self.labels = [self.truth.facts]

    def fetch(self) -> None:
        self.until_done("fetch", "--allow-private", "--read-s", "5", "--retry", "healable")

    def train(self) -> None:
        self.until_done(*TRAIN, expect_error=True)

    def finetune(self) -> None:
        self.until_done(*FINETUNE, expect_error=True)

    def report(self) -> None:
        self.until_done("report", expect_error=True)

    def keep(self) -> None:
        self.until_done("predict", "--keep", expect_error=True)

    def erase(self) -> None:
        """Erase a user, with kills in between."""
        if len(self.truth.facts.users) < 8:
            return
        user = self.rng.choice(self.truth.facts.users)[0]
        after = Truth(**vars(self.truth))
        after.erased, after.erased_ids, after.pictures = [*after.erased], [*after.erased_ids], dict(after.pictures)
        after.erase(user)
        self.allowed = [self.truth.counts(), after.counts()]
        former, self.labels = self.labels, [*self.labels, after.facts] if self.labels else []
        journal = self.store / "erased" / "journal.json"
        while True:
            ended = self.run("erase", *(() if journal.exists() else (user,)), "--yes")
            gone = not journal.exists() and not self._is_there(user)
            if ended.code == 0 or gone:
                break
            assert ended.code == -9, ended.err
        self.truth, self.allowed = after, [after.counts()]
        self.labels = [after.facts] if former else []

    def _is_there(self, user: str) -> bool:
        ended = self.zygote.run(
            self.store, f"select 1 from users where user_id = '{user}'", call="tests.faults.readers:rows"
        )
        return bool(json.loads(ended.out.splitlines()[-1]))

    def rot(self) -> None:
        """Flip a bit or cut the end of a file that can be computed again."""
        files = sorted(path for pattern in REBUILDABLE for path in self.store.glob(pattern) if path.is_file())
        if not files:
            return
        path = self.rng.choice(files)
        data = bytearray(path.read_bytes())
        if not data:
            return
        if self.rng.random() < 0.7:
            data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        else:
            del data[self.rng.randrange(len(data)) :]
        path.write_bytes(data)
        self.n_flips += 1
        self.rotten = True  # until the repair, readers may refuse, but not give another answer
        self.look()
        self.until_done("doctor", "--thorough", "--fix", expect_error=True, label="doctor")
        self.build()
        self.rotten = False
        self.look()

    def hostile(self) -> None:
        """Ingest damaged files."""
        folder = self.folder / "hostile"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        pictures = []
        for number in range(12):
            form = self.rng.choice(FORMATS)
            picture = folder / f"{number}.jpg"
            picture.write_bytes(bomb() if number == 11 else mutated(drawn(form, self.rng), self.rng))
            pictures.append(picture)
        told = sorted(self.folder.glob("told-*/swipes.*"))
        table = folder / f"mutated{self.rng.choice(told).suffix}"
        table.write_bytes(
            mutated(self.rng.choice([path for path in told if path.suffix == table.suffix]).read_bytes(), self.rng)
        )
        commands: list[tuple[object, ...]] = [
            ("similar", pictures[0], "-k", "2"),
            ("predict", *pictures),
            # In a store of its own, since valid rows of a broken table are ingested.
            ("ingest", "swipes", table, "--store", self.folder / "hostile" / "store"),
        ]
        for command in commands:
            ended = self.zygote.run(*command, *(() if "--store" in command else ("--store", self.store)))
            self.ran[str(command[0])] += 1
            self.n_bad += len(pictures) if command[0] == "predict" else 1
            if not plain(ended):
                self.wrong.append(f"{command}: {ended.code} {ended.err[-2000:]}")

    def backup(self) -> None:
        """Check that a backup restores the same store, also during a build, which is then killed."""
        kept, restored = self.folder / "kept", self.folder / "restored"
        self.labels.append(self.truth.facts)
        writing = self.zygote.start(*BUILD, "--store", self.store)
        self.until_done("backup", kept)
        self.zygote.kill(writing)
        self.killed["build"] += self.zygote.ended(writing).code == -9
        self.ran["build"] += 1
        ended = self.zygote.run("restore", kept, "--store", restored)
        self.ran["restore"] += 1
        if not plain(ended) or ended.code:
            self.wrong.append(f"restore: {ended.code} {ended.err[-2000:]}")
        else:
            self.look(restored)
        shutil.rmtree(restored, ignore_errors=True)

    def serve(self) -> None:
        """Check that the API agrees with SQL, then kill the server."""
        self.n_looks += 1
        ended = self.zygote.run(self.store, call="tests.faults.readers:served_answers")
        said = json.loads(ended.out.splitlines()[-1]) if ended.code == 0 else {"server": {"crashed": ended.err}}
        if any("crashed" in answer for answer in said.values()):
            self.wrong.append(f"served: {said}")
        pid = self.zygote.start("serve", "--port", "0", "--store", self.store)
        time.sleep(self.rng.uniform(0.1, 3))
        self.zygote.kill(pid)
        self.killed["serve"] += self.zygote.ended(pid).code == -9

    def until_done(self, *words: object, expect_error: bool = False, label: str = "") -> None:
        """Run a command until it ends, with or without kills."""
        while True:
            ended = self.run(*words, label=label or str(words[0]))
            if ended.code == -9:
                if self.rng.random() < 0.4:
                    self.look()
                continue
            if not plain(ended) or (ended.code and not expect_error):
                self.wrong.append(f"{words}: {ended.code} {ended.err[-3000:]}")
            return

    def run(self, *words: object, label: str = "") -> Ended:
        """Run a command once; with a kill in three of five cases."""
        label = label or str(words[0])
        changes, seconds = self._took.get(label, (30, 2.0))
        asked: dict[str, Any] = {"root": str(self.folder)}
        luck = self.rng.random()
        if luck < 0.35:
            asked["kill_at"] = self.rng.randint(1, max(changes, 2))
        elif luck < 0.6:
            asked["kill_after_s"] = self.rng.uniform(0, seconds)
        ended = self.zygote.run(*words, "--store", self.store, **asked)
        self.ran[label] += 1
        if ended.code == -9:
            self.killed[label] += 1
        else:
            self._took[label] = (ended.changes, ended.seconds)
        return ended

    def look(self, store: Path | None = None) -> None:
        """Query the store and compare."""
        self.n_looks += 1
        ended = self.zygote.run(store or self.store, call="tests.soak.checks:look")
        said = json.loads(ended.out.splitlines()[-1]) if ended.code == 0 else {"crashed": ended.err}
        if "refused" in said:
            self.n_refused += 1
            if not self.rotten and self.store.joinpath("snapshot.duckdb").exists():
                self.wrong.append(f"refused: {said}")
            return
        if "crashed" in said or said["wrong"]:
            self.wrong.append(f"look: {said.get('crashed') or said['wrong']}")
            return
        if said["counts"] not in self.allowed:
            self.wrong.append(f"counts {said['counts']}, not {self.allowed}")
        if said["labels"] is not None and self.labels:
            found = {(photo, window): (likes, n) for photo, window, likes, n in said["labels"]}
            if all(found != like_ratios(facts) for facts in self.labels):
                self.wrong.append("labels are those of no build")


def repeated(soak: Soak, seconds: float, tell: Callable[[str], None]) -> int:
    """Run steps until the time is over or an answer is wrong. Returns the number of steps."""
    deadline, n, told_at = time.monotonic() + seconds, 0, time.monotonic()
    while time.monotonic() < deadline and not soak.wrong:
        soak.step()
        n += 1
        if time.monotonic() - told_at > 60:
            told_at = time.monotonic()
            tell(f"{n} steps, {sum(soak.killed.values())} kills, {soak.n_flips} flips, {soak.n_bad} bad inputs")
    return n
