"""Reading a training set: frames, tensors that share memory, files for other programs."""

import shutil

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch

from photogenic import FeatureStore
from photogenic.warehouse import InputError, StoreError
from tests.features.toy import put_vectors
from tests.models.training_sets.sets import made, make, opened, spells


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with vectors of an encoder, and one set of it; the photo p3-0 has no vector."""
    store = make(tmp_path_factory.mktemp("frozen"), {"spells": spells()})
    ids = sorted(f"p{i}-{k}" for i in range(30) for k in range(2) if (i, k) != (3, 0))
    put_vectors(store.layout, "toy", ids, np.random.default_rng(0).normal(size=(59, 8)).astype(np.float32))
    whole = sorted([*ids, "p3-0"])
    put_vectors(store.layout, "full", whole, np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32))
    made(store, features="spells.n_before,photo_periods.user_id,toy,full")
    return store


def address(table, name):
    (chunk,) = table[name].chunks
    values = chunk.flatten() if pa.types.is_fixed_size_list(chunk.type) else chunk
    return values.buffers()[-1].address + values.offset * values.type.bit_width // 8


def test_tensors_share_the_memory_of_the_arrow_table(store):
    held = opened(store)
    tensors, table = held.to_torch(), held.to_arrow()
    for name in ("target", "weight", "full"):
        assert tensors[name].data_ptr() == address(table, name), name
    assert tensors["full"].shape == (60, 4)
    assert tensors["full"].untyped_storage().data_ptr() == address(table, "full")
    X, y, weight = held.arrays(features="full")
    assert isinstance(X, np.ndarray)  # as those of FeatureStore.training_set
    assert X.__array_interface__["data"][0] == address(table, "full")
    assert weight.tolist() == [1.0] * 60
    assert y.tolist() == table["target"].to_pylist()


def test_tensors_have_the_values_and_nan_where_one_is_missing(store):
    held = opened(store)
    frame, tensors = held.frame(), held.to_torch()
    n_before = frame["spells__n_before"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    np.testing.assert_array_equal(tensors["spells__n_before"].numpy(), n_before)
    missing = torch.isnan(tensors["toy"]).all(1)
    assert [frame["photo_id"][at] for at in missing.nonzero().flatten().tolist()] == ["p3-0"]
    X, _, _ = held.arrays(features=["spells__n_before", "full"], split="train")
    assert X.shape == (frame.filter(split="train").height, 5)
    assert "photo_periods__user_id" not in tensors


def test_frames_are_the_same_rows(store):
    held = opened(store)
    frame = held.frame()
    assert frame.equals(held.frame(lazy=True).collect())
    assert frame.filter(split="dev").equals(held.frame(split="dev"))
    assert frame.filter(split="dev").equals(held.frame(split="dev", lazy=True).collect())
    assert held.to_pandas()["target"].tolist() == frame["target"].to_list()
    assert len(held) == 60
    assert held.features == ["spells__n_before", "photo_periods__user_id", "toy", "full"]


def test_what_is_no_column_or_no_number_is_refused(store):
    held = opened(store)
    with pytest.raises(InputError, match="has no column 'x'"):
        held.to_torch(columns=["x"])
    with pytest.raises(InputError, match="is of type string"):
        held.to_torch(columns="photo_id")
    with pytest.raises(InputError, match="no split 'all'"):
        held.frame(split="all")
    assert held.to_torch(columns="instant")["instant"].dtype == torch.int64


def test_versions_and_names(store):
    assert opened(store, "may", 1).version == 1
    with pytest.raises(InputError, match="has no version 7"):
        opened(store, "may", 7)
    with pytest.raises(InputError, match="There is no training set 'mai'") as told:
        opened(store, "mai")
    assert "may" in str(told.value)


def test_a_changed_byte_is_noticed_when_it_is_opened(store, tmp_path):
    shutil.copytree(store.layout.root, tmp_path / "store")
    (file,) = (tmp_path / "store" / "training_sets" / "may" / "v1").glob("*.parquet")
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    with FeatureStore(tmp_path / "store") as other, pytest.raises(StoreError, match="may v1 is damaged"):
        other.load_training_set("may")


@pytest.mark.parametrize(
    "text", ["{}", "[]", "not json", '{"name": "may", "version": "1"}', '{"parts": [{"file": "../../x"}]}']
)
def test_a_hostile_manifest_is_damage(store, tmp_path, text):
    shutil.copytree(store.layout.root, tmp_path / "store")
    (tmp_path / "store" / "training_sets" / "may" / "v1" / "manifest.json").write_text(text)
    with FeatureStore(tmp_path / "store") as other, pytest.raises(StoreError, match="may v1 is damaged"):
        other.load_training_set("may")


def test_the_facade(store, tmp_path):
    shutil.copytree(store.layout.root, tmp_path / "store")
    with FeatureStore(tmp_path / "store") as other:
        created = other.create_training_set("june", target="users.followers", features=["photos.likes", "full"])
        assert created.manifest.version == 1
        assert other.training_sets()["name"].to_list() == ["june", "may"]
        assert other.describe_training_set("june")["counts"]["rows"] == 60
        assert other.load_training_set("june").to_torch()["full"].shape == (60, 4)
        assert [one.state for one in other.verify_training_set("june")] == ["ok"]
        assert other.status()["training_sets"]["june"] == {"version": 1, "n_rows": 60, "status": "ok"}
        assert len(other.export_training_set("june", tmp_path / "out")) == 2
        with pytest.raises(InputError, match="holds something"):
            other.export_training_set("june", tmp_path / "out")
        with pytest.raises(InputError, match=r"inside the store(?s:.*)features training-set export june ../june"):
            other.export_training_set("june", tmp_path / "store" / "out")
        with pytest.raises(StoreError, match="cannot be written"):
            other.export_training_set("june", tmp_path / ("o" * 300))
        assert other.remove_training_set("june") == [1]
        with pytest.raises(InputError, match="There is no training set 'june'"):
            other.load_training_set("june")
        again = other.create_training_set("june", target="users.followers", features=["photos.likes", "full"])
        assert again.manifest.version == 2
