"""Split photos into train, dev and test without leakage: connected photos stay in one split.

Photos are connected by their owner, by equal bytes and by duplicate clusters; connected photos form a group. A split
assigns groups, not single photos.

    8:1:1    as the relation photo_setups, but a group that falls into several splits is moved whole to one of them
    3:1      a quarter of the groups is test, a tenth of the rest dev
    folds    every group is once in test, once in dev, and otherwise in train
    by time  the newest photos are test; a group that reaches into a later split is removed from the earlier one

Source: Bogatyy & Tom (8:1:1); the university project on likability (3:1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pl, scipy
from photogenic.models.data.array_types import Strings
from photogenic.models.data.samples import SPLITS, Samples
from photogenic.models.data.split_config import DEFAULT_SPLIT, SHARES, SplitConfig
from photogenic.warehouse import InputError

__all__ = ["Groups", "draw_groups", "make_split"]


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of photos, in the order of the samples.

    Attributes:
        group: number of the group of each photo, (n,).
        name: smallest user_id of the group, which decides its random draw.
        links: values that photos share, by kind: user, bytes, cluster; '' if there is none.
        shown_at: time when the photo was first shown; NaT if unknown.
    """

    group: NDArray[np.int64]
    name: Strings
    links: dict[str, Strings]
    shown_at: NDArray[np.datetime64]

    @classmethod
    def of(cls, photo_ids: Strings, rows: pl.DataFrame) -> Groups:
        """Build the groups of `photo_ids` from rows of sql/training/origins.sql, which may contain more photos."""
        n, starts, ends = len(rows), [], []
        columns = {"user": "user_id", "bytes": "sha256", "cluster": "cluster_id"}
        links = {kind: rows[column].fill_null("").to_numpy().astype(np.str_) for kind, column in columns.items()}
        for values in links.values():
            _, firsts, place = np.unique(values, return_index=True, return_inverse=True)
            (known,) = np.nonzero(values != "")
            starts.append(known)
            ends.append(firsts[place][known])
        row, column = np.concatenate(starts), np.concatenate(ends)
        graph = scipy.sparse.coo_array((np.ones(len(row), np.int8), (row, column)), shape=(n, n))
        _, group = scipy.sparse.csgraph.connected_components(graph, directed=False)
        order = np.argsort(links["user"], kind="stable")
        _, least = np.unique(group[order], return_index=True)
        name = links["user"][order[least]][group]
        at = np.searchsorted(rows["photo_id"].to_numpy().astype(np.str_), photo_ids)
        shown_at = rows["shown_at"].to_numpy().astype("datetime64[us]")
        return cls(np.asarray(group[at], np.int64), name[at], {kind: v[at] for kind, v in links.items()}, shown_at[at])

    def of_photos(self, photo_ids: Strings, kept: Strings) -> Groups:
        """Return the groups of `kept`, in that order; `photo_ids` are the photos of this object, sorted."""
        at = np.searchsorted(photo_ids, kept)
        links = {kind: values[at] for kind, values in self.links.items()}
        return Groups(self.group[at], self.name[at], links, self.shown_at[at])


def make_split(samples: Samples, groups: Groups, division: SplitConfig, setup: str) -> list[Samples]:
    """Return the samples with their split: one result, or one per fold.

    Args:
        samples: samples with the split of photo_setups.
        groups: groups of the same photos in the same order.
        division: division into train, dev and test.
        setup: name of the setup; each setup is split independently.

    Raises:
        InputError: the photos cannot be split in this way.
    """
    if division.by_time:
        return [_by_time(samples, groups, SHARES[division.ratio])]
    if division == DEFAULT_SPLIT:
        return [replace(samples, split=_stored_split(samples, groups))]
    salt = setup if division.ratio == "8:1:1" and not division.folds else f"{setup}:{division.name}"
    seed = division.division_seed or 0
    draws = draw_groups(groups.name, f"{salt}:{seed}")
    if not division.folds:
        dev, test = SHARES[division.ratio]
        return [replace(samples, split=_split_by_draw(draws, dev, test))]
    n_groups = len(np.unique(groups.group))
    if division.folds > n_groups:
        raise InputError(
            f"--folds is {division.folds}, and the {len(samples)} photos of setup {setup} are of {n_groups} people.",
            f"3 to {n_groups} folds" if n_groups >= 3 else "photos of 3 people or more",
            "--folds 5" if n_groups >= 5 else "features build, with more labeled photos",
        )
    fold = (draws * division.folds).astype(int)
    return [replace(samples, split=split) for split in _folds(fold, division.folds)]


def _stored_split(samples: Samples, groups: Groups) -> Strings:
    """Return the stored split; a group in several splits is assigned the split of its smallest user id."""
    split = samples.split.copy()
    order = np.argsort(samples.user_ids, kind="stable")
    _, first = np.unique(groups.group[order], return_index=True)
    of_group = dict(zip(groups.group[order[first]].tolist(), split[order[first]].tolist(), strict=True))
    return np.array([of_group[group] for group in groups.group.tolist()], split.dtype)


def draw_groups(names: Strings, salt: str) -> NDArray[np.float64]:
    """Return a draw in [0, 1) for each name. photo_setups draws in the same way, so equal salts give equal splits."""
    known, place = np.unique(names, return_inverse=True)
    drawn = [int(_digest(f"{salt}:{name}")[:8], 16) / 2**32 for name in known.tolist()]
    return np.array(drawn)[place]


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _split_by_draw(draws: NDArray[np.float64], dev: float, test: float) -> Strings:
    return np.select([draws < dev, draws < test], ["train", "dev"], "test")


def _folds(fold: NDArray[np.int64], n: int) -> Iterator[Strings]:
    """Yield the splits of the folds: group k is test, the next one dev, the others train."""
    for k in range(n):
        yield np.select([fold == k, fold == (k + 1) % n], ["test", "dev"], "train")


def _by_time(samples: Samples, groups: Groups, shares: Sequence[float]) -> Samples:
    """Split by time: early photos are train, late ones test; photos of the same instant stay in the later split."""
    known = ~np.isnat(groups.shown_at)
    times = np.sort(groups.shown_at[known])
    if not len(times) or times[0] == times[-1]:
        raise InputError(
            "The photos cannot be split by time: all have the same time, or none has one.",
            "photos with different times, from main photos or posted_at",
            "features train without --by-time",
        )
    part = np.zeros(len(samples), np.int64)
    for share in shares:
        part += groups.shown_at >= times[int(share * len(times))]
    latest = np.full(groups.group.max() + 1, -1)
    np.maximum.at(latest, groups.group[known], part[known])
    kept = known & (part == latest[groups.group])
    return replace(samples, split=np.array(SPLITS)[part]).rows(kept)
