"""Taste in simulated worlds in which the preferences of the senders are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from photogenic.models.evaluation.metrics import log_loss
from photogenic.models.taste.cache import NORMAL_90
from photogenic.models.taste.fit import Groups, Pairs, posterior, sigmoid
from photogenic.models.taste.taste import Photos, evaluate, fit

N_SENDERS, N_PHOTOS, EACH = 400, 120, 40


def world(*, taste=1.0, seed=0):
    """Make vectors whose first dimension all senders like, and whose second some like, by taste and by group."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N_PHOTOS, 20)).astype(np.float32)
    level = X[:, 0] + 0.3 * rng.normal(size=N_PHOTOS) - 0.3
    group = rng.integers(0, 2, N_SENDERS)
    likes_second = taste * (rng.normal(size=N_SENDERS) + np.where(group == 1, 1.0, -1.0))
    weights = np.column_stack([rng.normal(0, 0.8 * taste, N_SENDERS), likes_second])
    sender = np.repeat(np.arange(N_SENDERS), EACH)
    photo = np.concatenate([np.sort(rng.choice(N_PHOTOS, EACH, replace=False)) for _ in range(N_SENDERS)])
    p = sigmoid(weights[:, :1] + level + weights[:, 1:] * X[:, 1])  # (senders, photos)
    liked = (rng.random(len(sender)) < p[sender, photo]).astype(float)
    return Photos(X, np.arange(N_PHOTOS)), Pairs(sender, photo, np.ones(len(sender)), liked, group), p


def split(pairs, seed=1):
    unseen = pairs.photo % 5 == 0
    return np.random.default_rng(seed).random(len(unseen)) < 0.1, unseen


def test_taste_is_better_than_photo_and_sender_on_known_and_new_photos():
    photos, pairs, _ = world()
    for part in evaluate(photos, pairs, *split(pairs)).values():
        assert part["taste"]["auc"] > part["sender"]["auc"] + 0.03 > part["photo"]["auc"] + 0.05
        assert part["taste"]["log_loss"] < part["sender"]["log_loss"] < part["photo"]["log_loss"]
        assert part["interval"][0] > 0.05


def test_without_differences_of_taste_there_is_no_gain():
    photos, pairs, _ = world(taste=0.0)
    for part in evaluate(photos, pairs, *split(pairs)).values():
        assert abs(part["gain"]) < 0.02
        assert part["interval"][0] < 0.01


def test_bounds_of_new_photos_have_their_stated_coverage():
    inside, errors, simplest = [], [], []
    for seed in range(3):
        photos, pairs, p = world(seed=seed)
        new = pairs.photo % 5 == 0
        known, _ = pairs.rows(~new)
        taste = fit(photos, known)
        believed, sender, photo = taste.weights(known), pairs.sender[new], pairs.photo[new]
        mean, deviation = taste.logit_of_like(
            taste.of_vectors(photos.X[photo]),
            believed.mode[sender],
            believed.covariance[sender],
            taste.projection.doubt,
        )
        true = np.log(p[sender, photo] / (1 - p[sender, photo]))
        inside.append(np.abs(true - mean) <= NORMAL_90 * deviation)
        errors.append(log_loss(p[sender, photo], sigmoid(mean), np.ones(len(mean))))
        simplest.append(log_loss(p[sender, photo], np.full(len(mean), p.mean()), np.ones(len(mean))))
    assert np.mean(np.concatenate(inside)) == pytest.approx(0.9, abs=0.06)
    assert np.mean(errors) < np.mean(simplest) - 0.08


def test_weights_of_all_senders_together_equal_those_of_each_alone():
    rng = np.random.default_rng(0)
    sender = np.repeat(np.arange(5), [1, 3, 10, 40, 2])
    F, n = rng.normal(size=(len(sender), 3)), rng.integers(1, 4, len(sender)).astype(float)
    likes, group = rng.binomial(n.astype(int), 0.6).astype(float), np.array([0, 1, 0, 1, 1])
    spread = rng.normal(size=(3, 3))
    prior = Groups(rng.normal(size=(2, 3)), spread @ spread.T + np.eye(3))
    found = posterior(F, Pairs(sender, sender, n, likes, group), prior)
    for s in range(5):
        own, centre, precision = sender == s, prior.mean[group[s]], np.linalg.inv(prior.covariance)

        def loss(w, own=own, centre=centre, precision=precision):
            logit = F[own] @ w
            return (n[own] * np.logaddexp(0, logit) - likes[own] * logit).sum() + (w - centre) @ precision @ (
                w - centre
            ) / 2

        alone = minimize(loss, centre, tol=1e-12).x
        assert found.mode[s] == pytest.approx(alone, abs=1e-4)


def test_the_same_swipes_give_the_same_taste():
    photos, pairs, _ = world()
    one, other = fit(photos, pairs), fit(photos, pairs)
    assert np.array_equal(one.groups.covariance, other.groups.covariance)
    assert np.array_equal(one.directions, other.directions)
