"""`features demo`: the whole road on a world whose truth is known, told as a story.

1. Make the world: people, drawn portraits, swipes, faults.
2. Take its files in.
3. Build labels, faces, vectors and indices.
4. Train heads.
5. Print what was found beside what was planted, and write the report.

The world lies in `demo/` of the store. A demo that was killed goes on where it was; one that is finished
does nothing again but tell its findings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from photogenic import FeatureStore
from photogenic.app.demo import planted_vs_found
from photogenic.app.demo.demo_network import run_network_demo
from photogenic.app.demo.planted_vs_found import Finding
from photogenic.app.terminal.output import show
from photogenic.models.evaluation.leaderboard import Leaderboard, leaderboard
from photogenic.models.heads.grid import Grid
from photogenic.models.heads.train_stack import Schedule
from photogenic.models.options import TrainOptions
from photogenic.models.train import train
from photogenic.synthetic.swipes.world import World, make_world
from photogenic.warehouse import InputError
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.option_ranges import check
from photogenic.warehouse.progress import Progress, no_progress
from photogenic.warehouse.storage.layout import write_atomically

__all__ = ["USERS", "Plan", "run_demo"]

USERS = 600
"""Enough photos for the heads to learn the rule; about 90 s on two quiet cores."""

BOTH = "efficientnet_lite0+dlib_face"
ENCODERS = ("efficientnet_lite0", "dlib_face", BOTH)


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides a demo's world."""

    users: int
    seed: int


def run_demo(
    root: Path,
    *,
    users: int = USERS,
    seed: int = 0,
    network: bool = False,
    progress: Progress = no_progress,
    tell: Callable[[str], None] = print,
) -> list[Finding]:
    """Walk the whole road; tell the story line by line, tables on stdout.

    Args:
        root: the store; absent, empty, or one of a demo with the same plan.
        users: people in the world; at least 200, or there is too little to learn from.
        seed: another number, another world.
        network: the road of posts instead: log in, crawl and download from a network on this machine.
        progress: hears of everything that takes long.
        tell: what is done with a line of the story.

    Raises:
        InputError: the store is not a demo's, or of a demo with another plan; too few users.
    """
    check(users=users, seed=seed)
    if network:
        return run_network_demo(root, users=users, seed=seed, progress=progress, tell=tell)
    started = time.monotonic()
    _claim(root, Plan(users, seed))
    world = _world(root / "demo" / "world", users, seed, progress)
    with FeatureStore(root, progress=progress) as store:
        _introduce(world, tell)
        _ingest(store, world)
        told = [_told(planted_vs_found.accounts(store, world), tell)]
        _build(store)
        told += [_told(find(store, world), tell) for find in (planted_vs_found.pictures, planted_vs_found.faces)]
        told += [_told(find(store, world), tell) for find in (planted_vs_found.swipes, planted_vs_found.table_1)]
        board = _train(store)
        told += [
            _told(planted_vs_found.popularity(store, world, board), tell),
            _told(planted_vs_found.gender(board), tell),
        ]
        told += [_told(planted_vs_found.alike(store, world, "dlib_face"), tell)]
        report = store.report()
    _conclude(root, told, report, time.monotonic() - started, tell)
    return told


def _claim(root: Path, plan: Plan) -> None:
    """Mark the store as this demo's, before anything is in it."""
    mark = root / "demo" / "plan.json"
    if mark.exists():
        former = Plan(**json.loads(mark.read_text()))
        if former != plan:
            raise InputError(
                f"{root} holds the demo of {former.users} users and seed {former.seed}.",
                f"one of {plan.users} users and seed {plan.seed}, or an empty folder",
                f"features demo --users {plan.users} --seed {plan.seed} --store {root.with_name(root.name + '-2')}",
            )
        return
    if root.exists() and any(path != mark.parent for path in root.iterdir()):
        raise InputError(
            f"{root} is in use, and not by a demo.",
            "an empty or absent folder: a demo does not mix its people with yours",
            f"features demo --store {root.with_name(root.name + '-demo')}",
        )
    write_atomically(mark, json.dumps(asdict(plan)).encode())


def _world(folder: Path, users: int, seed: int, progress: Progress) -> World:

    try:
        return World.open(folder)
    except InputError:
        return make_world(folder, users=users, seed=seed, progress=progress)


def _introduce(world: World, tell: Callable[[str], None]) -> None:
    truth = world.truth
    tell(
        f"A made-up world: {truth.n_users:,} people, {truth.n_photos:,} drawn portraits, {truth.n_swipes:,} swipes "
        "in a year. Nobody in it exists."
    )
    weights = ", ".join(f"{trait} {weight:+.1f}" for trait, weight in truth.rule.items())
    tell(f"What makes a photo popular is planted (log-odds): {weights}.\n")


def _ingest(store: FeatureStore, world: World) -> None:
    store.ingest_users(world.users)
    store.ingest_photos(world.photos, images=world.images)
    store.ingest_main_photos(world.main_photos)
    store.ingest_swipes(*world.swipes)


def _build(store: FeatureStore) -> None:
    """Every photo that was ever shown gets a label: twice as many to learn from as the newest alone."""
    store.build(labels=LabelOptions(window="every"))


def _train(store: FeatureStore) -> Leaderboard:

    # A third of the published updates and one learning rate: what a demo has time for, and enough here.
    grid = Grid(learning_rates=(1e-3,), schedule=Schedule(least_updates=1_500, evaluations=30))
    train(store.store, TrainOptions(target="gender", encoders=ENCODERS[:2]), grid=grid)
    train(store.store, TrainOptions(encoders=ENCODERS, setup=["all", "one_face"]), grid=grid)
    return leaderboard(store.database)


def _told(finding: Finding, tell: Callable[[str], None]) -> Finding:
    show(finding.table, title=finding.title)
    verdict = {True: "As planted. ", False: "NOT as planted. ", None: ""}[finding.agrees]
    tell(f"{verdict}{finding.remark}\n")
    return finding


def _conclude(root: Path, told: list[Finding], report: Path, seconds: float, tell: Callable[[str], None]) -> None:
    wrong = [finding.title for finding in told if finding.agrees is False]
    tell(f"The report, to open in a browser: {report}")
    tell(f"Done in {seconds:.0f} s. " + (f"NOT as planted: {', '.join(wrong)}." if wrong else "All as planted."))
    tell("Go on with:")
    for command in (
        'sql "from gender_breakdown"',
        "similar p000123 --popular",
        "train --target popular",
        "status",
    ):
        tell(f"  features {command} --store {root}")
