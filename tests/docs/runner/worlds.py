"""What the folder of a page holds at the start: files of a synthetic world, and a small store of the demo."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from photogenic.app.demo.demo import USERS
from photogenic.synthetic.swipes.world import make_world
from tests.app.demo import small_demo
from tests.docs.runner.pages import ROOT, Page

__all__ = ["LONDON", "fill"]

LONDON = ROOT.parent / "shared" / "data" / "london"
"""Portraits and their ratings, next to the checkout. They are no part of the project."""

Prepared = Callable[[str, Callable[[Path], object]], Path]
"""Returns the folder of a name, and makes it by the function if it is not there."""


def fill(folder: Path, page: Page, prepared: Prepared) -> None:
    """Put the files and the store that a page asks for into its folder."""
    if page.files:
        shutil.copytree(prepared(f"files-{page.files}", _FILES[page.files]), folder, dirs_exist_ok=True)
    if page.store:
        assert page.store == "demo", page.store
        shutil.copytree(prepared("demo", small_demo.make) / "store", folder / "store")


def _swipes(folder: Path) -> None:
    world = make_world(folder, users=60, swipes=12_000, seed=1, picture_size=160)
    shutil.copy(world.images / "p000001.jpg", folder / "portrait.jpg")
    _hide_truth(folder)


def _demo_files(folder: Path) -> None:
    """Make the files that `make demo` leaves in store/demo/world."""
    make_world(folder, users=USERS, seed=0)
    _hide_truth(folder)


def _london(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("users.csv", "photos.csv", "swipes.csv"):
        shutil.copyfile(LONDON / name, folder / name)
    for name in ("neutral", "smiling"):
        (folder / name).mkdir()
        for picture in (LONDON / name).iterdir():
            shutil.copyfile(picture, folder / name / picture.name)


def _hide_truth(folder: Path) -> None:
    for secret in ("truth.json", "truth_photos.parquet"):
        (folder / secret).unlink(missing_ok=True)


_FILES: dict[str, Callable[[Path], None]] = {"swipes": _swipes, "demo": _demo_files, "london": _london}
