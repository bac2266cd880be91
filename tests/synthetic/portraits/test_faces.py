"""The face detector finds as many faces as were drawn, and none in a landscape."""

from __future__ import annotations

import numpy as np

from photogenic.features.faces.detector import Detector, FaceSettings
from photogenic.synthetic.portraits.portrait import draw_portrait
from photogenic.synthetic.swipes.people import draw_people, draw_photos


def test_as_many_faces_are_found_as_were_drawn():
    rng = np.random.default_rng(0)
    people = draw_people(120, rng)
    photos = draw_photos(people, rng)
    with Detector(FaceSettings()) as detector:
        found = np.array(
            [len(detector(np.asarray(draw_portrait(photos.shot(row, people), row)))) for row in range(100)]
        )
    drawn = photos.n_people[:100]
    assert {0, 1} < set(drawn.tolist())
    assert (found == drawn).mean() >= 0.97
    assert (found[drawn == 1] == 1).mean() >= 0.98
