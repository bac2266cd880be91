"""A plan lists the photos that a build would process, with its estimated time and size."""

from __future__ import annotations

import numpy as np
import pytest

from photogenic.features.build_options import BuildOptions
from photogenic.features.compute import throughput
from photogenic.features.compute.pipeline import compute
from photogenic.features.encoders.registry import encoder
from photogenic.features.plan import plan
from photogenic.features.vectors import reader
from tests.features.gallery import Gallery, portrait

PAIR = ("efficientnet_lite0", "dlib_face")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("loaded_networks")]


@pytest.fixture
def gallery(tmp_path):
    return Gallery(tmp_path / "store", {f"p{i}": portrait(i) for i in range(4)})


def planned(gallery, **arguments):
    return plan(gallery.store, BuildOptions(encoders=PAIR, only="embeddings", **arguments))


def test_a_plan_without_measurements_has_counts_and_bytes(gallery):
    found = planned(gallery)
    assert (found.n_decoded, found.n_pictures) == (4, 4)
    assert found.n_vectors == dict.fromkeys(PAIR, 4)
    assert found.n_bytes == {name: 4 * encoder(name).dim * 4 for name in PAIR}
    assert found.seconds == {}
    assert f"not measured yet in this store: decode, faces, {', '.join(PAIR)}." in " ".join(found.notes)
    half = planned(gallery, dtype="float16", flip=True)
    assert half.n_bytes == {f"{name}{side}": 4 * encoder(name).dim * 2 for name in PAIR for side in ("", "|flip")}


def test_a_build_measures_the_rates_of_the_next_plan(gallery):
    report = compute(gallery.store, PAIR)
    assert report.counts == {"decode": 4, "faces": 4, "cut": 4, **dict.fromkeys(PAIR, 4)}
    assert not planned(gallery).changes
    gallery.put({"new": portrait(9), "newer": portrait(10)})
    found = planned(gallery)
    assert set(found.seconds) == {"decode", "faces", *PAIR}
    assert found.notes == ()
    known = throughput.last(gallery.db)
    per_photo = {step: spent / report.counts[step] for step, spent in report.seconds.items()}
    assert known.work_s == pytest.approx(per_photo, rel=1e-3)
    # Half as many photos take half the time of the whole build.
    assert sum(found.seconds.values()) == pytest.approx(report.wall_s / 2, rel=0.2)


def test_mirror_images_need_faces_again_and_a_pass_of_their_own(gallery):
    compute(gallery.store, PAIR)
    found = planned(gallery, flip=True)
    assert (found.n_decoded, found.n_pictures) == (4, 0)
    assert {name: n for name, n in found.n_vectors.items() if n} == {f"{name}|flip": 4 for name in PAIR}
    assert set(found.seconds) == {"decode", "faces", *(f"{name}|flip" for name in PAIR)}


def test_a_step_that_was_never_measured_has_no_estimate(gallery):
    compute(gallery.store, PAIR[:1])
    gallery.put({"new": portrait(9)})
    assert set(planned(gallery).seconds) == {"decode", "faces", PAIR[0]}


def test_half_precision_is_kept_once_chosen(gallery):
    compute(gallery.store, PAIR, dtype="float32")
    whole = {name: reader.read(gallery.layout, name)[1] for name in PAIR}
    report = compute(gallery.store, PAIR, dtype="float16")
    assert report.computed == dict.fromkeys(PAIR, 4)
    gallery.put({"p4": portrait(4)})
    assert compute(gallery.store, PAIR).computed == dict.fromkeys(PAIR, 1)
    for name in PAIR:
        assert reader.manifest(gallery.layout, name).dtype == "float16"
        _, X = reader.read(gallery.layout, name, [f"p{i}" for i in range(4)])
        assert X.dtype == np.float32
        assert 0 < np.abs(X - whole[name]).max() <= np.abs(whole[name]).max() * 2.0**-11
