"""The process that writes downloaded pictures: what it stores, what it returns, and that its death loses nothing."""

import asyncio
import hashlib
import io
import os
import signal

import pytest
from PIL import Image

from photogenic.ingest.download.image_store import ImageStore
from photogenic.ingest.download.writer_process import SLOT_BYTES, WriterProcess
from photogenic.warehouse import Layout


def jpeg(seed, size=(64, 48)):
    target = io.BytesIO()
    Image.new("RGB", size, (seed % 256, 90, 120)).save(target, "JPEG", comment=f"number {seed}")
    return target.getvalue()


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "store")


def with_process(layout, work, *, break_disk=False):
    """The result of `work(process)`, after the process has started."""
    incoming = layout.photos / ".incoming"
    incoming.mkdir(parents=True)

    async def go():
        with WriterProcess(layout, incoming, 10**6) as process:
            async with asyncio.timeout(30):
                while not process.accepts(1):
                    await asyncio.sleep(0.01)
            if break_disk:
                incoming.rmdir()
            return await work(process)

    return asyncio.run(go())


def test_pictures_are_stored_under_their_digests(layout):
    pictures = [jpeg(seed) for seed in range(300)]
    turns = asyncio.Semaphore(64)

    async def work(process):
        async def one(data):
            async with turns:
                return await process.write([data[:100], data[100:]])

        return await asyncio.gather(*map(one, pictures))

    for data, (header, digest) in zip(pictures, with_process(layout, work), strict=True):
        assert (header.status, header.width, header.height) == ("ok", 64, 48)
        assert digest == hashlib.sha256(data).hexdigest()
        assert layout.photo(digest).read_bytes() == data


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", jpeg(0)[:-40], jpeg(0)[:30], jpeg(0, (2000, 2000))],
    ids=["empty", "html", "cut", "header cut", "too many pixels"],
)
def test_returns_data_that_is_not_plainly_a_complete_picture(layout, data):
    assert with_process(layout, lambda process: process.write([data])) is None
    assert [path for path in layout.photos.rglob("*") if path.is_file()] == []


def test_returns_pictures_that_the_disk_refuses(layout):
    assert with_process(layout, lambda process: process.write([jpeg(0)]), break_disk=True) is None


def test_accepts_what_fits_a_slot(layout):
    async def work(process):
        return process.accepts(SLOT_BYTES), process.accepts(SLOT_BYTES + 1)

    assert with_process(layout, work) == (True, False)


def test_returns_all_open_pictures_when_it_dies(layout):
    async def work(process):
        os.kill(process._process.pid, signal.SIGSTOP)
        under_way = [asyncio.create_task(process.write([jpeg(seed)])) for seed in range(5)]
        await asyncio.sleep(0)
        os.kill(process._process.pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*under_way)
        return answers, process.accepts(1)

    assert with_process(layout, work) == ([None] * 5, False)


def test_the_image_store_saves_the_same_with_and_without_a_process_and_when_it_dies(layout):
    pictures = [jpeg(seed) for seed in range(40)] + [b"GIF89a;", jpeg(1)[:-50], b"nothing", jpeg(2, (1000, 700))]

    async def save(*, use_process, killed=False):
        images, saved = ImageStore(layout, max_bytes=10**6, max_pixels=600_000, use_process=use_process), []
        with images:
            if use_process:
                async with asyncio.timeout(30):
                    while not images._writer.accepts(1):
                        await asyncio.sleep(0.01)
            for number, data in enumerate(pictures):
                if killed and number == 20:
                    os.kill(images._writer._process.pid, signal.SIGKILL)
                body = images.body()
                body.feed(data)
                saved.append(await images.save(body))
                if saved[-1].sha256 is None:
                    body.discard()
        return saved

    alone = asyncio.run(save(use_process=False))
    assert {one.header.status for one in alone} == {"ok", "unreadable", "truncated", "not_an_image", "too_large"}
    assert asyncio.run(save(use_process=True)) == alone
    assert asyncio.run(save(use_process=True, killed=True)) == alone
