"""A synthetic world at any size, whose truth is known: what everything here can be judged against.

1. People, most of whom have main photos that change over a year.
2. What makes a photo popular: a planted rule on what it shows, and who likes whom (`world_rule`).
3. A log of swipes, drawn by that rule, most of them on photos that were replaced later.
4. Files in the shapes that `features ingest` takes, with faults in them, and the drawn pictures.
5. truth.json and truth_photos.parquet: what was planted. Never an input of anything but judgement.

The same users, swipes and seed give the same files, byte for byte, with pictures or without.
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
from photogenic.warehouse.progress import Progress, silent

__all__ = ["World", "make_world"]

SWIPES_PER_USER = 470
"""As in the paper: 40 million swipes of 85 thousand users."""


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
        """Paths are relative to `images`."""
        return self.folder / "photos.csv"

    @property
    def main_photos(self) -> Path:
        return self.folder / "main_photos.csv"

    @property
    def swipes(self) -> tuple[Path, Path]:
        """The log, and the newest swipes by another hand: clean Parquet and faulty CSV."""
        return self.folder / "swipes.parquet", self.folder / "swipes-late.csv"

    @property
    def images(self) -> Path:
        """The folder of the pictures; absent in a world without."""
        return self.folder / "images"

    @property
    def truth_photos(self) -> Path:
        """One row per photo: traits, score, and the chance that a viewer likes it."""
        return self.folder / "truth_photos.parquet"

    @classmethod
    def open(cls, folder: Path) -> World:
        """A world made before.

        Raises:
            InputError: the folder holds none, or one that was not finished.
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
    progress: Progress = silent,
) -> World:
    """Make a world and write its files.

    Args:
        folder: created when absent; a former world in it is replaced.
        users: at least 20.
        swipes: None: 470 per user, as in the paper.
        seed: another number, another world.
        pictures: draw them; about 8 ms each.
        picture_size: side of a picture, pixels.
        progress: hears of swipes and pictures.

    Raises:
        InputError: too few users or swipes to make a world of.
    """
    swipes = users * SWIPES_PER_USER if swipes is None else swipes
    if users < 20 or swipes < 1_000:
        raise InputError(f"{users} users and {swipes} swipes make no world.", "at least 20 users and 1,000 swipes")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.json").unlink(missing_ok=True)  # it is the mark of a finished world

    # One generator per step: what one step draws does not shift the next.
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
