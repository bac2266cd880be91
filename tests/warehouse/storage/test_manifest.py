"""A manifest with any one bit flipped is refused, or has the same content."""

from __future__ import annotations

import json

import pytest

from photogenic.warehouse.storage.manifest import dump_with_digest, load_with_digest

FACTS = {"encoder": "dlib_face", "n": 12, "share": 0.5, "parts": [{"file": "a.parquet", "rows": 3}], "made": None}


def test_a_manifest_is_read_back():
    assert load_with_digest(dump_with_digest(FACTS)) == FACTS
    assert load_with_digest(json.dumps(FACTS).encode()) == FACTS  # from a version that wrote no digest


def test_every_flipped_bit_is_noticed():
    written = dump_with_digest(FACTS)
    for at in range(len(written)):
        for bit in range(8):
            data = bytearray(written)
            data[at] ^= 1 << bit
            try:
                found = load_with_digest(bytes(data))
            except ValueError:
                continue
            assert found == FACTS, (at, bit, bytes(data))


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"{", b"\xff"])
def test_what_is_not_an_object_is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        load_with_digest(data)
