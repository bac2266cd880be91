"""A rule gives the picture of an encoder and of fine-tuning, bit for bit."""

import numpy as np
import pytest

from photogenic.features.compute.preprocess import crop_for_encoder
from photogenic.features.decoded.rule import PictureRule
from photogenic.features.encoders.base import InputSpec
from photogenic.features.encoders.registry import encoder
from photogenic.features.images.decode import decode
from photogenic.features.images.resize import center_crop
from tests.features.decoded.pictures import cut_short, photos

SPECS = [
    InputSpec("photo", 224, "centre", 0.875),
    InputSpec("photo", 299, "centre", 1.0),
    InputSpec("photo", 384, "centre", 0.9),
    InputSpec("photo", 224, "squashed", 0.9),
    InputSpec("photo", 672, "squashed"),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_rule_of_an_input_gives_the_input(spec):
    rule = PictureRule.of_input(spec)
    for name, data in photos().items():
        decoded, found = rule.apply(data)
        assert np.array_equal(found, crop_for_encoder(spec, data, decode(data), [])), name
        assert decoded.status == "ok"


@pytest.mark.parametrize("name", ["efficientnet_lite0", "inception_v3"])
def test_the_rule_of_training_gives_the_pictures_with_a_margin(name):
    backbone = encoder(name).backbone
    rule = PictureRule.of_training(backbone)
    assert rule.size > backbone.size
    for data in photos().values():
        assert np.array_equal(rule.apply(data)[1], center_crop(decode(data).pixels, rule.size))


def test_faces_have_no_rule():
    assert PictureRule.of_input(encoder("dlib_face").backbone.input_spec) is None


def test_what_cannot_be_decoded_has_a_status():
    decoded, found = PictureRule.of_size(64).apply(cut_short())
    assert (decoded.status, found) == ("truncated", None)
