import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from photogenic.models.heads.mlp import DEPTHS, apply_head
from photogenic.models.heads.stacked_mlp import Member
from photogenic.models.heads.train_stack import PUBLISHED, Schedule, train_stack
from tests.models.plain_loop import train_alone

WIDTH = 6


def drawn(n, seed=0, d=5):
    g = torch.Generator().manual_seed(seed)
    X = torch.randn(n, d, generator=g)
    ratio = torch.sigmoid(X[:, 0] - X[:, 1] * X[:, 2] + 0.3 * torch.randn(n, generator=g))
    gender = (X[:, 3] + 0.5 * torch.randn(n, generator=g) > 0).float()
    weight = torch.stack([torch.randint(1, 50, (n,), generator=g).float(), torch.ones(n)], 1)
    return X, torch.stack([ratio, gender], 1), weight


def members():
    for head in ("1fc", "0fc", "2fc"):
        for rate in (0.003, 0.03):
            for penalty in (0.0, 0.1):
                yield Member(head, 0, "mse", "identity", rate, penalty, 0.5)
                yield Member(head, 0, "mse", "sigmoid", rate, penalty, 0.1)
                yield Member(head, 1, "log_loss", "sigmoid", rate, penalty, -0.2)
                yield Member(head, 0, "log_loss", "sigmoid", rate, penalty, 0.0)


@pytest.fixture(scope="module")
def together():
    train, dev = drawn(70), drawn(40, seed=1)
    schedule = Schedule(batch=16, epochs=4, least_updates=60, evaluations=12, patience=99)
    everyone = list(members())
    stack = train_stack(train, dev, everyone, torch.Generator().manual_seed(3), width=WIDTH, schedule=schedule)
    return train, dev, schedule, everyone, stack


@pytest.mark.parametrize("k", range(len(list(members()))))
def test_each_member_equals_a_plain_loop_that_trains_it_alone(together, k):
    train, dev, schedule, everyone, stack = together
    generator = torch.Generator().manual_seed(3)
    alone, curve = train_alone(train, dev, everyone[k], generator, width=WIDTH, schedule=schedule)
    assert [step for step, _ in stack[k].curve] == [step for step, _ in curve]
    assert [loss for _, loss in stack[k].curve] == pytest.approx([loss for _, loss in curve], abs=1e-5)
    head = {name: array.numpy() for name, array in stack[k].head.items()}
    with torch.no_grad():
        expected = alone(dev[0])[:, 0].numpy()
    np.testing.assert_allclose(apply_head(head, dev[0].numpy()), expected, atol=1e-5)


@pytest.fixture
def in_double():
    """Make new tensors with double precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_at_the_published_rates_stack_and_loop_differ_by_rounding_only(in_double):
    """A large rate magnifies rounding errors of single precision in loop and stack; in double, both are equal."""
    train, dev = drawn(600, d=300), drawn(100, seed=1, d=300)
    schedule = Schedule(batch=64, epochs=6, least_updates=1, evaluations=6, patience=99)
    everyone = [
        Member(head, column, loss, link, rate, 0.0, 0.5 * (1 - column))
        for head in DEPTHS
        for column, loss, link in ((0, "mse", "identity"), (1, "log_loss", "sigmoid"))
        for rate in (1e-3, 3e-2)
    ]
    stack = train_stack(train, dev, everyone, torch.Generator().manual_seed(3), schedule=schedule)
    for member, trained in zip(everyone, stack, strict=True):
        _, curve = train_alone(train, dev, member, torch.Generator().manual_seed(3), width=64, schedule=schedule)
        assert trained.curve == pytest.approx(np.array(curve), rel=1e-11)


def test_the_train_curve_is_the_loss_on_train_at_each_evaluation(together):
    train, _, _, everyone, stack = together
    for member, trained in zip(everyone, stack, strict=True):
        assert [step for step, _ in trained.train_curve] == [step for step, _ in trained.curve]
        at, weight = dict(trained.train_curve)[trained.updates], train[2][:, member.column].numpy()
        out = apply_head({name: array.numpy() for name, array in trained.head.items()}, train[0].numpy())
        said, y = 1 / (1 + np.exp(-out)) if member.link == "sigmoid" else out, train[1][:, member.column].numpy()
        wrong = (said - y) ** 2 if member.loss == "mse" else np.logaddexp(0, out) - y * out
        assert at == pytest.approx(np.average(wrong, weights=weight), abs=1e-5)


def test_the_kept_head_is_the_one_with_the_least_dev_loss(together):
    _, dev, _, everyone, stack = together
    for member, trained in zip(everyone, stack, strict=True):
        assert trained.dev_loss == min(loss for _, loss in trained.curve)
        assert (trained.updates, trained.dev_loss) in trained.curve
        if member.loss == "mse" and member.link == "identity":
            answer = apply_head({k: v.numpy() for k, v in trained.head.items()}, dev[0].numpy())
            y, w = dev[1][:, 0].numpy(), dev[2][:, 0].numpy()
            assert np.average((answer - y) ** 2, weights=w) == pytest.approx(trained.dev_loss, rel=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    train, dev, schedule = drawn(30), drawn(10, seed=1), Schedule(8, 2, 10)
    member = [Member("2fc", 0, "mse", "identity", 0.01, 0.0, 0.5)]

    def weights(seed):
        return train_stack(train, dev, member, torch.Generator().manual_seed(seed), width=4, schedule=schedule)[0].head

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["hidden.1.weight"], other["hidden.1.weight"])


def test_a_head_stops_when_none_of_its_learning_rates_has_improved_for_the_patience():
    train, dev = drawn(30), drawn(10, seed=1)
    schedule = Schedule(8, 1, 400, decay=1.0, evaluations=100, patience=5)
    grid = [Member(head, 0, "mse", "identity", rate, 0.0, 0.5) for head in ("0fc", "2fc") for rate in (0.003, 0.1)]
    trained = train_stack(train, dev, grid, torch.Generator().manual_seed(0), width=4, schedule=schedule)
    assert len(trained[0].curve) < 100
    for pair in (trained[:2], trained[2:]):
        best = min(pair, key=lambda t: t.dev_loss)
        last = pair[0].curve[-1][0]
        assert last in {400, best.updates + 5 * schedule.every(30)}
    # One family leaves first; the other continues as if it had been trained alone.
    assert trained[0].curve[-1][0] != trained[2].curve[-1][0]
    later = slice(0, 2) if trained[0].curve[-1][0] > trained[2].curve[-1][0] else slice(2, 4)
    alone = train_stack(train, dev, grid[later], torch.Generator().manual_seed(0), width=4, schedule=schedule)
    for one, again in zip(trained[later], alone, strict=True):
        np.testing.assert_allclose(again.curve, one.curve, atol=1e-6)


def test_before_the_first_update_a_head_predicts_the_best_constant():
    train, dev = drawn(30), drawn(10, seed=1)
    frozen = Schedule(batch=8, epochs=1, least_updates=1)
    for head in ("0fc", "1fc", "2fc"):
        member = Member(head, 0, "mse", "identity", 0.0, 0.0, 0.375)
        trained = train_stack(train, dev, [member], torch.Generator().manual_seed(0), width=4, schedule=frozen)[0]
        answer = apply_head({k: v.numpy() for k, v in trained.head.items()}, dev[0].numpy())
        np.testing.assert_array_equal(answer, np.float32(0.375))


def test_large_sets_get_the_published_epochs_and_small_ones_the_published_updates():
    assert PUBLISHED.updates(60_800) == 20 * 238
    assert PUBLISHED.every(60_800) == 238
    assert PUBLISHED.updates(340) == 4500
    assert 4500 / PUBLISHED.every(340) >= PUBLISHED.evaluations


def test_the_learning_rate_decays_a_hundredfold_over_training(monkeypatch):
    seen = []
    step = torch.optim.Adam.step

    def spy(self, *args, **kwargs):
        seen.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    member = Member("0fc", 0, "mse", "identity", 0.5, 0.0, 0.0)
    train_stack(drawn(8), drawn(4), [member], torch.Generator(), width=2, schedule=Schedule(8, 1, 101, patience=99))
    assert seen[0] == 0.5
    assert seen[-1] == pytest.approx(0.5 / 100 ** (100 / 101))
    assert [b / a for a, b in pairwise(seen)] == pytest.approx([math.exp(-math.log(100) / 101)] * 100)
