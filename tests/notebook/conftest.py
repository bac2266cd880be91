import io
import shutil
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from photogenic import FeatureStore

CHROMIUM = Path("/usr/bin/chromium")


def _make(folder):
    """A store of 70 photos: bytes of 68, of which one is no picture; one without a file."""
    images = folder / "images"
    images.mkdir(parents=True)
    for n in range(70):
        color = (n * 3 % 256, 255 - n * 3 % 256, n * 11 % 256)
        data = io.BytesIO()
        Image.new("RGB", (64, 80), color).save(data, "JPEG")
        if n != 69:
            (images / f"p{n:03}.jpg").write_bytes(data.getvalue() if n != 68 else b"no picture")
    ids = [f"p{n:03}" for n in range(70)]
    pl.DataFrame({"photo_id": ids, "user_id": ids, "path": [f"{one}.jpg" for one in ids]}).write_csv(
        folder / "photos.csv"
    )
    with FeatureStore(folder / "store") as store:
        store.ingest_photos(folder / "photos.csv", images=images)


@pytest.fixture(scope="session")
def pictured(tmp_path_factory, prepared):
    """A store of 70 photos, for this process."""
    root = tmp_path_factory.mktemp("pictured") / "store"
    shutil.copytree(prepared("pictured", _make) / "store", root)
    with FeatureStore(root) as store:
        yield store
