"""A crawl stores nothing about erased people, and requests their accounts only once."""

from __future__ import annotations

import random

from photogenic.synthetic.network import FakeNetwork, FakeWorld
from photogenic.warehouse.erasure.tombstones import Tombstones
from tests.ingest.instagram.test_crawl import run, store, vault_of
from tests.ingest.network_store import JumpingClock, rows
from tests.scanner import found

WORLD = FakeWorld.tiny(3, 4, random.Random(2))


async def test_accounts_and_posts_of_erased_people_are_refused(tmp_path):
    async with FakeNetwork(WORLD) as fake:
        db, vault, clock = store(tmp_path), vault_of(tmp_path, fake), JumpingClock()
        await run(db, fake, vault, clock)
        owners = sorted(rows(db, "select distinct user_id from photos"))
        whom = owners[0][0]
        theirs = [photo for (photo,) in rows(db, f"select photo_id from photos where user_id = '{whom}' order by all")]
        one_of_others = rows(db, f"select min(photo_id) from photos where user_id <> '{whom}'")[0][0]
        n_photos, n_users = rows(db, "select count(*) from photos")[0][0], len(owners)

        again = store(tmp_path / "again")
        Tombstones(again.layout).add([("user", whom), ("photo", one_of_others)])
        report = await run(again, fake, vault, clock)
        assert report.n_posts == n_photos
        assert rows(again, "select count(*) from photos") == [(n_photos - len(theirs) - 1,)]
        assert rows(again, "select count(*) from users") == [(n_users - 1,)]
        refused = rows(
            again, "select kind, reason, count(*), max(raw), max(detail) from rejects group by all order by all"
        )
        assert refused == [("photos", "erased", len(theirs) + 1, None, None), ("users", "erased", 1, None, None)]
        needles = {one: [one.encode()] for one in (whom, one_of_others, *theirs)}
        assert {one: files for one, files in found(again.layout.root, needles).items() if files} == {}

        third = await run(again, fake, vault, clock, changes={"refresh_days": 0})
        assert third.n_skipped == 1, "the account is known as erased by now, and is skipped"
