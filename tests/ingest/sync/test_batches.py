"""Batches of inserts, updates and late commits with a sync now and then give the rows of a single ingest in the end."""

import datetime as dt
import random

import pytest

from photogenic.ingest.options import SourceOptions
from photogenic.ingest.sync import queries
from photogenic.ingest.tabular.load import ingest
from photogenic.warehouse import Database, Layout, Settings, Store
from tests.ingest.sync.sync_store import SyncStore

START = dt.datetime(2024, 5, 1)
LATEST = "select sender_id, recipient_id, liked, swiped_at from swipes order by all"
USERS = "select user_id, gender, followers from users order by all"
QUERY = "select user_id, gender, followers, changed_at from people"


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(3, 20))])
def test_syncs_in_between_are_one_ingest_in_the_end(tmp_path, monkeypatch, seed):
    chance, now = random.Random(seed), START
    monkeypatch.setattr("photogenic.ingest.databases.sqlite._ROWS", "7")
    monkeypatch.setattr(queries, "PIECE_ROWS", chance.choice([1, 10, 1000]))
    swipes = SyncStore(tmp_path, lookback="10 minutes")
    users = SyncStore(tmp_path, name="users", kind="users", query=QUERY, given=swipes.source.given)
    swipes.execute("create table people (user_id, gender, followers, changed_at)")
    uncommitted = []  # statements with a watermark of their beginning, and when they become visible
    for _ in range(12):
        for _ in range(chance.randrange(25)):
            now += dt.timedelta(seconds=chance.randrange(0, 60))
            person, other = (f"u{chance.randrange(12)}" for _ in range(2))
            if chance.random() < 0.5:
                key = f"'{person}', '{other}', {chance.randrange(2)}, '2024-01-0{chance.randrange(1, 4)} 00:00:00'"
                what = f"insert into swipes select {key}, '{now}' where not exists (select 1 from swipes where"
                what += f" sender_id = '{person}' and recipient_id = '{other}')"
                if chance.random() < 0.4:
                    what = f"update swipes set liked = {chance.randrange(2)}, changed_at = '{now}'"
                    what += f" where sender_id = '{person}'"
            else:
                gender, n = chance.choice(["female", "male", "other"]), chance.randrange(9)
                what = f"insert into people select '{person}', '{gender}', {n}, '{now}'"
                what += f" where not exists (select 1 from people where user_id = '{person}')"
                if chance.random() < 0.6:
                    what = f"update people set gender = '{gender}', followers = {n}, changed_at = '{now}'"
                    what += f" where user_id = '{person}'"
            late = dt.timedelta(seconds=chance.randrange(500)) if "insert" in what and chance.random() < 0.3 else 0
            uncommitted.append((now + (late or dt.timedelta()), what))
        ready = [what for at, what in uncommitted if at <= now]
        uncommitted = [(at, what) for at, what in uncommitted if at > now]
        for what in ready:
            swipes.execute(what)
        if chance.random() < 0.7:
            chance.choice([swipes, users]).sync(now=now)
    for _, what in uncommitted:
        swipes.execute(what)
    for one in (swipes, users):
        one.sync(now=now)
    whole = Store(Database(Layout(tmp_path / "whole"), Settings("500MB", 2)))
    for one in (swipes, users):
        ingest(whole, one.source.kind, list(one.source.given), options=SourceOptions(query=one.source.query))
    for query in (LATEST, USERS):
        with whole.database.read() as con:
            expected = con.execute(query).fetchall()
        assert swipes.rows(query) == expected
    for one in (swipes, users):
        report = one.sync(now=now)
        assert report.count("new") == report.count("corrected") == 0
