"""Make a synthetic world of any size with known ground truth, for tests and benchmarks.

1. Draw users, most of whom have main photos that change over a year.
2. Score the photos by a rule on their traits (`planted_rule`).
3. Draw a log of swipes by that rule, most of them on photos that are replaced later.
4. Write files for `features ingest`, with faulty rows, and the images.
5. Write the ground truth, truth.json and truth_photos.parquet, which is only for comparison with results.

The same users, swipes and seed give the same files, byte for byte, with images or without.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from photogenic.synthetic.swipes.events import draw_events
from photogenic.synthetic.swipes.files import (
    Names,
    SwipeLog,
    write_late_swipes,
    write_main_photos,
    write_photos,
    write_users,
)
from photogenic.synthetic.swipes.people import END, START, draw_people, draw_photos
from photogenic.synthetic.swipes.pictures import count_damage, plan_damage, write_pictures
from photogenic.synthetic.swipes.planted_rule import GROUP, NOBODY, RULE
from photogenic.synthetic.swipes.swipes import draw_slice, prepare, swipe
from photogenic.synthetic.swipes.truth import Tally, Truth, write_truth_photos
from photogenic.warehouse import InputError
from photogenic.warehouse.progress import Progress, no_progress

__all__ = ["World", "make_world"]

SWIPES_PER_USER = 470
"""Swipes per user as in the paper: 40 million swipes of 85 thousand users."""


@dataclass(frozen=True, slots=True)
class World:
    """The files of one world."""

    folder: Path
    truth: Truth

    @property
    def users(self) -> Path:
        return self.folder / "users.csv"

    @property
    def photos(self) -> Path:
        """File of photos, with paths relative to `images`."""
        return self.folder / "photos.csv"

    @property
    def main_photos(self) -> Path:
        return self.folder / "main_photos.csv"

    @property
    def swipes(self) -> tuple[Path, Path]:
        """Files of swipes: the log as valid Parquet, and the newest swipes as CSV with faults."""
        return self.folder / "swipes.parquet", self.folder / "swipes-late.csv"

    @property
    def images(self) -> Path:
        """Folder of the images; absent in a world without images."""
        return self.folder / "images"

    @property
    def truth_photos(self) -> Path:
        """Parquet file with one row per photo: traits, score, and the probability that a viewer likes it."""
        return self.folder / "truth_photos.parquet"

    @classmethod
    def open(cls, folder: Path) -> World:
        """Open an existing world.

        Raises:
            InputError: the folder has no world, or an unfinished one.
        """
        try:
            return cls(folder, Truth.read(folder / "truth.json"))
        except FileNotFoundError:
            raise InputError(f"There is no world in {folder}.", "a folder that make_world has filled") from None


def make_world(
    folder: Path,
    *,
    users: int = 600,
    swipes: int | None = None,
    seed: int = 0,
    pictures: bool = True,
    picture_size: int = 384,
    progress: Progress = no_progress,
) -> World:
    """Make a world and write its files.

    Args:
        folder: folder of the files, created if absent; an earlier world in it is replaced.
        users: number of users, at least 20.
        swipes: number of swipes. Default: 470 per user, as in the paper.
        seed: seed of the random generator.
        pictures: whether to draw the images, about 8 ms each.
        picture_size: side of an image, in pixels.
        progress: callback for progress updates of swipes and images.

    Raises:
        InputError: too few users or swipes.
    """
    swipes = users * SWIPES_PER_USER if swipes is None else swipes
    if users < 20 or swipes < 1_000:
        raise InputError(
            f"{users} users and {swipes} swipes are too few for a world.", "at least 20 users and 1,000 swipes"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.json").unlink(missing_ok=True)  # this file marks a finished world

    # One generator per step, so that a change of one step does not change the next one.
    of_people, of_photos, of_events, of_swipes, of_files, of_damage = np.random.default_rng(seed).spawn(6)
    people = draw_people(users, of_people)
    photos = draw_photos(people, of_photos)
    events = draw_events(people, photos, of_events)
    swiping = prepare(people, photos, events)
    names = Names(users, swiping.n_ghosts, len(photos))

    accounts = [
        write_users(folder, people, names, of_files),
        write_photos(folder, people, photos, names, of_files),
        write_main_photos(folder, events, names, of_files),
    ]

    tally, n_late = Tally(people, events, len(photos)), min(swipes // 40, 20_000)
    late_from = END - (END - START) // 100
    with progress.stage("swiping", swipes, "swipes") as advance, SwipeLog(folder / "swipes.parquet", names) as log:
        for piece in swipe(swiping, swipes - n_late, of_swipes, until=late_from):
            tally.add(piece)
            log.write(piece)
            advance(len(piece))
        late = draw_slice(swiping, late_from, END, n_late, of_swipes)
        tally.add(late)
    again = piece.head(max(1, n_late // 50))
    accounts += [log.planted, write_late_swipes(folder, late, again, names, of_files)]

    damage = plan_damage(len(photos), of_damage)
    if pictures:
        write_pictures(folder / "images", people, photos, damage, names.photos, size=picture_size, progress=progress)
    write_truth_photos(folder / "truth_photos.parquet", names.photos, photos, swiping, tally)
    truth = Truth(
        seed=seed,
        n_users=users,
        n_photos=len(photos),
        n_swipes=swipes,
        rule=RULE | {"several people": GROUP, "nobody": NOBODY},
        accounts=accounts,
        audit=dict(tally.audit),
        breakdown=tally.breakdown(),
        media=count_damage(damage) if pictures else {},
        people_in_photo={str(n): int((photos.n_people == n).sum()) for n in range(5)},
    )
    truth.write(folder / "truth.json")
    return World(folder, truth)
