"""Augmented pictures, pixel by pixel where nothing is interpolated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photogenic.models.finetune.augment import augmented


def pictures(n, side, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (n, 3, side, side))
    return torch.from_numpy(values.astype(np.float32))


def test_a_crop_of_the_network_size_is_a_part_of_the_picture_or_of_its_mirror_image():
    x = pictures(96, 12)
    found = augmented(x, 8, torch.Generator().manual_seed(1), least_crop=None, light=0)
    places = []
    for whole, part in zip(x.numpy(), found.numpy(), strict=True):
        hits = [
            (mirrored, top, left)
            for mirrored in (False, True)
            for top in range(5)
            for left in range(5)
            if np.abs((whole[:, :, ::-1] if mirrored else whole)[:, top : top + 8, left : left + 8] - part).max() < 0.02
        ]
        assert len(hits) == 1
        places += hits
    assert {mirrored for mirrored, _, _ in places} == {False, True}
    assert {top for _, top, _ in places} == {left for _, _, left in places} == {0, 1, 2, 3, 4}


def test_a_crop_has_at_least_the_smallest_size_and_stays_inside_the_picture():
    ramp = torch.linspace(0, 255, 64).expand(1, 3, 64, 64).repeat(200, 1, 1, 1)
    found = augmented(ramp, 32, torch.Generator().manual_seed(0), least_crop=0.5, light=0)
    spans = (found.amax((1, 2, 3)) - found.amin((1, 2, 3))) / 255
    assert spans.min() > 0.45
    assert spans.max() > 0.9
    assert 0.6 < spans.mean() < 0.85


def test_light_changes_within_its_bounds():
    grey = torch.full((200, 3, 8, 8), 100.0)
    found = augmented(grey, 8, torch.Generator().manual_seed(0), least_crop=1.0, light=0.2)[:, 0, 0, 0]
    assert found.min() == pytest.approx(80, abs=2)
    assert found.max() == pytest.approx(120, abs=2)
    assert torch.equal(augmented(grey, 8, torch.Generator(), least_crop=1.0, light=0), grey)


def test_the_same_seed_gives_the_same_result_and_torchs_generator_is_not_changed():
    before, x = torch.get_rng_state(), pictures(3, 16)
    one, again, other = (
        augmented(x, 8, torch.Generator().manual_seed(seed), least_crop=0.7, light=0.1) for seed in (5, 5, 6)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
