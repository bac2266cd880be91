"""The relations against a slow, obvious computation, on random events with ties, gaps and strangers."""

import random

import pytest

from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from tests.sql import plain
from tests.warehouse.small import add_facts, ask, hour, store


def random_facts(seed: int) -> plain.Facts:
    """Few users, photos and instants, so that everything collides."""
    rng = random.Random(seed)
    users = [(f"u{i}", rng.choice(["female", "male", "other", None])) for i in range(8)]
    ids = [user for user, _ in users] + ["stranger", "ghost"]
    photos = [f"p{i}" for i in range(14)]
    known = [(photo, rng.choice(ids[:8])) for photo in photos if rng.random() < 0.7]
    belongs = dict(known)
    events = []
    for _ in range(40):
        photo = rng.choice([*photos, None])
        user = belongs.get(photo, rng.choice(ids)) if rng.random() < 0.8 else rng.choice(ids)
        events.append((user, photo, rng.randrange(20)))
    swipes = [(rng.choice(ids), rng.choice(ids), rng.random() < 0.6, rng.randrange(22)) for _ in range(400)]
    return plain.Facts(users, known, events, swipes)


@pytest.mark.parametrize("seed", range(12))
def test_labels_equal_a_plain_computation(tmp_path, seed):
    facts = random_facts(seed)
    db = store(tmp_path)
    add_facts(db, users=facts.users, photos=facts.photos, main_photos=facts.main_photos, swipes=facts.swipes)
    as_of = None if seed % 2 else hour(24.5)
    build_labels(Store(db), as_of=as_of)
    agrees(db, facts)


@pytest.mark.parametrize("seed", range(100, 104))
def test_as_of_equals_a_plain_computation_of_what_had_happened(tmp_path, seed):
    facts = random_facts(seed)
    db = store(tmp_path)
    add_facts(db, users=facts.users, photos=facts.photos, main_photos=facts.main_photos, swipes=facts.swipes, arrived=1)
    build_labels(Store(db), as_of=hour(10))
    agrees(db, facts.before(10))


def agrees(db, facts):
    periods = "select photo_id, user_id, valid_from, valid_to from photo_periods"
    assert set(ask(db, periods)) == {(p, u, hour(a), hour(b)) for p, u, a, b in plain.periods(facts)}
    audit = "select reason, n_swipes, n_likes from swipe_audit"
    assert {r: (n, k) for r, n, k in ask(db, audit)} == plain.swipe_audit(facts)
    ratios = "select photo_id, time_window, n_likes, n_swipes from like_ratios"
    assert {(p, w): (k, n) for p, w, k, n in ask(db, ratios)} == plain.like_ratios(facts)
    groups = ask(
        db,
        "select time_window, sender_gender, recipient_gender, n_recipients, n_swipes, n_likes, mean_like_ratio "
        "from gender_breakdown",
    )
    expected = plain.gender_breakdown(facts)
    assert {row[:3] for row in groups} == expected.keys()
    for row in groups:
        assert row[3:] == pytest.approx(expected[row[:3]], abs=1e-12)
    assert ask(db, "select coalesce(sum(n_swipes), 0) from swipe_audit") == [(len(facts.swipes),)]
