"""A purge and an erase remove photos from an index in parts, and the parts of a build that did not finish."""

import shutil

import pytest

from photogenic.features.search import index
from photogenic.features.search.parts import sizes
from photogenic.features.search.parts.encode import PARTS, _entries
from photogenic.maintenance.erase.erase import erase
from photogenic.maintenance.erase.purge import purge
from tests.maintenance.erase.test_purge import GONE, REST, delete, needles
from tests.maintenance.kept import IDS, PERSON, PHOTO
from tests.scanner import found

pytestmark = pytest.mark.slow


@pytest.fixture
def parts(store, monkeypatch):
    """The store with its index in parts, and a part of a build that did not finish."""
    for name, value in (("EXACT_BYTES", 0), ("_MIN_PHOTOS", 1), ("_PER_CELL", 5)):
        monkeypatch.setattr(f"photogenic.features.search.ivf.{name}", value)
    for name, value in (("_LEAST_ROWS", 10), ("_MOST_ROWS", 10), ("MERGED_BYTES", 0)):
        monkeypatch.setattr(sizes, name, value)
    monkeypatch.setattr(index, "needs_parts", lambda *_: True)
    shutil.rmtree(store.layout.index("toy"))
    made = index.build(store.store, "toy", recall=0.5)
    assert sum(name.startswith("part-") for name in made.files) == 3
    left = store.layout.index("toy") / PARTS
    left.mkdir()
    (left / "part-000000000000-000000000010-0123-4567.faiss").write_bytes(b"codes")
    return store


def codes(store):
    """The codes of all photos, by id."""
    held = index.load(store.layout, "toy")
    found = {}
    for part in held.ivf.index.parts:
        for _, rows, codes in _entries(part):
            found |= {held.ids[int(row)]: code.tobytes() for row, code in zip(rows, codes, strict=True)}
    return found


def test_a_purge_keeps_the_cells_and_removes_the_codes(parts, tmp_path):
    before, sought = codes(parts), needles(parts)
    assert sorted(before) == IDS
    delete(parts, GONE, tmp_path)
    [receipt] = purge(parts.store, GONE)
    assert receipt.looked_at["indices"] == 1
    assert codes(parts) == {name: before[name] for name in REST}, "the cells and codes of the others stay"
    assert index.manifest(parts.layout, "toy").format == 2
    assert not (parts.layout.index("toy") / PARTS).exists()
    lost = {name: [before[name]] for name in GONE}
    assert not any(found(parts.layout.root / "indices", lost).values())
    assert not any(found(parts.layout.root, sought).values())


def test_an_erase_removes_them_too(parts):
    erase(parts.store, [PERSON])
    assert sorted(codes(parts)) == [name for name in IDS if name != PHOTO]
    assert not (parts.layout.index("toy") / PARTS).exists()


def test_unfinished_parts_of_an_encoder_without_these_photos_are_removed_too(parts, tmp_path):
    other = parts.layout.index("other") / PARTS
    other.mkdir(parents=True)
    (other / "stored.npy").write_bytes(b"rows")
    delete(parts, GONE, tmp_path)
    purge(parts.store, GONE)
    assert not other.exists()
