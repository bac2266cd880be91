"""Photos decoded in groups, as on a GPU, have the statuses and sizes of single ones, and nearly the same pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from photogenic.features.encoders.batch_embedder import embedders
from photogenic.features.encoders.device import CPU, Device, choose
from photogenic.features.encoders.registry import encoder
from photogenic.features.images.decode import decode
from photogenic.features.images.decode_batch import decode_group, decode_photos
from tests.features.gallery import portrait


def jpeg(image: Image.Image, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, "JPEG", quality=90, **options)
    return target.getvalue()


def mixed() -> list[bytes]:
    drawn = Image.open(io.BytesIO(portrait(3, size=320)))
    turned = Image.Exif()
    turned[0x0112] = 6
    png = io.BytesIO()
    drawn.save(png, "PNG")
    whole = portrait(4)
    middle = len(whole) // 2
    return [
        whole,
        jpeg(drawn.resize((320, 200)), progressive=True),
        jpeg(drawn.convert("L")),
        jpeg(drawn.convert("CMYK")),
        jpeg(drawn, exif=turned),
        jpeg(drawn.resize((1400, 1600))),
        png.getvalue(),
        whole[:middle],
        whole[:middle] + b"\xff\xd9",
        b"\xff\xd8 and nothing else \xff\xd9",
        b"",
    ]


def same(found, photos):
    for one, data in zip(found, photos, strict=True):
        alone = decode(data)
        assert (one.status, one.width, one.height) == (alone.status, alone.width, alone.height)
        if alone.pixels is not None:
            assert one.pixels.shape == alone.pixels.shape
            assert np.abs(one.pixels.astype(int) - alone.pixels).mean() < 1.5


def test_a_group_decodes_to_the_pixels_of_each_photo():
    same(decode_group(mixed(), "cpu"), mixed())


def test_one_refused_photo_does_not_affect_the_others(monkeypatch):
    import torchvision.io

    photos = [portrait(i) for i in range(5)]
    asked = []
    genuine = torchvision.io.decode_jpeg

    def fussy(files, **options):
        asked.append(len(files))
        if any(bytes(file.numpy()) == photos[3] for file in files):
            raise RuntimeError("not this one")
        return genuine(files, **options)

    monkeypatch.setattr(torchvision.io, "decode_jpeg", fussy)
    same(decode_group(photos, "cpu"), photos)
    assert asked == [5, 2, 3, 1, 2, 1, 1]


@pytest.mark.parametrize("device", [CPU, Device("meta", batch=2, half=False)])
def test_photos_come_in_order_however_many(monkeypatch, device):
    monkeypatch.setattr(
        "photogenic.features.images.decode_batch.decode_group", lambda group, name: [decode(data) for data in group]
    )
    monkeypatch.setattr("photogenic.features.images.decode_batch._GROUP", 3)
    photos = [portrait(i) for i in range(7)]
    assert [data for data, _ in decode_photos(iter(photos), device)] == photos


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch 2.11 compiling
def test_a_gpu_decodes_and_embeds_nearly_as_a_cpu_does():
    gpu, photos = choose("cuda"), mixed()
    same([photo for _, photo in decode_photos(photos, gpu)], photos)
    pictures = [np.asarray(Image.open(io.BytesIO(portrait(i))).convert("RGB").resize((224, 224))) for i in range(8)]
    chosen = [encoder("efficientnet_lite0")]
    (on_gpu,), (on_cpu,) = embedders(chosen, gpu), embedders(chosen, CPU)
    a, b = on_gpu(pictures)["efficientnet_lite0"], on_cpu(pictures)["efficientnet_lite0"]
    (compiled,) = embedders(chosen, gpu, n_pictures=10**9)
    c = compiled(pictures)["efficientnet_lite0"]
    for one in (a, c):
        cosine = (one * b).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(b, axis=1)
        assert cosine.min() > 0.999
