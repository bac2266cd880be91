"""Ingest and build read the same formats, and tell unsupported picture formats from other data."""

from __future__ import annotations

import io
import random
import struct
import zlib

import pytest
from PIL import Image, TiffImagePlugin

from photogenic.features.images.decode import decode
from photogenic.ingest.images import image_format, image_header
from photogenic.ingest.images.image_format import READ, detect_format, tidy_png
from tests.faults.mutations import drawn
from tests.faults.test_hostile_tables import in_a_process_of_its_own, peak_mb

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as ingest/images/image_header.py does

MB = 1 << 20


def status_of(data):
    """Status and detail by ingest, fetch, uploads and build, which must be equal."""
    found = [image_header.inspect_file(io.BytesIO(data)), image_header.inspect_bytes(data), decode(data)]
    assert len({one.status for one in found}) == 1, found
    return found[0].status, found[0].detail


def boxes(major, *compatible):
    brands = b"".join(compatible)
    return struct.pack(">I", 16 + len(brands)) + b"ftyp" + major + bytes(4) + brands + b"\0\0\0\x08mdat"


def of_brand(data, major, *compatible):
    """An AVIF with other brands."""
    size = int.from_bytes(data[:4], "big")
    head = boxes(major, *compatible).removesuffix(b"\0\0\0\x08mdat").ljust(size, b"\0")
    if len(head) > size:  # offsets of pixels count from the start of the file: keep the length
        pytest.skip("no room")
    return struct.pack(">I", size) + head[4:] + data[size:]


OTHERS = {
    "HEIC": [boxes(b"heic", b"mif1"), boxes(b"mif1", b"mif1", b"heic"), boxes(b"msf1", b"hevc"), boxes(b"heix")],
    "HEIF": [boxes(b"mif1", b"miaf"), boxes(b"msf1")],
    "RAW": [
        b"II*\0\x10\0\0\0CR\x02\0" + bytes(99),
        boxes(b"crx ", b"crx "),
        b"IIRO\x08\0\0\0" + bytes(50),
        b"FUJIFILMCCD-RAW 0201",
    ],
    "JPEG 2000": [b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), b"\xff\x4f\xff\x51" + bytes(50)],
    "JPEG XL": [b"\xff\x0a" + bytes(50), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50)],
    "PSD": [b"8BPS\0\1" + bytes(50)],
    "ICO": [b"\0\0\1\0\1\0" + bytes(50)],
    "QOI": [b"qoif" + bytes(50)],
    "OpenEXR": [b"\x76\x2f\x31\x01" + bytes(50)],
    "Netpbm": [b"P6\n4 4\n255\n" + bytes(48), b"P5 #x\n4 4\n255\n" + bytes(16)],
    "SVG": [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n<!DOCTYPE svg PUBLIC 'x'>\n<svg></svg>",
    ],
}


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, some in OTHERS.items() for data in some])
def test_formats_that_are_not_read(name, data):
    status, detail = status_of(data)
    assert status == "unsupported_format"
    assert detail == f"{name} is not read: convert it to JPEG, PNG, WebP, TIFF or AVIF"


def test_supported_and_unsupported_formats_do_not_overlap():
    assert not set(OTHERS) & set(READ)


@pytest.mark.parametrize(
    "data",
    [
        b"<!doctype html><html><svg></svg></html>",
        b"<?xml version='1.0'?><rss/>",
        b"%PDF-1.7",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        boxes(b"isom", b"mp42"),
        b"P6",
        b"Paris",
        b"GIF",
        b"\0" * 64,
        b"RIFF\0\0\0\0AVI LIST",
    ],
)
def test_data_that_is_not_a_picture(data):
    assert status_of(data)[0] == "not_an_image"


@pytest.mark.parametrize("form", READ)
def test_formats_that_are_read(form):
    data = drawn(form, random.Random(1))
    assert detect_format(data) == form
    assert status_of(data) == ("ok", "")


@pytest.mark.parametrize("brands", [(b"mif1", b"avif"), (b"mif1", b"miaf", b"avif"), (b"avif",), (b"miaf", b"avif")])
def test_an_avif_of_any_major_brand(brands):
    data = of_brand(drawn("AVIF", random.Random(2)), *brands)
    if brands[0] == b"miaf":  # Pillow's own line
        assert status_of(data)[0] in ("ok", "unreadable")
    else:
        assert status_of(data) == ("ok", "")


def test_a_camera_raw_file_is_not_taken_for_its_preview():
    for tags in ({50706: (1, 4, 0, 0)}, {254: 1, 330: 99_999}):
        kept = TiffImagePlugin.ImageFileDirectory_v2()
        for tag, value in tags.items():
            kept[tag] = bytes(value) if isinstance(value, tuple) else value
            kept.tagtype[tag] = 1 if isinstance(value, tuple) else 4
        target = io.BytesIO()
        Image.new("RGB", (20, 10), "red").save(target, "TIFF", tiffinfo=kept)
        assert status_of(target.getvalue()) == ("unsupported_format", image_format.unsupported_detail("RAW"))


def test_a_bigtiff_is_read():
    target = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(target, "TIFF", big_tiff=True)
    assert target.getvalue()[:4] == b"II+\0"
    assert status_of(target.getvalue()) == ("ok", "")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def texts(n=3 * MB):
    long = b"x" * n
    return {
        "zTXt": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(long)),
        "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(long)),
        "plain iTXt": chunk(b"iTXt", b"Comment\0\0\0\0\0" + long),
        "tEXt": chunk(b"tEXt", b"Comment\0" + long),
        "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(long)),
        "EXIF as text": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(long)),
        "iCCP": chunk(b"iCCP", b"ICC\0\0" + zlib.compress(long)),
        "bad iCCP": chunk(b"iCCP", b"ICC\0\0nonsense"),
    }


@pytest.mark.parametrize("kind", texts(9))
@pytest.mark.parametrize("behind", [False, True])
def test_a_png_with_megabytes_of_text(kind, behind):
    data = drawn("PNG", random.Random(3))
    at = len(data) - 12 if behind else 33
    assert status_of(data[:at] + texts()[kind] + data[at:]) == ("ok", "")
    found = decode(data[:at] + texts()[kind] + data[at:])
    assert (found.pixels == decode(data).pixels).all()


def test_a_png_with_more_text_than_pillow_allows_in_all():
    data = drawn("PNG", random.Random(4))
    assert status_of(data[:33] + texts(900_000)["zTXt"] * 90 + data[33:]) == ("ok", "")


def bombs() -> float:
    """Inspect PNGs of 80 kB with texts of 80 MB in a process. Returns by how many MB its memory grew."""
    data = drawn("PNG", random.Random(5))
    decode(data)
    packed = zlib.compressobj(9)
    long = b"".join([*(packed.compress(bytes(MB)) for _ in range(80)), packed.flush()])
    before = peak_mb()
    for kind, start in ((b"zTXt", b"a\0\0"), (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        assert status_of(data[:33] + chunk(kind, start + long) + data[33:])[0] == "ok"
    return peak_mb() - before


def test_texts_that_expand_a_thousand_times_take_no_memory():
    assert in_a_process_of_its_own(bombs) < 30


def test_a_png_without_texts_does_not_change():
    data = drawn("PNG", random.Random(6))
    for some in (data, data[:40], data[:8], data[:60] + b"\xff" * 8 + data[60:]):
        assert tidy_png(some) is some


def test_jpeg_webp_and_tiff_with_megabytes_beside_the_pixels():
    for form, options in {
        "JPEG": {
            "icc_profile": b"i" * (4 * MB),
            "comment": b"c" * 60_000,
            "exif": b"Exif\0\0" + b"MM\0*" + bytes(60_000),
        },
        "WEBP": {"icc_profile": b"i" * MB, "xmp": b"x" * (3 * MB)},
        "TIFF": {"icc_profile": b"i" * (3 * MB)},
        "AVIF": {"icc_profile": b"", "xmp": b"x" * (3 * MB)},
    }.items():
        assert status_of(drawn(form, random.Random(7), **options)) == ("ok", "")


@pytest.mark.parametrize("size", [(65_500, 1), (1, 65_500), (32_767, 2), (40_000, 20)])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP"])
def test_long_sides_within_the_limit(form, size):
    target = io.BytesIO()
    Image.new("RGB", size, "blue").save(target, form)
    assert status_of(target.getvalue()) == ("ok", "")


@pytest.mark.parametrize("size", [(65_501, 1), (1, 65_535), (70_000, 3), (1_000_000, 1)])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_longer_sides_are_too_large_for_all_readers(form, size):
    target = io.BytesIO()
    Image.new("RGB", size, "blue").save(target, form)
    width, height = size
    assert status_of(target.getvalue()) == ("too_large", f"{width} x {height} pixels: a side of more than 65,500")
