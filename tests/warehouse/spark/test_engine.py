"""Every relation that Spark computes equals, row for row, the one that DuckDB computes."""

import json
import shutil
import time
from pathlib import Path

import polars as pl
import pytest

from photogenic import FeatureStore, sql
from photogenic.synthetic.swipes.world import make_world
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.spark.export import TABLES, export
from photogenic.warehouse.spark.session import Cluster
from tests.sql.test_plain import random_facts
from tests.warehouse.parity import agree
from tests.warehouse.small import add_facts, ask, hour, store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHANGES = ("gender_changes",)
"""Relations that are empty unless the gender at the swipe counts."""


def edges():
    """Ties, microseconds, times around a change to summer time, unknown genders, empty groups."""
    us = 1 / 3.6e9
    summer = 24 * 69 + 7  # 2024-03-10 07:00 UTC: 02:00 becomes 03:00 in New York
    users = [("e1", None, 100), ("e2", "female", 100), ("e3", "male", 0), ("e4", None, 7), ("e5", "other", 10**6)]
    users += [(f"f{n}", None, 50 + n % 3) for n in range(12)]
    photos = [("q1", "e1", 10, -24 * 400, ["selfie", "x"]), ("q2", "e2", 10, -24 * 400, []), ("q3", "e3", 5, -9999)]
    photos += [("q4", "e4", 0, None), ("q5", "e5", 5, 23), ("q6", "e1"), ("q7", "e1"), ("q8", "e2")]
    photos += [("q9", "e4", 5, -24 * 365 * 20)]  # dated before the network opened
    photos += [(f"r{n}", f"f{n}", n // 2, -24 * 365 - n, ["selfie"]) for n in range(12)]
    events = [("e1", "q6", 1), ("e1", "q7", 1), ("e1", None, 1), ("e1", "q6", 2 + us), ("e1", "q6", 3), ("e1", "q1", 9)]
    events += [("e2", "q8", summer - 0.5), ("e2", "q2", summer), ("e2", "q8", summer + 0.5), ("e3", "q8", 4)]
    events += [("e4", None, 0), ("e5", "q5", 23 + us), ("nobody", "q9", 1), ("e3", "zz", 5), ("e5", "zz", 6)]
    instants = [1 - us, 1, 1 + us, 2, 2 + us, 2 + 2 * us, 9 - us, 9, 22, 23, 23 + us, 23 + 2 * us]
    instants += [summer + h for h in (-1, -0.5 - us, -0.5, -us, 0, us, 0.5 - us, 0.5, 1)]
    swipes = [
        (sender, recipient, (n + m) % 3 == 0, at)
        for n, at in enumerate(instants)
        for m, sender in enumerate(("e1", "e2", "e4", "stranger"))
        for recipient in ("e1", "e2", "e3", "e5", "ghost")
    ]
    return {"users": users, "photos": photos, "main_photos": events, "swipes": swipes}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A small demo world, random collisions and the edges, all in one store."""
    folder = tmp_path_factory.mktemp("spark")
    made, db, random = (
        make_world(folder / "world", users=100, swipes=20_000, seed=5, pictures=False),
        store(folder),
        random_facts(3),
    )
    FeatureStore(db.layout.root, settings=db.settings).ingest_users(made.users)
    with FeatureStore(db.layout.root, settings=db.settings) as opened:
        opened.ingest_photos(made.photos)
        opened.ingest_main_photos(made.main_photos)
        opened.ingest_swipes(*made.swipes)
        _change(opened, made, folder)
    add_facts(db, **edges(), faces=[("q1", 0.9), ("q2", 0.6), ("q2", 0.7), ("q3", None), ("r1", 0.55)], arrived=24 * 70)
    add_facts(db, users=random.users, photos=random.photos, main_photos=random.main_photos, swipes=random.swipes)
    add_facts(db, users=[("e1", "male", 300)], swipes=[("e2", "e1", True, 30)], arrived=24 * 80)
    export(Store(db), str(folder / "facts"))
    return db, folder


def _change(opened, made, folder):
    """Correct 20 swipes of the demo world, and take back 20 others and a photo."""
    swipes = pl.read_parquet(made.swipes[0]).head(40)
    swipes.head(20).with_columns(~pl.col("liked")).write_csv(folder / "corrected.csv")
    swipes.tail(20).write_csv(folder / "retracted.csv")
    pl.read_csv(made.photos).select("photo_id").head(1).write_csv(folder / "deleted.csv")
    reports = [
        *opened.ingest_swipes(folder / "corrected.csv"),
        *opened.retract("swipes", folder / "retracted.csv"),
        *opened.retract("photos", folder / "deleted.csv"),
    ]
    assert [report.n_corrected or report.n_retracted for report in reports] == [20, 20, 1]


@pytest.fixture
def new_york(monkeypatch):
    """Set the time zone of the machine to one with summer time."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_both_engines_give_the_same_rows_and_checksums(world, master, new_york):
    db, folder = world
    other, cluster = store(folder / "other"), Cluster(master, str(folder / "facts"))
    build_labels(Store(db))
    report = build_labels(Store(other), cluster=cluster)
    agree(db, other)
    assert ask(other, "from funnel") == ask(db, "from funnel"), "in one order"
    for name in sql.RELATIONS:
        if name not in CHANGES:
            assert ask(db, f"select count(*) from {name}") > [(0,)], name
    assert {built.action for built in report.relations} == {"computed"}
    # The results are equal, so neither engine recomputes what the other computed.
    assert not build_labels(Store(other), cluster=cluster).changed
    assert ask(other, "select count(*) from swipes") == [(0,)]
    assert not build_labels(Store(db), cluster=cluster).changed
    folders = json.loads((folder / "facts" / "relations" / "latest.json").read_text())
    assert folders.keys() == set(sql.RELATIONS)
    for name, at in folders.items():
        rows = pl.read_parquet(Path(at.removeprefix("file://")) / "*.parquet")
        assert len(rows) == ask(db, f"select count(*) from {name}")[0][0]

    choices = {
        "options": LabelOptions(
            window="every",
            min_swipes=3,
            split_seed=7,
            hashtag="selfie",
            follower_scale="log",
            mad_threshold=2.5,
            face_filter="lenient",
            normalise="band",
            band_size=4,
            gender="then",
        ),
        "as_of": hour(24 * 85),
    }
    choices["known_at"] = ask(db, "select ingested_at from facts.ingests order by 1 desc limit 3")[-1][0]
    build_labels(Store(db), **choices)
    build_labels(Store(other), cluster=cluster, **choices)
    agree(db, other, exactly=False)
    assert ask(other, "select count(*) from photo_labels where source = 'posts'") > [(0,)]
    for name in CHANGES:
        assert ask(other, f"select count(*) from {name}") > [(0,)], name


def test_a_store_goes_on_with_spark_and_those_erased_from_it_stay_erased(tmp_path, master):
    """With one user and one swipe on an unknown user nearly every relation is empty, and equal."""
    db, facts = store(tmp_path), str(tmp_path / "facts")
    add_facts(db, users=[("alone0", None)], swipes=[("alone0", "ghost0", True, 1)])
    exported = {one.table: one.n_rows for one in export(Store(db), facts)}
    assert exported == dict.fromkeys(TABLES, 0) | {"users": 1, "swipes": 1}
    build_labels(Store(db))
    with FeatureStore(tmp_path / "other", settings=db.settings) as other:
        with pytest.raises(InputError, match="no facts"):
            other.build(only="labels", engine="spark")
        with pytest.raises(InputError, match="Only Spark"):
            other.build(only="labels", facts=facts)
        other.build(only="labels", engine="spark", master=master, facts=facts)
        agree(db, other.database)
        report = other.build(only="labels")
        assert {built.action for built in report.labels.relations} == {"kept"}, "DuckDB would have found no swipes"
        assert other.status()["labels"]["stale"] is False
        assert "leaves out labels on Spark" in " ".join(other.plan(only="labels").notes)

        assert len(other.erase(["alone0"])) == 1
        assert other.sql("select * from checksums").is_empty()
        other.build(only="labels")
        assert other.sql("select * from users").is_empty()
        assert other.sql("select * from recipient_counts").is_empty()


@pytest.mark.thorough
def test_an_export_of_an_older_version_gives_the_same_relations(tmp_path, master):
    """It has neither replaced versions nor the columns of version 3."""
    db, facts = store(tmp_path), tmp_path / "facts"
    add_facts(db, **edges(), arrived=24 * 70)
    export(Store(db), str(facts))
    build_labels(Store(db))
    for table in ("users", "photos", "main_photos", "swipes"):
        for path in (facts / table).rglob("*.parquet"):
            rows = pl.read_parquet(path, hive_partitioning=False)
            rows.drop("batch", "event_id", "updated_at", "deleted_at", strict=False).write_parquet(path)
    for table in ("replaced_swipes", "replaced_main_photos"):
        shutil.rmtree(facts / table)
    other = store(tmp_path / "other")
    build_labels(Store(other), cluster=Cluster(master, str(facts)))
    agree(db, other)
