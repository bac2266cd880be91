"""`features demo`: the whole pipeline on a synthetic world whose true values are known.

1. Make the world: people, drawn portraits, swipes, faults.
2. Ingest its files.
3. Build labels, faces, vectors and indices.
4. Train heads.
5. Print the findings beside the planted values, and write the report.

The world is kept in `demo/` of the store. A demo that was killed continues where it stopped. A finished demo only
prints its findings again.
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
from photogenic.app.terminal.output import print_table
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
"""Default number of users: enough photos for the heads to learn the rule; about 90 s on two idle cores."""

BOTH = "efficientnet_lite0+dlib_face"
ENCODERS = ("efficientnet_lite0", "dlib_face", BOTH)


@dataclass(frozen=True, slots=True)
class Plan:
    """Parameters of the world of a demo."""

    users: int
    seed: int


def run_demo(
    root: Path,
    *,
    users: int = USERS,
    seed: int = 0,
    network: bool = False,
    progress: Progress = no_progress,
    print_line: Callable[[str], None] = print,
) -> list[Finding]:
    """Run the whole pipeline and print its findings; tables go to stdout.

    Args:
        root: Folder of the store: absent, empty, or the store of a demo with the same parameters.
        users: Number of people in the world, at least 200.
        seed: Seed of the world.
        network: Run the pipeline of posts instead: log in, crawl and download from a simulated network.
        progress: Callback for progress updates.
        print_line: Function that prints a line of text.

    Raises:
        InputError: The store belongs to no demo or to one with other parameters, or there are too few users.
    """
    check(users=users, seed=seed)
    if network:
        return run_network_demo(root, users=users, seed=seed, progress=progress, print_line=print_line)
    started = time.monotonic()

    def begin(number: int, stage: str) -> None:
        print_line(f"[{number}/5, after {time.monotonic() - started:.0f} s] {stage}")

    _claim(root, Plan(users, seed))
    begin(1, "Making the world: people, drawn portraits, swipes")
    world = _world(root / "demo" / "world", users, seed, progress)
    with FeatureStore(root, progress=progress) as store:
        _introduce(world, print_line)
        begin(2, "Ingesting its files")
        _ingest(store, world)
        findings = [_print_finding(planted_vs_found.accounts(store, world), print_line)]
        begin(3, "Building labels, faces, embeddings and search indices")
        _build(store)
        findings += [
            _print_finding(find(store, world), print_line)
            for find in (planted_vs_found.pictures, planted_vs_found.faces)
        ]
        findings += [
            _print_finding(find(store, world), print_line)
            for find in (planted_vs_found.swipes, planted_vs_found.table_1)
        ]
        begin(4, "Training heads")
        board = _train(store)
        findings += [
            _print_finding(planted_vs_found.popularity(store, world, board), print_line),
            _print_finding(planted_vs_found.gender(board), print_line),
        ]
        findings += [_print_finding(planted_vs_found.alike(store, world, "dlib_face"), print_line)]
        begin(5, "Writing the report")
        report = store.report()
    _conclude(root, findings, report, time.monotonic() - started, print_line)
    return findings


def _claim(root: Path, plan: Plan) -> None:
    """Mark the store as the store of this demo before any data is written."""
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
            "an empty or absent folder, because a demo does not add its people to other data",
            f"features demo --store {root.with_name(root.name + '-demo')}",
        )
    write_atomically(mark, json.dumps(asdict(plan)).encode())


def _world(folder: Path, users: int, seed: int, progress: Progress) -> World:

    try:
        return World.open(folder)
    except InputError:
        return make_world(folder, users=users, seed=seed, progress=progress)


def _introduce(world: World, print_line: Callable[[str], None]) -> None:
    truth = world.truth
    print_line(
        f"A synthetic world: {truth.n_users:,} people, {truth.n_photos:,} drawn portraits, {truth.n_swipes:,} swipes "
        "in a year. None of these people exist."
    )
    weights = ", ".join(f"{trait} {weight:+.1f}" for trait, weight in truth.rule.items())
    print_line(f"Planted effects on the popularity of a photo (log-odds): {weights}.\n")


def _ingest(store: FeatureStore, world: World) -> None:
    store.ingest_users(world.users)
    store.ingest_photos(world.photos, images=world.images)
    store.ingest_main_photos(world.main_photos)
    store.ingest_swipes(*world.swipes)


def _build(store: FeatureStore) -> None:
    """Label every photo that was ever a main photo, which gives twice as many labels as the newest photos alone."""
    store.build(labels=LabelOptions(window="every"))


def _train(store: FeatureStore) -> Leaderboard:

    # A third of the published updates and one learning rate keep the demo short, and are enough for this world.
    grid = Grid(learning_rates=(1e-3,), schedule=Schedule(least_updates=1_500, evaluations=30))
    train(store.store, TrainOptions(target="gender", encoders=ENCODERS[:2]), grid=grid)
    train(store.store, TrainOptions(encoders=ENCODERS, setup=["all", "one_face"]), grid=grid)
    return leaderboard(store.database)


def _print_finding(finding: Finding, print_line: Callable[[str], None]) -> Finding:
    print_table(finding.table, title=finding.title)
    verdict = {True: "As planted. ", False: "NOT as planted. ", None: ""}[finding.agrees]
    print_line(f"{verdict}{finding.remark}\n")
    return finding


def _conclude(
    root: Path, findings: list[Finding], report: Path, seconds: float, print_line: Callable[[str], None]
) -> None:
    wrong = [finding.title for finding in findings if finding.agrees is False]
    print_line(f"The report, to open in a browser: {report}")
    print_line(f"Done in {seconds:.0f} s. " + (f"NOT as planted: {', '.join(wrong)}." if wrong else "All as planted."))
    print_line("Next commands:")
    for command in (
        'sql "from gender_breakdown"',
        "similar p000123 --popular",
        "train --target popular",
        "status",
    ):
        print_line(f"  features {command} --store {root}")
