"""Event files are byte for byte equal to those of TensorBoard's own writer."""

from __future__ import annotations

import struct

from photogenic.models.runs.tensorboard import FILE, Scalars, crc32c, record, scalar_event, version_event

WRITTEN = (
    "1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe91f00000000000000514b4418"
    "0900006040fc54d94110ac022a110a0f0a086c6f73732f646576150000803ded11a90d"
)
"""By RecordWriter of tensorboard 2.21: file_version at 1700000000.25; loss/dev = 0.0625 at step 300, 1.25 s later."""


def steps(path):
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert data[: 16 + length] == record(data[12 : 12 + length])
        found.append(data[12 : 12 + length])
        data = data[16 + length :]
    return found


def test_the_bytes_equal_those_of_tensorboard():
    ours = record(version_event(1700000000.25)) + record(scalar_event("loss/dev", 0.0625, 300, 1700000001.5))
    assert ours.hex() == WRITTEN


def test_the_checksum_is_crc32c():
    assert crc32c(b"123456789") == 0xE3069283


def test_a_file_is_continued_from_its_valid_part(tmp_path):
    with Scalars(tmp_path, clock=lambda: 1.0) as scalars:
        scalars.add("loss", 0.5, 1)
        kept = scalars.keep()
        scalars.add("loss", 0.4, 2)
    with Scalars(tmp_path, kept, clock=lambda: 1.0) as scalars:
        scalars.add("loss", 0.3, 2)
    assert steps(tmp_path / FILE) == [
        version_event(1.0),
        scalar_event("loss", 0.5, 1, 1.0),
        scalar_event("loss", 0.3, 2, 1.0),
    ]
    with Scalars(tmp_path, clock=lambda: 1.0):
        pass
    assert steps(tmp_path / FILE) == [version_event(1.0)]
