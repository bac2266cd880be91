"""A fine-tuned network is an encoder in the store of its run, and in no other."""

from __future__ import annotations

import shutil

import pytest

from photogenic import FeatureStore
from photogenic.features.encoders.finetuned import base_encoder, publish_encoder
from photogenic.features.encoders.registry import encoder, encoders
from photogenic.warehouse import EncoderError, InputError, StoreError

NAME = "alexnet@3f2a9c01d4e5"


@pytest.fixture
def models(tmp_path):
    """The folder models/ of a store in which a network was trained."""
    folder = tmp_path / "one" / "models"
    (folder / "3f2a9c01d4e5").mkdir(parents=True)
    (folder / "3f2a9c01d4e5" / "network.safetensors").write_bytes(b"one")
    publish_encoder(folder / "3f2a9c01d4e5", "alexnet", target="like_ratio", setup="all", base_sha256="")
    return folder


def fine_tuned(models):
    return [entry.name for entry in encoders(models) if "@" in entry.name]


def test_a_network_is_found_in_its_own_store_only(models, tmp_path):
    other = tmp_path / "other" / "models"
    with FeatureStore(models.parent), FeatureStore(other.parent):  # an opened store does not register names for others
        assert encoder(NAME, models).dim == 4096
        for folder in (other, None):
            with pytest.raises(EncoderError, match=NAME):
                encoder(NAME, folder)
    assert fine_tuned(models) == [NAME]
    assert fine_tuned(other) == fine_tuned(None) == []


def test_a_copy_of_a_store_has_its_own_network_of_the_same_name(models, tmp_path):
    copy = tmp_path / "copy" / "models"
    shutil.copytree(models.parent, copy.parent)
    (copy / "3f2a9c01d4e5" / "network.safetensors").write_bytes(b"another")
    publish_encoder(copy / "3f2a9c01d4e5", "alexnet", target="like_ratio", setup="all", base_sha256="")
    with FeatureStore(models.parent), FeatureStore(copy.parent):
        assert fine_tuned(models) == fine_tuned(copy) == [NAME]
    assert encoder(NAME, models).digest() != encoder(NAME, copy).digest()


def test_the_networks_of_the_store_are_named_where_one_is_absent(models):
    for name in ("alexnet@000000000000", "alexnet@latest", f"efficientnet_lite0@{NAME[-12:]}"):
        with pytest.raises(EncoderError, match="was fine-tuned in this store") as refused:
            encoder(name, models)
        assert NAME in refused.value.expected


def test_a_damaged_entry_is_refused(models):
    path = models / "3f2a9c01d4e5" / "encoder.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match="is damaged"):
        encoder(NAME, models)


def test_a_network_that_cannot_be_trained_further_is_no_base():
    with pytest.raises(InputError, match="cannot be fine-tuned"):
        base_encoder("dlib_face")
