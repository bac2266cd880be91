"""Train, dev and test without a leak: whoever or whatever two photos share puts them on one side.

Photos are connected by their owner, by equal bytes and by duplicate clusters; a group is all that hangs
together. A division deals out groups, never photos.

    8:1:1    as the relation photo_setups, groups that it cuts through moved whole to one side
    3:1      a quarter is test, a tenth of the rest dev
    folds    every group is test once and dev once, elsewhere train
    by time  the newest photos are test; groups that reach into a later part are left out of the earlier

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

__all__ = ["Groups", "make_split"]


@dataclass(frozen=True, slots=True)
class Groups:
    """Of each photo, in the order of the samples that are divided.

    Attributes:
        group: number of all that hangs together with it.
        name: the least user_id of the group, which its draws depend on.
        links: what photos share, by kind: user, bytes, cluster; '' where nothing.
        shown_at: when it was first seen; NaT where unknown.
    """

    group: NDArray[np.int64]
    name: Strings
    links: dict[str, Strings]
    shown_at: NDArray[np.datetime64]

    @classmethod
    def of(cls, photo_ids: Strings, rows: pl.DataFrame) -> Groups:
        """Of `photo_ids`, from the rows of sql/training/origins.sql, which may have more."""
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
        """Of `kept`, in their order; `photo_ids` are those that this speaks of, sorted."""
        at = np.searchsorted(photo_ids, kept)
        links = {kind: values[at] for kind, values in self.links.items()}
        return Groups(self.group[at], self.name[at], links, self.shown_at[at])


def make_split(samples: Samples, groups: Groups, division: SplitConfig, setup: str) -> list[Samples]:
    """The samples with their split: one answer, or one per fold.

    Args:
        samples: with the split of photo_setups.
        groups: of the same photos in the same order.
        division: how.
        setup: each is divided independently.

    Raises:
        InputError: the photos cannot be divided by time.
    """
    if division.by_time:
        return [_by_time(samples, groups, SHARES[division.ratio])]
    if division == DEFAULT_SPLIT:
        return [replace(samples, split=_whole(samples, groups))]
    salt = setup if division.ratio == "8:1:1" and not division.folds else f"{setup}:{division.name}"
    seed = division.division_seed or 0
    draws = _draws(groups.name, f"{salt}:{seed}")
    if not division.folds:
        dev, test = SHARES[division.ratio]
        return [replace(samples, split=_cut(draws, dev, test))]
    n_groups = len(np.unique(groups.group))
    if division.folds > n_groups:
        raise InputError(
            f"--folds is {division.folds}, and the {len(samples)} photos of setup {setup} are of {n_groups} people.",
            f"3 to {n_groups} folds" if n_groups >= 3 else "photos of 3 people or more",
            "--folds 5" if n_groups >= 5 else "features build, with more labelled photos",
        )
    fold = (draws * division.folds).astype(int)
    return [replace(samples, split=split) for split in _folds(fold, division.folds)]


def _whole(samples: Samples, groups: Groups) -> Strings:
    """The stored split; a group that it cuts through goes where its least user is."""
    split = samples.split.copy()
    order = np.argsort(samples.user_ids, kind="stable")
    _, first = np.unique(groups.group[order], return_index=True)
    of_group = dict(zip(groups.group[order[first]].tolist(), split[order[first]].tolist(), strict=True))
    return np.array([of_group[group] for group in groups.group.tolist()], split.dtype)


def _draws(names: Strings, salt: str) -> NDArray[np.float64]:
    """0 <= draw < 1 of each name: as photo_setups draws its users, so that equal salts give equal divisions."""
    known, place = np.unique(names, return_inverse=True)
    drawn = [int(_digest(f"{salt}:{name}")[:8], 16) / 2**32 for name in known.tolist()]
    return np.array(drawn)[place]


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _cut(draws: NDArray[np.float64], dev: float, test: float) -> Strings:
    return np.select([draws < dev, draws < test], ["train", "dev"], "test")


def _folds(fold: NDArray[np.int64], n: int) -> Iterator[Strings]:
    """Of fold k: it is test, the next one dev, the others train."""
    for k in range(n):
        yield np.select([fold == k, fold == (k + 1) % n], ["test", "dev"], "train")


def _by_time(samples: Samples, groups: Groups, shares: Sequence[float]) -> Samples:
    """Earlier photos train, later ones test; equal instants stay together, on the later side."""
    known = ~np.isnat(groups.shown_at)
    times = np.sort(groups.shown_at[known])
    if not len(times) or times[0] == times[-1]:
        raise InputError(
            "These photos were all first seen at one instant, or nobody knows when.",
            "photos first seen at different times, by main photos or posted_at",
            "features train without --by-time",
        )
    part = np.zeros(len(samples), np.int64)
    for share in shares:
        part += groups.shown_at >= times[int(share * len(times))]
    latest = np.full(groups.group.max() + 1, -1)
    np.maximum.at(latest, groups.group[known], part[known])
    kept = known & (part == latest[groups.group])
    return replace(samples, split=np.array(SPLITS)[part]).rows(kept)
