"""The published schedule number by number, and how the modern recipe unfreezes a network."""

from __future__ import annotations

import pytest

from photogenic.models.finetune.recipes import GROUPS, RECIPES, recipe_of
from photogenic.models.options import FinetuneOptions
from photogenic.warehouse import InputError


def test_the_published_rate_is_divided_by_ten_at_every_5000_of_35000_iterations():
    published = recipe_of(FinetuneOptions(recipe="published"))
    assert (published.iterations, published.optimiser, published.ratio) == (35_000, "sgd", "3:1")
    for step, expected in ((0, 1e-3), (4_999, 1e-3), (5_000, 1e-4), (9_999, 1e-4), (30_000, 1e-9), (34_999, 1e-9)):
        assert published.rate(step, 1) == pytest.approx(expected), step
        assert published.rate(step, 0) == pytest.approx(10 * expected)
        assert published.rate(step, GROUPS) == published.rate(step, 1)
    assert all(published.opens(0, group) for group in range(GROUPS + 1))


def test_fewer_iterations_keep_the_shape_of_the_schedule():
    short = recipe_of(FinetuneOptions(recipe="published", iterations=70))
    assert [short.rate(step, 1) for step in (9, 10, 69)] == pytest.approx([1e-3, 1e-4, 1e-9])


def test_the_modern_rate_rises_then_falls_to_nothing_and_is_smaller_further_down():
    modern = recipe_of(FinetuneOptions(recipe="modern", iterations=400))
    rates = [modern.rate(step, 1) for step in range(400)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(3e-4)
    assert top <= 20
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 1e-7
    assert modern.rate(100, 3) == pytest.approx(modern.rate(100, 1) * 0.36)


def test_the_network_is_unfrozen_from_the_top_down():
    modern = recipe_of(FinetuneOptions(recipe="modern", iterations=400))
    opened = [next(step for step in range(400) if modern.opens(step, group)) for group in range(1, GROUPS + 1)]
    assert opened == [30, 60, 90, 120]
    assert recipe_of(FinetuneOptions(recipe="modern", iterations=400, random_weights=True)).opens(0, GROUPS)


def test_iterations_follow_the_number_of_pictures():
    modern = RECIPES["modern"]
    assert [modern.settled(n).iterations for n in (100, 6_400, 10_000_000)] == [300, 2_000, 20_000]
    assert recipe_of(FinetuneOptions(recipe="modern", iterations=5)).settled(10**6).iterations == 5
    assert recipe_of(FinetuneOptions(recipe="modern", iterations=5)).every == 1


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"batch_size": 1}, {"learning_rate": 0.0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match="Expected"):
        recipe_of(FinetuneOptions(recipe="modern", **wrong))
    with pytest.raises(InputError, match=r"'modrn' is not a recipe[\s\S]*modern, published"):
        recipe_of(FinetuneOptions(recipe="modrn"))
