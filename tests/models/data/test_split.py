"""Splits and their audit: photos that share a user, bytes or a cluster are in one split."""

import datetime as dt
import hashlib
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from photogenic.models.data.leakage import audit
from photogenic.models.data.samples import Samples
from photogenic.models.data.split import Groups, make_split
from photogenic.models.data.split_config import DEFAULT_SPLIT, SplitConfig
from photogenic.warehouse import InputError, StoreError
from tests.models.planted import QUICK, planted, train

N = 600


def drawn(n=N, *, clusters=60, seed=0):
    """Return samples with the split of photo_setups, and rows as in origins.sql: 2 photos per user."""
    rng = np.random.default_rng(seed)
    ids, users = np.char.mod("p%04d", np.arange(n)), np.char.mod("u%03d", np.arange(n) // 2)
    draws = [hashlib.md5(f"all:0:{user}".encode()).hexdigest()[:8] for user in users]
    split = np.array(["train" if d < "cccccccc" else "dev" if d < "e6666666" else "test" for d in draws])
    X = rng.normal(size=(n, 3)).astype(np.float32)
    ones = np.ones(n, np.float32)
    samples = Samples(ids, users, X, rng.random(n).astype(np.float32), ones, np.full(n, ""), split)
    start = dt.datetime(2024, 1, 1)
    rows = pl.DataFrame(
        {
            "photo_id": ids,
            "user_id": users,
            "sha256": [f"s{i}" if i % 50 else "same" for i in range(n)],
            "cluster_id": [f"c{i % clusters}" if i % 5 == 0 else None for i in range(n)],
            "shown_at": [start + dt.timedelta(hours=int(h)) for h in rng.integers(0, 500, n)],
        }
    )
    return samples, rows


def plain_groups(rows):
    """Return the group of each photo with a simple algorithm: join connected photos until nothing changes."""
    group = list(range(len(rows)))
    changed = True
    while changed:
        changed = False
        for column in ("user_id", "sha256", "cluster_id"):
            least = {}
            for place, value in enumerate(rows[column]):
                if value is not None:
                    least[value] = min(least.get(value, group[place]), group[place])
            for place, value in enumerate(rows[column]):
                if value is not None and least[value] < group[place]:
                    group[place], changed = least[value], True
    return group


def sides(values, split):
    """Return the largest number of splits in which one value occurs."""
    found = {}
    for value, side in zip(values, split, strict=True):
        found.setdefault(value, set()).add(side)
    return max(map(len, found.values()))


DIVISIONS = [
    DEFAULT_SPLIT,
    SplitConfig(division_seed=3),
    SplitConfig("3:1"),
    SplitConfig(folds=5),
    SplitConfig(by_time=True),
]


@pytest.mark.parametrize("division", DIVISIONS, ids=lambda d: d.name)
def test_users_bytes_and_clusters_stay_in_one_split(division):
    samples, rows = drawn()
    groups, group = Groups.of(samples.photo_ids, rows), plain_groups(rows)
    assert sides(group, samples.split) == 3, "the stored split must divide some groups, so that this test can fail"
    for part in make_split(samples, groups, division, "all"):
        kept = np.isin(samples.photo_ids, part.photo_ids)
        assert sides(np.array(group)[kept], part.split) == 1
        audited = audit(part, groups.of_photos(samples.photo_ids, part.photo_ids), division, known_duplicates=True)
        assert (audited["users"], audited["bytes"], audited["clusters"], audited["vectors"]) == (0, 0, 0, 0)
        assert len(part) == N or division.by_time


def test_without_duplicates_the_stored_division_is_kept_and_a_seed_draws_it_in_the_same_way():
    samples, rows = drawn()
    rows = rows.with_columns(cluster_id=pl.lit(None, pl.String), sha256=pl.col("photo_id"))
    groups = Groups.of(samples.photo_ids, rows)
    for division in (DEFAULT_SPLIT, SplitConfig(division_seed=0)):
        assert make_split(samples, groups, division, "all")[0].split.tolist() == samples.split.tolist()
    assert make_split(samples, groups, SplitConfig(division_seed=1), "all")[0].split.tolist() != samples.split.tolist()


@pytest.mark.parametrize(("ratio", "shares"), [("8:1:1", (0.8, 0.1, 0.1)), ("3:1", (0.675, 0.075, 0.25))])
def test_splits_have_the_requested_shares(ratio, shares):
    samples, rows = drawn(4000, clusters=800)
    rows = rows.with_columns(cluster_id=pl.lit(None, pl.String), sha256=pl.col("photo_id"))
    groups = Groups.of(samples.photo_ids, rows)
    for division in (SplitConfig(ratio, division_seed=2), SplitConfig(ratio, by_time=True)):
        (part,) = make_split(samples, groups, division, "all")
        found = [np.mean(part.split == split) for split in ("train", "dev", "test")]
        np.testing.assert_allclose(found, shares, atol=0.1 if division.by_time else 0.03)


def test_with_folds_every_photo_is_once_in_test_and_once_in_dev():
    samples, rows = drawn()
    parts = make_split(samples, Groups.of(samples.photo_ids, rows), SplitConfig(folds=4), "all")
    splits = np.stack([part.split for part in parts])
    for split, times in (("test", 1), ("dev", 1), ("train", 2)):
        assert set((splits == split).sum(0)) == {times}


def test_by_time_test_is_newer_than_dev_and_dev_than_train():
    samples, rows = drawn()
    groups = Groups.of(samples.photo_ids, rows)
    (part,) = make_split(samples, groups, SplitConfig(by_time=True), "all")
    at = dict(zip(rows["photo_id"], rows["shown_at"], strict=True))
    times = {split: [at[i] for i in part.photo_ids[part.split == split]] for split in ("train", "dev", "test")}
    assert max(times["train"]) < min(times["dev"]) <= max(times["dev"]) < min(times["test"])
    assert len(part) < N, "users with an early and a late photo are left out of the earlier part"


def test_photos_with_the_same_time_cannot_be_split_by_time():
    samples, rows = drawn()
    rows = rows.with_columns(shown_at=pl.lit(dt.datetime(2024, 1, 1)))
    with pytest.raises(InputError, match="all have the same time"):
        make_split(samples, Groups.of(samples.photo_ids, rows), SplitConfig(by_time=True), "all")


def test_the_audit_refuses_a_split_that_leaks():
    samples, rows = drawn()
    groups = Groups.of(samples.photo_ids, rows)
    with pytest.raises(StoreError, match="'bytes': 1, 'clusters'"):
        audit(samples, groups, DEFAULT_SPLIT, known_duplicates=False)
    by_photo = replace(samples, split=np.random.default_rng(0).permutation(samples.split))
    with pytest.raises(StoreError, match="'users'"):
        audit(by_photo, groups, DEFAULT_SPLIT, known_duplicates=False)


def test_the_audit_counts_equal_vectors_and_refuses_a_vector_that_holds_the_label():
    samples, rows = drawn()
    groups = Groups.of(samples.photo_ids, rows)
    (part,) = make_split(samples, groups, DEFAULT_SPLIT, "all")
    X = part.X.copy()
    X[np.flatnonzero(part.split == "test")[:2]] = X[np.flatnonzero(part.split == "train")[0]]
    assert audit(replace(part, X=X), groups, DEFAULT_SPLIT, known_duplicates=True)["vectors"] == 2
    X[:, 1] = 5 - 3 * part.y
    with pytest.raises(StoreError, match="strongest_number"):
        audit(replace(part, X=X), groups, DEFAULT_SPLIT, known_duplicates=True)


@pytest.mark.parametrize("folds", [161, 10**6])
def test_more_folds_than_people_are_refused_before_anything_is_drawn(tmp_path, folds):
    with pytest.raises(InputError, match=rf"--folds is {folds}, and the 160 photos of setup all are of 160 people"):
        train(planted(tmp_path), "like_ratio", ["toy_a"], ["0fc"], "all", division=SplitConfig(folds=folds), grid=QUICK)


@pytest.mark.parametrize("wrong", [{"ratio": "2:1"}, {"folds": 2}, {"folds": 5, "by_time": True}])
def test_invalid_divisions_are_refused(wrong):
    with pytest.raises(InputError):
        SplitConfig(**wrong)
