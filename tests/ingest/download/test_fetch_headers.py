"""Detection of pictures by their headers."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from photogenic.ingest.images.image_header import _plain_jpeg, decode, inspect_bytes, inspect_file


def encoded(kind: str, size=(40, 30), **options) -> bytes:
    target = io.BytesIO()
    noise = bytes(range(256)) * (size[0] * size[1] * 3 // 256 + 1)
    Image.frombytes("RGB", size, noise[: size[0] * size[1] * 3]).save(target, kind, **options)
    return target.getvalue()


def inspected(tmp_path, data: bytes):
    """Inspect and decode the bytes as the image store does."""
    header = inspect_file(io.BytesIO(data))
    path = tmp_path / "picture"
    path.write_bytes(data)
    return header if header.ended or header.status != "ok" else decode(path, header)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_pictures_of_every_format_are_ok(tmp_path, kind):
    header = inspected(tmp_path, encoded(kind))
    assert (header.status, header.width, header.height) == ("ok", 40, 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_pictures_cut_short_are_truncated(tmp_path, kind, share):
    data = encoded(kind, (200, 200))
    assert inspected(tmp_path, data[: max(int(len(data) * share), 20)]).status == "truncated"


def test_data_after_the_end_of_a_jpeg_is_allowed(tmp_path):
    data = encoded("JPEG") + b"SEFH and other things that phones append" * 10
    assert not inspect_file(io.BytesIO(data)).ended
    assert inspected(tmp_path, data).status == "ok"


def test_size_is_that_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    header = inspected(tmp_path, encoded("JPEG", exif=exif))
    assert (header.width, header.height) == (30, 40)


def test_a_bomb_is_refused_from_its_header():
    body = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + body
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    header = inspect_file(io.BytesIO(png + b"\0\0\0\0IEND\xaeB`\x82"))
    assert header.status == "too_large"
    assert header.detail == "100000 x 100000 pixels"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", "empty"),
        (b"<!doctype html><title>Log in</title>", "not_an_image"),
        (b'{"error": "gone"}', "not_an_image"),
        (b"%PDF-1.7", "not_an_image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0 and then nonsense \xff\xd9", "unreadable"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40 + b"IEND\xaeB`\x82", "unreadable"),
    ],
)
def test_other_data_gets_its_status(data, status):
    assert inspect_file(io.BytesIO(data)).status == status


JPEGS = {
    "plain": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True),
    "optimised": encoded("JPEG", optimize=True, quality=95, subsampling=0),
    "restarts, a comment": encoded("JPEG", restart_marker_blocks=2, comment="hello"),
    "bytes after the end": encoded("JPEG") + b"more",
}


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS)
def test_plain_jpegs_are_read_without_pillow_with_the_same_result(data):
    assert _plain_jpeg(data) == (40, 30)
    assert inspect_bytes(data) == inspect_file(io.BytesIO(data))
    assert inspect_bytes(data, max_pixels=1000) == inspect_file(io.BytesIO(data), max_pixels=1000)


def test_unusual_jpegs_are_left_to_pillow():
    cmyk = io.BytesIO()
    Image.new("CMYK", (40, 30)).save(cmyk, "JPEG")
    exif = Image.Exif()
    exif[0x0112] = 6
    for data in (cmyk.getvalue(), encoded("JPEG", exif=exif), encoded("PNG"), b"", b"\xff\xd8\xff"):
        assert _plain_jpeg(data) is None
        assert inspect_bytes(data) == inspect_file(io.BytesIO(data))


@pytest.mark.parametrize("name", ["plain", "progressive"])
def test_a_damaged_jpeg_gets_the_same_status_as_with_pillow(name):
    data = JPEGS[name]
    for at in range(1, min(len(data), 700)):
        assert inspect_bytes(data[:at]).status == inspect_file(io.BytesIO(data[:at])).status
        # Either reader may accept a damaged table; a size that only one of the two finds is an error.
        for value in (0, data[at] ^ 0xFF):
            changed = data[:at] + bytes([value]) + data[at + 1 :]
            ours, pillows = inspect_bytes(changed), inspect_file(io.BytesIO(changed))
            if pillows.status == "ok":
                assert ours == pillows
