"""The report: one file that needs nothing else, with what the store has and without what it lacks."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image

from app.report import write_report
from features import FeatureStore
from ingest.world import make_world
from models import Grid, Schedule, train
from warehouse import StoreError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Photo ids that would be markup if nobody took care."""
    world = make_world(tmp_path_factory.mktemp("world"), users=60, swipes=20_000, seed=2, picture_size=160)
    for path in (world.photos, world.main_photos):
        path.write_text(re.sub(r"\bp(\d{6})(?!\.jpg)", r"<i>p\1", path.read_text()))
    with FeatureStore(tmp_path_factory.mktemp("store") / "store") as store:
        store.ingest_users(world.users)
        store.ingest_photos(world.photos, images=world.images)
        store.ingest_main_photos(world.main_photos)
        store.ingest_swipes(*world.swipes)
        store.build(only="labels")
        yield store


def test_a_store_with_labels_only_shows_table_1_and_no_empty_headings(store):
    page = write_report(store).read_text()
    assert "Table 1. Who likes whom" in page
    assert not any(heading in page for heading in ("Table 2", "Ranked by prediction", "Similar popular photos"))


def test_the_whole_report_is_one_file_with_its_pictures(store):
    store.build(encoders=["dlib_face"])
    grid = Grid(learning_rates=(1e-3,), penalties=(0.1,), schedule=Schedule(least_updates=100, evaluations=5))
    board = train(store, "like_ratio", ["dlib_face"], ["0fc"], "one_face", grid=grid)
    path = write_report(store)
    page = path.read_text()
    assert path == store.layout.reports / "report.html"
    assert all(heading in page for heading in ("Table 1", "Table 2", "Ranked by prediction", "Similar popular photos"))
    assert f"{board.frame['test'][0]:.4f}" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "&lt;i&gt;p" in page
    assert "<i>" not in page
    pictures = re.findall(r'base64,([^"]+)"', page)
    assert len(pictures) > 5
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (168, 168))


def test_no_store_no_report(tmp_path):
    with pytest.raises(StoreError, match="no store"):
        write_report(FeatureStore(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
