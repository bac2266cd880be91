"""The detector of persons with random weights: torchvision's results, in the columns of photo_persons."""

from __future__ import annotations

import functools
import hashlib

import numpy as np
import pytest
import torch
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.ops import nms

from photogenic.features.build import build
from photogenic.features.build_options import BuildOptions
from photogenic.features.compute.pipeline import compute
from photogenic.features.encoders.batch_embedder import Embedder
from photogenic.features.encoders.device import CPU
from photogenic.features.encoders.published import PERSONS, check_own_weights
from photogenic.features.encoders.weights import weights
from photogenic.features.images.decode import decode
from photogenic.features.images.resize import resize
from photogenic.features.pictures.photo_persons import PHOTO_PERSONS
from photogenic.features.pictures.values import held_features
from photogenic.warehouse import WeightsError
from photogenic.warehouse.catalog import relation
from tests.features.gallery import Gallery, portrait

pytestmark = pytest.mark.slow


@functools.cache
def network(seed=0):
    """torchvision's network with random weights, normalized on a few pictures, that finds persons in every picture."""
    torch.manual_seed(seed)
    made = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91).eval()
    for block in made.head.classification_head.module_list:
        torch.nn.init.normal_(block[-1].weight, std=0.05)
        torch.nn.init.zeros_(block[-1].bias)
        block[-1].bias.data.view(-1, 91)[:, 1] = 4.0
    for block in made.head.regression_head.module_list:
        torch.nn.init.normal_(block[-1].weight, std=0.05)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    shown = [resize(decode(portrait(i, people=1 + i % 3)).pixels, 320, 320) for i in range(8)]
    batch = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        made.backbone.train()
        made.head.train()
        made.head(list(made.backbone(batch).values()))
    return made.eval()


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    path = folder / weights("ssdlite_persons").file
    torch.save(network().state_dict(), path)
    path.with_name(f"{path.name}.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    return path


@pytest.fixture
def here(random_weights, monkeypatch):
    monkeypatch.setenv("FEATURES_WEIGHTS", str(random_weights.parent))


@pytest.fixture
def gallery(tmp_path):
    return Gallery(tmp_path / "store", {f"p{i}": portrait(i, size=300 + 20 * i) for i in range(3)})


def by_torchvision(pixels):
    """Number of persons, covered share and highest confidence, from torchvision's whole pipeline."""
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    with torch.inference_mode():
        (found,) = network()([image])
    chosen = (found["labels"] == 1) & (found["scores"] >= 0.5)
    boxes, scores = found["boxes"][chosen], found["scores"][chosen]
    boxes = boxes[nms(boxes, scores, 0.55)]
    covered = np.zeros((320, 320), bool)
    at = np.arange(320) + 0.5
    for x0, y0, x1, y1 in boxes.numpy():
        covered |= ((at >= y0) & (at < y1))[:, None] & ((at >= x0) & (at < x1))[None]
    return len(boxes), covered.mean(), float(found["scores"][found["labels"] == 1].max())


@pytest.mark.usefixtures("here")
def test_the_values_are_those_of_torchvision():
    pictures = [resize(decode(portrait(i, people=1 + i)).pixels, 320, 320) for i in range(3)]
    X = Embedder([PERSONS], CPU)(pictures)["photo_persons"]
    expected = np.array([by_torchvision(picture) for picture in pictures])
    assert X.shape == (3, 3)
    assert pytest.approx(expected, abs=2e-3) == X
    assert (expected[:, 0] > 1).all()
    assert len({tuple(row) for row in expected.round(4)}) == 3


@pytest.mark.usefixtures("here")
def test_a_build_computes_them_only_when_asked(gallery):
    build(gallery.store, BuildOptions(only="features"))
    assert gallery.sql("from photo_persons") == []
    build(gallery.store, BuildOptions(only="features", features="photo_persons"))
    rows = gallery.sql("select photo_id, n_persons, person_share, confidence, status from photo_persons order by all")
    pixels = resize(decode(portrait(2, size=340)).pixels, 320, 320)
    n, share, confidence = by_torchvision(pixels)
    assert rows[2][:2] == ("p2", n)
    assert rows[2][2:4] == pytest.approx((share, confidence), abs=2e-3)
    assert {row[4] for row in rows} == {"ok"}
    # From then on every build keeps them up to date.
    gallery.put({"new": portrait(9)})
    report = build(gallery.store, BuildOptions(only="features"))
    assert report.computed is not None
    assert report.computed.features == {"photo_quality": 1, "photo_persons": 1}
    assert report.computed.counts["ssdlite_persons"] == 1


@pytest.mark.usefixtures("here")
def test_without_the_weights_values_stay(gallery, monkeypatch, tmp_path):
    compute(gallery.store, [], features=["photo_persons"])
    before = gallery.sql("from photo_persons order by all")
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    report = build(gallery.store, BuildOptions(only="features"))
    assert gallery.sql("from photo_persons order by all") == before
    assert any("its weights are not on this machine: ssdlite_persons" in note for note in report.notes)
    monkeypatch.setattr("photogenic.features.encoders.weights._from_url", lambda *_: None)
    with pytest.raises(WeightsError, match="ssdlite320_mobilenet_v3_large_coco-a79551df"):
        compute(gallery.store, [], features=["photo_persons"])


@pytest.mark.usefixtures("here")
def test_other_weights_compute_again(gallery, random_weights, monkeypatch, tmp_path):
    compute(gallery.store, [], features=["photo_persons"])
    first = held_features(gallery.layout)["photo_persons"].digest
    other = tmp_path / random_weights.name
    torch.save(network(1).state_dict(), other)
    other.with_name(f"{other.name}.sha256").write_text(f"{hashlib.sha256(other.read_bytes()).hexdigest()}  x\n")
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    assert compute(gallery.store, [], features=["photo_persons"]).features == {"photo_persons": 3}
    assert held_features(gallery.layout)["photo_persons"].digest != first


def test_weights_of_ones_own_are_checked(random_weights, tmp_path):
    check_own_weights(weights("ssdlite_persons"), random_weights)
    wrong = tmp_path / "wrong.pth"
    state = network().state_dict()
    state.pop("head.regression_head.module_list.0.1.bias")
    torch.save(state, wrong)
    with pytest.raises(WeightsError, match="does not fit ssdlite_persons"):
        check_own_weights(weights("ssdlite_persons"), wrong)


def test_the_relation_describes_every_column():
    held = {column.name: column.type for column in relation("photo_persons").columns}
    ours = {column.name: column.type for column in PHOTO_PERSONS.columns}
    assert held == {"photo_id": "varchar", **ours, "status": "varchar", "detail": "varchar"}
