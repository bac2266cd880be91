"""Hostile images: any bytes give a status, in limited time and memory. All images are generated."""

from __future__ import annotations

import io
import os
import random
import struct
import time

import pytest

from photogenic.features.images.decode import decode
from photogenic.ingest.images import image_header
from tests.faults.mutations import FORMATS, bomb, drawn, mutated
from tests.faults.test_hostile_tables import in_a_process_of_its_own, peak_mb

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as ingest/images/image_header.py does

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "5"))
DECODED = {"ok", "empty", "not_an_image", "unsupported_format", "truncated", "unreadable", "too_large"}
SECONDS = 10


def judged(data):
    """Return the statuses of every reader that does not decode pixels."""
    started = time.monotonic()
    looked, at, found = image_header.inspect_file(io.BytesIO(data)), image_header.inspect_bytes(data), decode(data)
    assert {looked.status, at.status, found.status} <= DECODED
    assert (found.pixels is None) == (found.status != "ok")
    if found.pixels is not None:
        assert found.pixels.size <= 3 * image_header.MAX_PIXELS
    assert time.monotonic() - started < SECONDS
    return looked.status, found.status


@pytest.mark.parametrize("form", FORMATS)
def test_mutated_pictures_have_a_status(form):
    rng = random.Random(form)
    for _ in range(12 * EXAMPLES):
        judged(mutated(drawn(form, rng), rng))


@pytest.mark.parametrize("form", FORMATS)
def test_pictures_cut_anywhere_have_a_status(form):
    data = drawn(form, random.Random(1))
    for end in sorted({*range(0, min(len(data), 64)), *range(0, len(data), max(1, len(data) // (3 * EXAMPLES)))}):
        judged(data[:end])


def exif(tags):
    """Return a JPEG with a given EXIF block."""
    plain = drawn("JPEG", random.Random(2))
    block = b"Exif\0\0" + tags
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]


def tiff(entries, order=b"II"):
    head = order + (b"*\0" if order == b"II" else b"\0*") + struct.pack("<I" if order == b"II" else ">I", 8)
    return head + struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)


ODD = {
    "EXIF of noise": exif(random.Random(3).randbytes(5_000)),
    "EXIF that names itself": exif(tiff([(0x8769, 4, 1, 8)])),
    "EXIF of a huge count": exif(tiff([(0x0112, 3, 2**32 - 1, 0), (0x010F, 2, 2**31, 26)])),
    "EXIF that ends at once": exif(b"II*\0"),
    "an orientation of 200": exif(tiff([(0x0112, 3, 1, 200)])),
    "a bomb of gigapixels": bomb(),
    "a bomb within the limit": bomb(9_000, 9_000),
    "no width": bomb(0, 10),
    "no height": bomb(10, 0),
    "JPEG of 65,535 px": drawn("JPEG", random.Random(4)).replace(struct.pack(">HH", 40, 40), b"\xff\xff\xff\xff"),
    "GIF of 65,535 px": drawn("GIF", random.Random(5)).replace(struct.pack("<HH", 40, 40), b"\xff\xff\xff\xff"),
    "BMP of 2^31 px": drawn("BMP", random.Random(6)).replace(struct.pack("<ii", 40, 40), b"\xff\xff\xff\x7f" * 2),
    "TIFF that names itself": tiff([(256, 3, 1, 9), (257, 3, 1, 9), (273, 4, 1, 8)]) + b"\x08\0\0\0",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "a picture within text": b"hello" + drawn("PNG", random.Random(7)),
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_odd_files(data):
    looked, found = judged(data)
    assert looked in DECODED
    if not data.startswith(b"II*"):  # Pillow reads some random bytes as an image, which is harmless
        assert (found == "ok") == data.startswith(b"\xff\xd8\xff\xe1")


def animated(form, n=60):
    from PIL import Image

    frames = [Image.frombytes("RGB", (30, 30), random.Random(at).randbytes(2700)) for at in range(n)]
    target = io.BytesIO()
    frames[0].save(target, form, save_all=True, append_images=frames[1:], duration=10)
    return target.getvalue()


def sixteen_bits():
    from PIL import Image

    target = io.BytesIO()
    Image.frombytes("I;16", (40, 40), random.Random(8).randbytes(3200)).save(target, "PNG")
    return target.getvalue()


def test_sizes_that_pillow_refuses_by_itself_are_too_large():
    assert judged(ODD["GIF of 65,535 px"]) == ("too_large", "too_large")


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_animations_and_mutated_animations(form):
    rng, data = random.Random(form), animated(form)
    assert judged(data) == ("ok", "ok")
    for _ in range(3 * EXAMPLES):
        judged(mutated(data, rng))


def test_pictures_of_sixteen_bits_and_mutated_ones():
    rng, data = random.Random(9), sixteen_bits()
    assert judged(data) == ("ok", "ok")
    for _ in range(3 * EXAMPLES):
        judged(mutated(data, rng))


def swell() -> float:
    """Read all images in one process, and return the growth of its memory in MB."""
    drawn("PNG", random.Random(0))
    before = peak_mb()
    for data in (*ODD.values(), animated("GIF"), *(mutated(animated("WEBP"), random.Random(n)) for n in range(20))):
        judged(data)
    return peak_mb() - before


def test_memory_is_bounded_for_all_of_them():
    """The largest image that is decoded has 89 million pixels of three bytes, with a few copies in memory."""
    assert in_a_process_of_its_own(swell) < 1_500
