"""A manifest with any one bit flipped is refused, or says what it said."""

from __future__ import annotations

import json

import pytest

from photogenic.warehouse.storage.manifest import sealed, unsealed

FACTS = {"encoder": "dlib_face", "n": 12, "share": 0.5, "parts": [{"file": "a.parquet", "rows": 3}], "made": None}


def test_what_was_sealed_comes_back():
    assert unsealed(sealed(FACTS)) == FACTS
    assert unsealed(json.dumps(FACTS).encode()) == FACTS  # of a version that wrote no digest


def test_every_flipped_bit_is_noticed():
    written = sealed(FACTS)
    for at in range(len(written)):
        for bit in range(8):
            data = bytearray(written)
            data[at] ^= 1 << bit
            try:
                found = unsealed(bytes(data))
            except ValueError:
                continue
            assert found == FACTS, (at, bit, bytes(data))


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"{", b"\xff"])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        unsealed(data)
