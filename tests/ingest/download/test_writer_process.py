"""The process beside the downloads: what it stows, what it hands back, and that nothing depends on its health."""

import asyncio
import hashlib
import io
import os
import signal

import pytest
from PIL import Image

from photogenic.ingest.download.image_store import Shelf
from photogenic.ingest.download.writer_process import SLOT_BYTES, Stower
from photogenic.warehouse import Layout


def jpeg(seed, size=(64, 48)):
    target = io.BytesIO()
    Image.new("RGB", size, (seed % 256, 90, 120)).save(target, "JPEG", comment=f"number {seed}")
    return target.getvalue()


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "store")


def stowing(layout, work, *, break_disk=False):
    """What `work(stower)` returns, once the process has said that it is there."""
    incoming = layout.photos / ".incoming"
    incoming.mkdir(parents=True)

    async def go():
        with Stower(layout, incoming, 10**6) as stower:
            async with asyncio.timeout(30):
                while not stower.accepts(1):
                    await asyncio.sleep(0.01)
            if break_disk:
                incoming.rmdir()
            return await work(stower)

    return asyncio.run(go())


def test_stows_pictures_under_their_digests(layout):
    pictures = [jpeg(seed) for seed in range(300)]
    turns = asyncio.Semaphore(64)

    async def work(stower):
        async def one(data):
            async with turns:
                return await stower.stow([data[:100], data[100:]])

        return await asyncio.gather(*map(one, pictures))

    for data, (header, digest) in zip(pictures, stowing(layout, work), strict=True):
        assert (header.status, header.width, header.height) == ("ok", 64, 48)
        assert digest == hashlib.sha256(data).hexdigest()
        assert layout.photo(digest).read_bytes() == data


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", jpeg(0)[:-40], jpeg(0)[:30], jpeg(0, (2000, 2000))],
    ids=["empty", "html", "cut", "header cut", "too many pixels"],
)
def test_hands_back_what_is_not_plainly_a_whole_picture(layout, data):
    assert stowing(layout, lambda stower: stower.stow([data])) is None
    assert [path for path in layout.photos.rglob("*") if path.is_file()] == []


def test_hands_back_what_the_disk_refuses(layout):
    assert stowing(layout, lambda stower: stower.stow([jpeg(0)]), break_disk=True) is None


def test_takes_what_fits_a_slot(layout):
    async def work(stower):
        return stower.accepts(SLOT_BYTES), stower.accepts(SLOT_BYTES + 1)

    assert stowing(layout, work) == (True, False)


def test_hands_back_all_it_had_when_it_dies(layout):
    async def work(stower):
        os.kill(stower._process.pid, signal.SIGSTOP)
        under_way = [asyncio.create_task(stower.stow([jpeg(seed)])) for seed in range(5)]
        await asyncio.sleep(0)
        os.kill(stower._process.pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*under_way)
        return answers, stower.accepts(1)

    assert stowing(layout, work) == ([None] * 5, False)


def test_a_shelf_places_the_same_with_help_and_without_and_when_help_dies(layout):
    pictures = [jpeg(seed) for seed in range(40)] + [b"GIF89a;", jpeg(1)[:-50], b"nothing", jpeg(2, (1000, 700))]

    async def place(*, helped, killed=False):
        shelf, placed = Shelf(layout, max_bytes=10**6, max_pixels=600_000, helped=helped), []
        with shelf:
            if helped:
                async with asyncio.timeout(30):
                    while not shelf._stower.accepts(1):
                        await asyncio.sleep(0.01)
            for number, data in enumerate(pictures):
                if killed and number == 20:
                    os.kill(shelf._stower._process.pid, signal.SIGKILL)
                body = shelf.body()
                body.feed(data)
                placed.append(await shelf.place(body))
                if placed[-1].sha256 is None:
                    body.discard()
        return placed

    alone = asyncio.run(place(helped=False))
    assert {one.header.status for one in alone} == {"ok", "unreadable", "truncated", "not_an_image", "too_large"}
    assert asyncio.run(place(helped=True)) == alone
    assert asyncio.run(place(helped=True, killed=True)) == alone
