"""Odd and hostile images have the same status in ingest and build as when they are given as a file."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from photogenic.features.compute.embed_files import embed_files
from photogenic.features.compute.pipeline import compute
from photogenic.features.faces import detector_process
from photogenic.features.faces.detector import LONGEST
from tests.faults.mutations import bomb, drawn
from tests.features.faces import deadly
from tests.ingest.images.test_image_format import OTHERS, texts
from tests.ingest.ingest_store import StoreWithFiles

PLAIN = drawn("PNG", random.Random(1))


def long(*size):
    target = io.BytesIO()
    Image.new("RGB", size, "gray").save(target, "PNG")
    return target.getvalue()


PICTURES = {
    "wide.png": (long(LONGEST + 1, 1), "ok"),
    "tall.png": (long(1, LONGEST + 1), "ok"),
    "panorama.png": (long(40_000, 20), "ok"),
    "longest.png": (long(65_500, 1), "ok"),
    "too-long.png": (long(65_501, 1), "too_large"),
    "gigapixels.png": (bomb(), "too_large"),
    "text.png": (PLAIN[:33] + texts()["zTXt"] + PLAIN[33:], "ok"),
    "phone.heic": (OTHERS["HEIC"][0], "unsupported_format"),
    "drawing.svg": (OTHERS["SVG"][0], "unsupported_format"),
    "camera.cr2": (OTHERS["RAW"][0], "unsupported_format"),
    "page.jpg": (b"<html>", "not_an_image"),
    "deadly.png": (deadly.picture("abort"), "detector_failed"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = StoreWithFiles(tmp_path_factory.mktemp("doors"))
    for name, (data, _) in PICTURES.items():
        store.file(name, data)
    lines = "".join(f"{name},u,{name}\n" for name in PICTURES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector_process, "CALL", "tests.features.faces.deadly:serve")
        store.take_text("users", "user_id\nu\n", "users.csv")
        store.take_text("photos", f"photo_id,user_id,path\n{lines}")
        compute(store.store, [])
        store.asked = {
            one.path.name: one for one in embed_files([store.folder / name for name in PICTURES], "dlib_face")
        }
    return store


@pytest.mark.parametrize("name", PICTURES)
def test_ingested_and_built(store, name):
    assert store.rows(f"select status from photos where photo_id = '{name}'") == [(PICTURES[name][1],)]


@pytest.mark.parametrize("name", PICTURES)
def test_given_as_a_file(store, name):
    found, expected = store.asked[name].status, PICTURES[name][1]
    assert found == ("no_face" if expected == "ok" else expected)
