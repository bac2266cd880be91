"""Every kind of picture becomes upright RGB or a status, and reduction while decoding hardly changes the pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from photogenic.features.images.decode import MIN_SIDE, decode
from photogenic.features.images.resize import center_crop
from tests.features.gallery import portrait


def _scene(width: int = 96, height: int = 64) -> Image.Image:
    """A smooth picture with different corners: red grows to the right, green downwards."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, 90)], axis=2)
    return Image.fromarray(pixels.astype(np.uint8))


def _bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _pixels(data: bytes) -> np.ndarray:
    decoded = decode(data)
    assert (decoded.status, decoded.detail) == ("ok", "")
    assert decoded.pixels is not None
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags.c_contiguous
    assert decoded.pixels.shape == (decoded.height, decoded.width, 3)
    return decoded.pixels.astype(int)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 98}),
        ("JPEG", {"quality": 98, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("GIF", {}),
        ("AVIF", {"quality": 98}),
    ],
)
def test_every_format_gives_the_same_picture(kind, options):
    found = _pixels(_bytes(_scene(), kind, **options))
    expected = np.asarray(_scene()).astype(int)
    assert np.abs(found - expected).mean() < (12 if kind == "GIF" else 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = np.asarray(_scene()).astype(int)
    # The pixels that a camera stores, so that undoing the orientation gives the upright scene (EXIF 2.32, tag 274).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, 3),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(stored.astype(np.uint8))
    found = _pixels(_bytes(image, "PNG", exif=exif))
    assert np.array_equal(found, upright)


def test_cmyk_grey_and_palette_become_rgb():
    cmyk = _pixels(_bytes(_scene().convert("CMYK"), "JPEG", quality=98))
    assert np.abs(cmyk - np.asarray(_scene()).astype(int)).mean() < 3
    grey = _pixels(_bytes(_scene().convert("L"), "JPEG", quality=98))
    assert np.abs(grey - np.asarray(_scene().convert("L")).astype(int)[..., None]).mean() < 3
    assert _pixels(_bytes(_scene().convert("P"), "PNG")).shape == (64, 96, 3)
    assert set(_pixels(_bytes(_scene().convert("1"), "PNG")).ravel()) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_white(mode):
    image = _scene().convert("RGBA")
    image.putalpha(0)
    if mode == "P":
        image = _scene().convert("P")
        data = _bytes(image, "PNG", transparency=bytes(256))
    else:
        data = _bytes(image.convert(mode), "PNG")
    assert _pixels(data).min() == 255


def test_sixteen_bits_become_eight():
    ramp = np.linspace(0, 65535, 96, dtype=np.uint16)[None].repeat(64, axis=0)
    for kind in ("PNG", "TIFF"):
        found = _pixels(_bytes(Image.fromarray(ramp), kind))
        assert np.abs(found[0, :, 0] - ramp[0] / 257).max() <= 1
    floats = Image.fromarray((ramp / 65535).astype(np.float32))
    assert np.abs(_pixels(_bytes(floats, "TIFF"))[0, :, 1] - ramp[0] / 257).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_the_first_frame_of_an_animation_is_decoded(kind):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = _bytes(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert _pixels(data)[10, 10].tolist() == [255, 0, 0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_file_cut_short_is_truncated(kind):
    data = _bytes(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)), kind)
    decoded = decode(data[: len(data) // 2])
    assert decoded.pixels is None
    assert decoded.status in ("truncated", "unreadable")
    if kind in ("JPEG", "PNG"):
        assert decoded.status == "truncated"


def test_a_file_that_is_not_a_picture_has_a_status():
    assert decode(b"").status == "empty"
    assert decode(b"<html>not found</html>").status == "not_an_image"
    assert decode(b"%!PS-Adobe-3.0 EPSF-3.0\n").status == "not_an_image"  # Ghostscript is never started
    assert decode(b"\x89PNG\r\n\x1a\n" + bytes(100)).status == "unreadable"
    assert decode(b"\xff\xd8\xff" + bytes(100)).status == "unreadable"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_random_damage_never_escapes_as_an_exception():
    rng = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
        whole = _bytes(_scene(), kind)
        for _ in range(40):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), 6):
                data[at] = rng.integers(0, 256)
            decoded = decode(bytes(data))
            assert (decoded.pixels is not None) == (decoded.status == "ok")


def test_a_decompression_bomb_is_refused_unopened():
    decoded = decode(_bytes(Image.new("1", (20_000, 20_000)), "PNG"))
    assert (decoded.status, decoded.detail) == ("too_large", "20000 x 20000 pixels")


def test_large_jpegs_are_reduced_and_keep_their_original_size():
    decoded = decode(portrait(1, size=2 * MIN_SIDE + 100))
    assert decoded.pixels is not None
    assert (decoded.width, decoded.pixels.shape) == (2 * MIN_SIDE + 100, (MIN_SIDE + 50, MIN_SIDE + 50, 3))
    whole = decode(portrait(1, size=2 * MIN_SIDE + 100), min_side=None)
    assert whole.pixels is not None
    assert whole.pixels.shape[0] == whole.height
    # The inputs of the networks differ by less than a gray level.
    small, large = (center_crop(d.pixels, 299).astype(int) for d in (decoded, whole))
    assert np.abs(small - large).mean() < 0.7


def test_a_jpeg_below_twice_the_least_side_is_left_alone():
    decoded = decode(portrait(1, size=2 * MIN_SIDE - 2))
    assert decoded.pixels is not None
    assert decoded.pixels.shape[0] == decoded.height
