"""The files of the synthetic world agree with its ground truth, by an independent count."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from photogenic.ingest.tabular.schemas import REASONS
from photogenic.synthetic.swipes.planted_rule import TABLE_1, chances, fit_offsets
from photogenic.synthetic.swipes.truth import Truth
from photogenic.synthetic.swipes.world import World, make_world
from photogenic.warehouse import InputError

LIKED = {"right": True, "1": True, "yes": True, "left": False, "0": False, "no": False}
WORDS = {"female": ("female", "F", "Woman"), "male": ("male", "M", "man"), "other": ("other", "nonbinary")}
GENDER = {word: gender for gender, words in WORDS.items() for word in words} | {"": None, "unknown": None}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), users=60, swipes=12_000, seed=4, picture_size=96)


@pytest.fixture(scope="module")
def swipes(world) -> list[tuple[str, str, bool, datetime]]:
    """Return the valid rows of both files of the log."""
    rows = pl.read_parquet(world.swipes[0]).rows()
    seen = set(rows)
    for row in _rows(world.swipes[1]):
        sender, recipient, liked, at, *rest = [*row, "", ""][:5] if len(row) < 4 else row
        if rest or not (sender and recipient and liked in LIKED) or not at.startswith("2025-"):
            continue
        swipe = sender, recipient, LIKED[liked], datetime.fromisoformat(at)
        if swipe not in seen:
            seen.add(swipe)
            rows.append(swipe)
    return rows


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def _events(world: World) -> dict[str, list[tuple[datetime, str]]]:
    events = defaultdict(list)
    for user, photo, at in _rows(world.main_photos):
        if user and at.startswith("2025-"):
            events[user].append((datetime.fromisoformat(at), photo))
    return {user: sorted(set(of_user)) for user, of_user in events.items()}


def _users(world: World) -> dict[str, str | None]:
    rows = [row for row in _rows(world.users) if row[0].startswith("u")]
    return {user: GENDER[gender] for user, gender, *_ in rows}


def _reason(sender: str, recipient: str, at: datetime, users, events, owners) -> tuple[str, str | None]:
    if sender == recipient:
        return "self_swipe", None
    if recipient not in users:
        return "unknown_recipient", None
    past = [photo for when, photo in events.get(recipient, []) if when <= at]
    if not past:
        return ("before_first_photo" if recipient in events else "no_photo"), None
    if past[-1] == "":
        return "photo_removed", None
    if owners[past[-1]] != recipient:
        return "foreign_photo", None
    return ("kept" if len(past) == len(events[recipient]) else "stale_photo"), past[-1]


@pytest.fixture(scope="module")
def attributed(world, swipes) -> list[tuple[str, str | None, str, str, bool]]:
    users, events = _users(world), _events(world)
    owners = {row[0]: row[1] for row in _rows(world.photos)[::-1] if row[0].startswith("p")}  # the first claim holds
    return [
        (*_reason(sender, recipient, at, users, events, owners), sender, recipient, liked)
        for sender, recipient, liked, at in swipes
    ]


def test_every_swipe_has_the_reason_that_truth_counts(world, attributed):
    counted = Counter(reason for reason, *_ in attributed)
    assert dict(counted) == {reason: n for reason, n in world.truth.audit.items() if n}
    assert sum(world.truth.audit.values()) == world.truth.n_swipes == len(attributed)


def test_table_1_is_counted_right_and_lies_within_its_own_error(world, attributed):
    users = _users(world)
    counted: dict[tuple, list[int]] = defaultdict(lambda: [0, 0])
    for reason, _, sender, recipient, liked in attributed:
        for window in {"kept": ("latest", "every"), "stale_photo": ("every",)}.get(reason, ()):
            cell = counted[window, users.get(sender), users[recipient]]
            cell[0] += 1
            cell[1] += liked
    planted = {
        (p.time_window, p.sender_gender, p.recipient_gender): [p.n_swipes, p.n_likes] for p in world.truth.breakdown
    }
    assert planted == counted
    assert all(abs(p.n_likes / p.n_swipes - p.chance) < 5 * p.error for p in world.truth.breakdown)


def test_photos_of_truth_add_up_to_its_table_1(world):
    photos = pl.read_parquet(world.truth_photos)
    for window in ("latest", "every"):
        pairs = [pair for pair in world.truth.breakdown if pair.time_window == window]
        assert photos[f"n_swipes_{window}"].sum() == sum(pair.n_swipes for pair in pairs)
        assert photos[f"n_likes_{window}"].sum() == sum(pair.n_likes for pair in pairs)


def test_every_file_is_read_kept_and_rejected_as_planted(world):
    for planted in world.truth.accounts:
        path = world.folder / planted.file
        n = len(pl.read_parquet(path)) if path.suffix == ".parquet" else len(_rows(path))
        assert n == planted.n_read == planted.n_new + planted.n_known + sum(planted.refused.values())
        assert set(planted.refused) <= set(REASONS)


def test_pictures_are_there_or_damaged_as_planted(world):
    found = Counter()
    for photo in {row[0] for row in _rows(world.photos) if row[0].startswith("p")}:
        path = world.images / f"{photo}.jpg"
        if not path.exists():
            found["missing"] += 1
        elif not path.stat().st_size:
            found["empty"] += 1
        elif path.read_bytes().startswith(b"<!doctype"):
            found["not_an_image"] += 1
        else:
            found["ok" if path.read_bytes().endswith(b"\xff\xd9") else "truncated"] += 1
            with Image.open(path) as picture:
                assert picture.size == (96, 96)
    assert dict(found) == world.truth.media


def test_the_same_seed_gives_the_same_bytes_with_pictures_or_without(world, tmp_path):
    again = make_world(tmp_path / "again", users=60, swipes=12_000, seed=4, pictures=False)
    other = make_world(tmp_path / "other", users=60, swipes=12_000, seed=5, pictures=False)
    for name in (
        "users.csv",
        "photos.csv",
        "main_photos.csv",
        "swipes.parquet",
        "swipes-late.csv",
        "truth_photos.parquet",
    ):
        one, two, three = (_digest(folder / name) for folder in (world.folder, again.folder, other.folder))
        assert one == two != three


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_truth_is_read_back_as_written(world):
    assert Truth.read(world.folder / "truth.json") == world.truth
    assert World.open(world.folder).truth == world.truth


def test_a_folder_without_a_finished_world_is_refused(tmp_path):
    with pytest.raises(InputError, match="no world"):
        World.open(tmp_path)


@pytest.mark.parametrize("size", [{"users": 19}, {"users": 50, "swipes": 999}])
def test_too_small_a_world_is_refused(tmp_path, size):
    with pytest.raises(InputError, match="too few for a world"):
        make_world(tmp_path / "none", **size)
    assert not (tmp_path / "none").exists()


def test_offsets_put_every_pair_of_genders_at_its_published_rate():
    rng = np.random.default_rng(0)
    score, weight, owner = rng.normal(0, 1, 500), rng.uniform(1, 9, 500), (rng.random(500) < 0.6).astype(np.int8)
    offset = fit_offsets(score, weight, owner)
    for viewer in (0, 1):
        for gender in (0, 1):
            mine = owner == gender
            rate = np.average(chances(offset[viewer, gender] + score[mine]), weights=weight[mine])
            assert rate == pytest.approx(TABLE_1[viewer, gender], abs=1e-9)


def test_most_of_a_big_log_falls_on_photos_that_were_replaced_later(tmp_path):
    """Published numbers: 40M swipes of which 11M remain, 85k users of whom 76k have photos, 37:63."""
    truth = make_world(tmp_path, users=5_000, swipes=200_000, pictures=False).truth
    assert truth.audit["kept"] / truth.n_swipes == pytest.approx(11 / 40, abs=0.04)
    photos = pl.read_csv(tmp_path / "photos.csv", infer_schema=False)
    assert photos["user_id"].n_unique() / 5_000 == pytest.approx(76 / 85, abs=0.02)
    rates = {(p.sender_gender, p.recipient_gender): p.chance for p in truth.breakdown if p.time_window == "latest"}
    for sender, row in zip(("female", "male"), TABLE_1, strict=True):
        for recipient, rate in zip(("female", "male"), row, strict=True):
            assert rates[sender, recipient] == pytest.approx(rate, abs=0.03)


def test_a_world_whose_first_days_are_all_women_or_all_men(tmp_path):
    world = make_world(tmp_path, users=60, swipes=6_000, seed=3, pictures=False)
    assert world.truth.n_swipes == 6_000
