"""Random coefficients: each sender has weights for a photo's features, distributed around the mean of a group.

    logit P(like | s, p) = w_s . f_p,  w_s ~ N(mean of the group of s, covariance)

The means and the covariance are estimated from all senders by expectation maximization, with the posterior of each w_s
approximated by a normal distribution around its mode (Laplace). Weights of a sender with few swipes stay close to the
group; with many swipes, they follow the swipes. All senders do their Newton steps together, in chunks of rows.

Source: Bates & Watts 1988, ch. 5; Breslow & Clayton 1993, JASA 88, sec. 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from photogenic.models.data.array_types import Array

__all__ = ["Groups", "Pairs", "Posterior", "directions", "posterior", "sigmoid", "spread"]

Positions: TypeAlias = NDArray[np.intp]

ROUNDS, NEWTON_STEPS = 15, 2
"""Rounds of expectation maximization, and Newton steps in each; modes start at those of the round before."""

ONE_SENDER_STEPS = 25
CHUNK = 100_000
GROUP_PRIOR = 10.0
"""Number of pseudo-senders at the overall mean that are added to each group."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Swipes by sender and photo, sorted by sender.

    Attributes:
        sender, photo: positions; senders are 0..senders-1, ascending, without gaps.
        n, likes: number of swipes of that sender on that photo, and number of likes among them.
        group: group of each sender: a position in the genders.
    """

    sender: Positions
    photo: Positions
    n: Array
    likes: Array
    group: Positions

    def rows(self, chosen: NDArray[np.bool_]) -> tuple[Pairs, Positions]:
        """Return some rows with senders renumbered, and the old number of each sender."""
        kept, sender = np.unique(self.sender[chosen], return_inverse=True)
        return Pairs(sender, self.photo[chosen], self.n[chosen], self.likes[chosen], self.group[kept]), kept


@dataclass(frozen=True, slots=True)
class Groups:
    """Distribution of the weights of senders: mean (groups, k) and covariance (k, k)."""

    mean: Array
    covariance: Array


@dataclass(frozen=True, slots=True)
class Posterior:
    """Posterior of the weights of each sender: mode (senders, k) and covariance (senders, k, k)."""

    mode: Array
    covariance: Array


def sigmoid(x: Array) -> Array:
    """Convert logits to probabilities; logits beyond 35 are clipped."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -35, 35))))


def posterior(
    F: Array, pairs: Pairs, prior: Groups, *, start: Array | None = None, steps: int = ONE_SENDER_STEPS
) -> Posterior:
    """Return the posterior of the weights of senders, given their swipes.

    Args:
        F: features of the photo of each row, (rows, k).
        pairs: rows of swipes.
        prior: distribution of the weights by group.
        start: weights to start from, (senders, k). None: the mean of the group.
        steps: number of Newton steps; each is shortened to a length that is plausible under the prior.
    """
    n, likes, sender, group = pairs.n, pairs.likes, pairs.sender, pairs.group
    mode = (prior.mean[group] if start is None else start).copy()
    precision = np.linalg.inv(prior.covariance)
    covariance = np.empty((len(mode), *precision.shape))
    for _ in range(steps):
        longest = 0.0
        for rows, senders, offsets in _chunks(sender):
            X, weights = F[rows], mode[senders]
            p = sigmoid(np.einsum("ij,ij->i", X, mode[sender[rows]]))
            curvature = (n[rows] * p * (1 - p))[:, None] * X
            H = np.add.reduceat(curvature[:, :, None] * X[:, None, :], offsets) + precision
            slope = np.add.reduceat((likes[rows] - n[rows] * p)[:, None] * X, offsets)
            slope -= (weights - prior.mean[group[senders]]) @ precision
            covariance[senders] = np.linalg.inv(H)
            step = np.einsum("sij,sj->si", covariance[senders], slope)
            length = np.sqrt(np.einsum("si,ij,sj->s", step, precision, step))[:, None]
            mode[senders] = weights + step * np.minimum(1, 3 / np.maximum(length, 1e-12))
            longest = max(longest, float(length.max()))
        if longest < 1e-6:
            break
    return Posterior(mode, covariance)


def spread(F: Array, pairs: Pairs) -> tuple[Groups, Posterior]:
    """Estimate means and covariance of the weights of all senders, and the weights; arguments as in `posterior`.

    The initial weights are w = (0, 1, 0, ...): the second feature, the photo's level, as it is.
    """
    k = F.shape[1]
    prior = Groups(np.tile(np.eye(k)[1], (int(pairs.group.max()) + 1, 1)), np.diag(np.full(k, 0.5)))
    estimate: Posterior | None = None
    for _ in range(ROUNDS):
        start = None if estimate is None else estimate.mode
        estimate = posterior(F, pairs, prior, start=start, steps=NEWTON_STEPS)
        prior = _groups(estimate, pairs.group, len(prior.mean))
    assert estimate is not None
    return prior, estimate


def _groups(estimate: Posterior, group: Positions, n_groups: int) -> Groups:
    overall = estimate.mode.mean(0)
    held = np.bincount(group, minlength=n_groups)[:, None]
    sums = np.zeros((n_groups, len(overall)))
    np.add.at(sums, group, estimate.mode)
    mean = (sums + GROUP_PRIOR * overall) / (held + GROUP_PRIOR)
    off = estimate.mode - mean[group]
    covariance = estimate.covariance.mean(0) + off.T @ off / len(off)
    return Groups(mean, covariance + 1e-6 * np.eye(len(overall)))


def directions(X: Array, pairs: Pairs, p: Array, rank: int) -> Array:
    """Find directions in X (photos, d) in which senders differ more than by chance, best first: (d, at most rank).

    The gradient of a sender's likelihood along x is g = sum of (likes - n p) x. By chance alone it has the covariance
    H = sum of n p (1 - p) x x'; the rest of g g', in units of H, is taste. `p` is the prediction of a model without
    directions for each row.
    """
    n, likes, sender = pairs.n, pairs.likes, pairs.sender
    n_senders = len(pairs.group)
    G, H = np.zeros((n_senders, X.shape[1])), np.zeros((X.shape[1], X.shape[1]))
    for rows, senders, offsets in _chunks(sender):
        x = X[pairs.photo[rows]]
        G[senders] = np.add.reduceat((likes[rows] - n[rows] * p[rows])[:, None] * x, offsets)
        H += x.T @ ((n[rows] * p[rows] * (1 - p[rows]))[:, None] * x)
    values, vectors = np.linalg.eigh(H)
    whiten = vectors / np.sqrt(np.maximum(values, 1e-6 * values.max()))
    gains, axes = np.linalg.eigh(whiten.T @ (G.T @ G - H) @ whiten)
    best = np.argsort(-gains)[:rank]
    found = whiten @ axes[:, best[gains[best] > 0]]
    largest = np.abs(found).argmax(0) if found.shape[1] else np.zeros(0, np.intp)
    return np.asarray(found * np.sign(found[largest, np.arange(found.shape[1])]))


def _chunks(sender: Positions) -> Iterator[tuple[slice, slice, Positions]]:
    """Yield rows and senders of one chunk, and the start of each sender in it: whole senders, about CHUNK rows."""
    begins = np.append(np.flatnonzero(np.diff(sender, prepend=-1)), len(sender))
    at = 0
    while at < len(begins) - 1:
        end = max(int(np.searchsorted(begins, begins[at] + CHUNK, "right")) - 1, at + 1)
        yield slice(begins[at], begins[end]), slice(at, end), begins[at:end] - begins[at]
        at = end
