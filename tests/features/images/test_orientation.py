"""All readers of a picture apply its orientation, from EXIF or XMP in any format, and agree on its size."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from photogenic.features.faces.crop_windows import Box
from photogenic.features.images import decode_batch
from photogenic.features.images.decode import decode
from photogenic.features.images.thumbnails import _small
from photogenic.ingest.images import image_header
from photogenic.models.crop import _write

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
LOSSLESS = {"PNG", "TIFF", "WEBP"}


def upright():
    y, x = np.mgrid[0:64, 0:96]
    return np.stack([x * 255 // 95, y * 255 // 63, np.full_like(x, 90)], axis=2).astype(np.uint8)


def stored(orientation):
    """The pixels that a camera stores, so that undoing the orientation gives the upright scene (EXIF 2.32, tag 274)."""
    scene = upright()
    return {
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.transpose(1, 0, 2),
        6: np.rot90(scene, 1),
        7: np.rot90(scene, 2).transpose(1, 0, 2),
        8: np.rot90(scene, 3),
    }[orientation]


def saved(form, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98}, "AVIF": {"quality": 98}}.get(form, {})
    target = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(stored(orientation)))
    picture.save(target, form, exif=exif, **settings, **options)
    return target.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif_behind(data):
    """A PNG with its eXIf chunk after the pixels, as some programs write it."""
    at = data.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    block, rest = data[at:end], data[:at] + data[end:]
    return rest[: -len(chunk(b"IEND", b""))] + block + chunk(b"IEND", b"")


def xmp(orientation):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:D tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def by_xmp(form, orientation):
    """A file with the orientation in XMP and without EXIF."""
    target = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(stored(orientation)))
    if form == "PNG":
        picture.save(target, form)
        data = target.getvalue()
        text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(orientation))
        return data[:33] + chunk(b"iTXt", text) + data[33:]
    settings = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98}}[form]
    picture.save(target, form, xmp=xmp(orientation), **settings)
    return target.getvalue()


def seen_by_all(data, close):
    found = decode(data)
    assert (found.status, found.detail) == ("ok", "")
    assert (found.width, found.height) == (96, 64) == found.pixels.shape[1::-1]
    if close:
        assert np.array_equal(found.pixels, upright())
    assert np.abs(found.pixels.astype(int) - upright()).mean() < 3
    for header in (image_header.inspect_file(io.BytesIO(data)), image_header.inspect_bytes(data)):
        assert (header.status, header.width, header.height) == ("ok", 96, 64)
    with Image.open(io.BytesIO(_small(data, "picture"))) as small:
        assert np.abs(np.asarray(small).astype(int) - upright()).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", FORMATS)
def test_every_orientation_of_every_format(form, orientation):
    data = saved(form, orientation)
    seen_by_all(data, form in LOSSLESS)
    if form == "JPEG":  # a GPU does not rotate, so it gets only upright pictures
        assert decode_batch._is_plain_jpeg(data) == (orientation == 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_with_compression_is_turned_once_too(orientation):
    seen_by_all(saved("TIFF", orientation, compression="tiff_lzw"), True)


@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_behind_the_pixels_of_a_png(orientation):
    seen_by_all(exif_behind(saved("PNG", orientation)), True)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_xmp_has_the_orientation_where_exif_has_none(form, orientation):
    seen_by_all(by_xmp(form, orientation), form in LOSSLESS)


@pytest.mark.parametrize("value", [0, 9, 200, 65535])
@pytest.mark.parametrize("form", FORMATS)
def test_an_invalid_orientation_rotates_nothing(form, value):
    exif = Image.Exif()
    exif[0x0112] = value
    target = io.BytesIO()
    Image.fromarray(upright()).save(target, form, exif=exif)
    found = decode(target.getvalue())
    assert (found.status, found.width, found.height) == ("ok", 96, 64)


def test_a_photo_of_the_store_is_cropped_upright(tmp_path):
    _write(tmp_path / "crop.png", saved("TIFF", 6), Box(10, 20, 60, 50))
    with Image.open(tmp_path / "crop.png") as crop:
        assert np.array_equal(np.asarray(crop), upright()[20:50, 10:60])
