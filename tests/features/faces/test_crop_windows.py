"""Candidate crops have the right shape, lie inside the photo, and contain every region to keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photogenic.features.faces.crop_windows import MARGIN, box_with_margin, candidates
from photogenic.features.faces.detector import Face

SIDES = st.integers(20, 3000)


@given(SIDES, SIDES, st.sampled_from([(1, 1), (4, 5), (16, 9), None]), st.floats(0.3, 1), st.data())
def test_every_crop_has_the_shape_lies_inside_and_keeps_what_it_must(width, height, aspect, smallest, data):
    x0, y0 = data.draw(st.floats(0, width - 2)), data.draw(st.floats(0, height - 2))
    keep = [(x0, y0, data.draw(st.floats(x0 + 1, width)), data.draw(st.floats(y0 + 1, height)))]
    boxes = candidates(width, height, aspect, keep, smallest=smallest)
    across, down = aspect or (width, height)
    largest = min(width / across, height / down)
    assert len(boxes) == len(set(boxes))
    for box in boxes:
        assert 0 <= box.x0 <= keep[0][0]
        assert keep[0][2] <= box.x1 <= width
        assert 0 <= box.y0 <= keep[0][1]
        assert keep[0][3] <= box.y1 <= height
        w, h = box.x1 - box.x0, box.y1 - box.y0
        assert abs(w * down - h * across) <= max(across, down)
        assert w >= smallest * largest * across - 1
    fits = keep[0][2] - keep[0][0] <= largest * across - 2 and keep[0][3] - keep[0][1] <= largest * down - 2
    assert boxes or not fits
    assert [-b.x1 + b.x0 for b in boxes] == sorted(-b.x1 + b.x0 for b in boxes)


def test_the_grid_of_crops_has_no_gaps():
    """With steps of a tenth of the crop, a crop starts within a twentieth of any possible corner."""
    boxes = [box for box in candidates(1000, 1000, (1, 1)) if box.x1 - box.x0 == 500]
    starts = np.array([(box.x0, box.y0) for box in boxes])
    for x, y in np.random.default_rng(0).uniform(0, 500, (200, 2)):
        assert np.abs(starts - (x, y)).max(1).min() <= 25
    assert len(candidates(1000, 1000, (1, 1))) < 400


def test_the_whole_photo_is_a_candidate_of_its_own_shape():
    assert candidates(640, 480, None)[0] == (0, 0, 640, 480)
    assert candidates(640, 480, None, smallest=1) == [(0, 0, 640, 480)]


def test_faces_too_far_apart_fit_into_no_crop():
    assert candidates(900, 300, (1, 1), [(0, 0, 100, 100), (700, 0, 900, 100)]) == []


def test_a_face_has_a_margin_that_ends_with_the_photo():
    face = Face(100, 10, 200, 110, 0.9, np.zeros((6, 2)))
    assert box_with_margin(face, 210, 400) == (100 - 100 * MARGIN, 0, 210, pytest.approx(110 + 100 * MARGIN))
