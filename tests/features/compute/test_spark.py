"""Spark's workers compute the same faces and vectors as a local build, to the bit."""

import hashlib
import importlib.util
import shutil
import sys
from types import SimpleNamespace

import pytest

import photogenic.features.build
from photogenic import FeatureStore
from photogenic.features.build_options import BuildOptions
from photogenic.features.compute import spark
from photogenic.features.compute.pipeline import ComputeReport, compute
from photogenic.features.encoders import weights
from photogenic.features.encoders.device import CPU, Device
from photogenic.features.encoders.registry import encoder
from photogenic.features.pictures import registry
from photogenic.features.vectors import reader
from photogenic.warehouse import InputError, MissingPartError
from photogenic.warehouse.spark.session import Cluster
from tests.features.gallery import Gallery, portrait
from tests.features.pictures.conftest import OWN

PAIR = ("efficientnet_lite0", "dlib_face")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def photos():
    whole = portrait(9)
    some = {f"p{i:02d}": portrait(i, size=200 + 10 * i) for i in range(20)}
    return {**some, "again": some["p03"], "crowd": portrait(40, people=3), "cut": whole[: len(whole) // 2]}


def same(one, other):
    everything = "select * from faces order by photo_id, face_no"
    assert one.sql(everything) == other.sql(everything)
    for name in PAIR:
        assert reader.manifest(one.layout, name).content == reader.manifest(other.layout, name).content


def linked(folder):
    """The weights of both encoders as links to files of other names, as in download caches and some installers."""
    folder.mkdir()
    for name in PAIR:
        entry = encoder(name).backbone.weights
        blob = folder / hashlib.sha256(name.encode()).hexdigest()
        shutil.copyfile(weights.resolve(entry), blob)
        (folder / entry.file).symlink_to(blob)
    return folder


def test_workers_compute_only_missing_results_and_equal_this_machine(tmp_path, master, monkeypatch):
    monkeypatch.setenv("FEATURES_WEIGHTS", str(linked(tmp_path / "weights")))
    cluster = Cluster(master)
    within, beside = Gallery(tmp_path / "within", photos()), Gallery(tmp_path / "beside", photos())
    local_report = compute(within.store, PAIR)
    monkeypatch.setattr(spark, "_ROUND_BYTES", 8 * 4 * 1408)
    monkeypatch.setattr(spark, "_BATCH", 8)
    assert spark.photos_per_round([encoder(name) for name in PAIR], flip=False) == 8
    report = compute(beside.store, PAIR, cluster=cluster)
    assert (report.n_decoded, report.n_faces, report.computed) == (
        local_report.n_decoded,
        local_report.n_faces,
        local_report.computed,
    )
    assert report.counts == local_report.counts
    assert report.unreadable == local_report.unreadable == {"truncated": 1}
    same(within, beside)
    assert not beside.sql("select 1 from builds where stages is not null"), "no pace of this machine was measured"

    assert compute(beside.store, PAIR, cluster=cluster).n_decoded == 0
    new = {"new": portrait(50)}
    within.put(new)
    beside.put(new)
    compute(within.store, PAIR, flip=True)
    report = compute(beside.store, PAIR, flip=True, cluster=cluster)
    assert report.computed == {"efficientnet_lite0": 21 + 2, "dlib_face": 20 + 2}
    same(within, beside)


def test_spark_processes_photos_whose_labels_duckdb_computes(tmp_path, master):
    gallery = Gallery(tmp_path / "store", {"p": portrait(1)})
    with FeatureStore(gallery.layout.root) as store:
        with pytest.raises(InputError, match="no facts"):
            store.build(engine="spark", master=master)
        assert store.plan(only="embeddings", engine="spark", master=master).n_vectors
        report = store.build(only="embeddings", engine="spark", master=master, encoders=["dlib_face"])
        assert report.computed.computed == {"dlib_face": 1}
        assert store.sql("select count(*) from faces").item() == 1


def test_user_weights_are_shipped_with_their_digest_file(tmp_path, monkeypatch):
    entry = encoder("alexnet_fc7").backbone.weights
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path / "weights"))
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"numbers")
    weights.add(entry, mine)
    assert [path.name for path in spark._files_to_ship(entry)] == [entry.file, f"{entry.file}.sha256"]


def test_photos_that_workers_cannot_read_are_an_error(tmp_path, master):
    gallery = Gallery(tmp_path / "store", {"p": portrait(1)})
    (row,) = gallery.sql("select sha256 from photos")
    gallery.layout.photo(str(row[0])).unlink()
    with pytest.raises(InputError, match="is missing, although the warehouse lists it") as caught:
        compute(gallery.store, PAIR, cluster=Cluster(master))
    assert "the same files under the same paths" in caught.value.expected


def test_a_missing_pandas_is_reported_with_its_command(tmp_path, master, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "pandas" else find(name))
    gallery = Gallery(tmp_path / "store", {"p": portrait(1)})
    with pytest.raises(MissingPartError, match="pandas") as caught:
        compute(gallery.store, PAIR, cluster=Cluster(master))
    assert caught.value.remedy == "pip install 'photogenic[spark]'"


def test_a_task_takes_the_gpu_that_spark_gave_it(monkeypatch):
    pyspark = pytest.importorskip("pyspark")
    given = {}
    monkeypatch.setattr(pyspark.TaskContext, "get", classmethod(lambda _: given.get("context")))
    asked = []
    monkeypatch.setattr(spark, "choose", lambda name: asked.append(name) or Device(name, 256, half=True))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert spark._device() == CPU
    for address in ("1", "7"):
        gpu = pyspark.resource.ResourceInformation("gpu", [address])
        given["context"] = SimpleNamespace(resources=lambda gpu=gpu: {"gpu": gpu})
        assert spark._device().is_gpu
    assert asked == ["cuda:1", "cuda:0"]
    given["context"] = SimpleNamespace(resources=dict)
    assert spark._device() == CPU


@pytest.mark.parametrize(("engine", "given"), [("spark", Cluster("local[2]", "facts")), (None, None)])
def test_a_build_that_names_spark_processes_photos_there(tmp_path, monkeypatch, engine, given):
    """A build on Spark's labels that does not name Spark runs here, because the workers may not have the photos."""
    gallery, asked = Gallery(tmp_path / "store", {"p": portrait(1)}), []
    monkeypatch.setattr(photogenic.features.build, "chosen_cluster", lambda *_, **__: Cluster("local[2]", "facts"))

    def noting(answer):
        return lambda *_, cluster, **__: asked.append(cluster) or answer

    labels = SimpleNamespace(own=None, relations=(), seconds=0.0, change=None)
    monkeypatch.setattr(photogenic.features.build, "build_labels", noting(labels))
    monkeypatch.setattr(photogenic.features.build, "compute", noting(ComputeReport(1)))
    photogenic.features.build.build(gallery.store, BuildOptions(only="faces", engine=engine))
    assert asked == [given, Cluster("local[2]", "facts")]


def test_workers_compute_features_like_this_machine(tmp_path, master, monkeypatch):
    monkeypatch.setattr(registry, "_OWN", {})
    monkeypatch.setenv("FEATURES_MODULES", OWN)
    sys.modules.pop(OWN, None)
    names = ["face_light", "frames", "photo_quality", "redness"]
    some = {f"p{i}": portrait(i, size=200 + 10 * i) for i in range(6)}
    within, beside = Gallery(tmp_path / "within", some), Gallery(tmp_path / "beside", some)
    compute(within.store, [], features=names)
    cluster = Cluster(master)
    compute(beside.store, [], features=names[:1], cluster=cluster)
    report = compute(beside.store, [], features=names, cluster=cluster)
    assert report.features == dict.fromkeys(names[1:], 6)
    assert report.n_faces == 0, "the stored faces are used"
    for name in names:
        assert within.sql(f"from {name} order by all") == beside.sql(f"from {name} order by all"), name
    sys.modules.pop(OWN, None)
