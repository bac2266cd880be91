"""A Feast repository that was exported joins at each instant what a training set of this program joins.

Feast runs in a process of its own, with its default engine, which drops rows of whose key it knows later rows only.
"""

from __future__ import annotations

import os
import subprocess
import sys

import polars as pl
import pyarrow.parquet as pq
import pytest

from photogenic import FeatureStore
from photogenic.warehouse.errors import ConflictError, InputError
from tests.models.training_sets.sets import INTERVALS, make, spells
from tests.warehouse.definitions.own import sql_file
from tests.warehouse.small import add_facts

RATIOS = """
select
    cast(photo_id as varchar) as photo_id, -- the photo
    cast(n_swipes as bigint) as n_swipes, -- swipes that it received
    cast(like_ratio as double) as like_ratio -- the share of likes
from like_ratios
where time_window = 'every'
"""
GAPS = """
select
    cast(user_id as varchar) as user_id, -- the user
    cast(valid_from as timestamp) as valid_from, -- inclusive
    cast(valid_to as timestamp) as valid_to, -- exclusive
    cast(n as bigint) as n -- a number
from (values
    ('u1', cast(null as timestamp), timestamp '2024-01-01 06:00', 1),
    ('u1', timestamp '2024-01-01 12:00', timestamp '2024-01-01 18:00', 2),
    ('u1', timestamp '2024-01-01 18:00', cast(null as timestamp), 3),
    ('u2', timestamp '2024-01-02', cast(null as timestamp), 4)
) as rows_of (user_id, valid_from, valid_to, n)
semi join users using (user_id)
"""
OWN = {
    "spells": spells(),
    "ratios": sql_file("ratios", RATIOS, reads="like_ratios", grain="photo_id", time="as like_ratios"),
    "gaps": sql_file("gaps", GAPS, reads="users", grain="user_id, valid_from", time=INTERVALS),
}

JOIN = """
import sys
import pandas
from feast import FeatureStore
sys.path.insert(0, sys.argv[1])
import photogenic_features as made
from feast import Entity, FeatureView
store = FeatureStore(sys.argv[1])
store.apply([one for one in vars(made).values() if isinstance(one, (Entity, FeatureView))])
rows = pandas.read_parquet(sys.argv[2])
found = store.get_historical_features(entity_df=rows, features=sys.argv[4:], full_feature_names=True).to_df()
found.to_parquet(sys.argv[3])
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with FeatureStoreOf(make(tmp_path_factory.mktemp("feast"), OWN, n=8)) as opened:
        yield opened


class FeatureStoreOf:
    """A store with own relations, which is closed at the end."""

    def __init__(self, made):
        self._opened = FeatureStore(made.layout.root)
        self._opened.store = made

    def __enter__(self):
        return self._opened

    def __exit__(self, *_):
        self._opened.close()


def joined(folder, tmp_path, rows, features):
    """What Feast joins to rows of photo_id, user_id and event_timestamp."""
    rows.write_parquet(tmp_path / "rows.parquet")
    command = [sys.executable, "-W", "ignore", "-c", JOIN, folder, tmp_path / "rows.parquet", tmp_path / "out.parquet"]
    environment = {**os.environ, "FEAST_USAGE": "False", "IS_TEST": "True"}
    done = subprocess.run(
        [*map(str, command), *features], check=False, capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    return pl.read_parquet(tmp_path / "out.parquet")


def test_historical_features_are_those_of_a_training_set(store, tmp_path):
    names = {"ratios": ["n_swipes", "like_ratio"], "spells": ["n_before"], "gaps": ["n"], "users": ["followers"]}
    store.create_training_set(
        "swiped",
        entity="photo_swipes",
        at="swiped_at",
        user="recipient_id",
        target="photo_swipes.liked",
        features=[f"{relation}.{column}" for relation, columns in names.items() for column in columns],
        every="6h",
    )
    ours = store.load_training_set("swiped").frame().unique(["photo_id", "recipient_id", "instant"])
    done = store.export(list(names), to=tmp_path / "repository", format="feast", every="6h", verify=True)
    assert {one.name for one in done} == {*names}
    rows = ours.select(
        "photo_id", user_id="recipient_id", event_timestamp=pl.col("instant").dt.replace_time_zone("UTC")
    )
    features = [f"{relation}:{column}" for relation, columns in names.items() for column in columns]
    found = joined(tmp_path / "repository", tmp_path, rows, features)
    assert len(found) == len(ours) > 50  # no row is lost
    keys = ["photo_id", "user_id", "event_timestamp"]
    theirs = found.with_columns(pl.col("event_timestamp").dt.cast_time_unit("us").dt.replace_time_zone(None)).sort(keys)
    expected = ours.rename({"recipient_id": "user_id", "instant": "event_timestamp"}).sort(keys)
    n_values = 0
    for relation, columns in names.items():
        for column in columns:
            name = f"{relation}__{column}"
            left, right = (frame[name].cast(pl.Float64).fill_nan(None).to_list() for frame in (theirs, expected))
            assert left == right, name
            n_values += sum(value is not None for value in left)
            assert any(value is None for value in left) == (relation in ("ratios", "gaps")), name
    assert n_values > 100


def test_a_view_for_each_window_and_nothing_is_written_twice(store, tmp_path):
    first = store.export("like_ratios", to=tmp_path, format="feast")
    assert [one.name for one in first] == ["like_ratios_every", "like_ratios_latest"]
    (tmp_path / "feature_store.yaml").write_text("project: mine\n")
    again = store.export(["like_ratios", "users"], to=tmp_path, format="feast", verify=True)
    assert [one.state for one in again] == ["unchanged", "unchanged", "written"]
    assert (tmp_path / "feature_store.yaml").read_text() == "project: mine\n"
    text = (tmp_path / "photogenic_features.py").read_text()
    assert text.count("= FeatureView(") == 3
    compile(text, "photogenic_features.py", "exec")
    schema = pq.read_schema(tmp_path / "data" / "users.parquet")
    assert (
        str(schema.field("event_timestamp").type)
        == str(schema.field("created_timestamp").type)
        == "timestamp[us, tz=UTC]"
    )


def test_a_photo_that_is_gone_has_no_values_later(tmp_path):
    made = make(tmp_path, OWN, n=4)
    with FeatureStoreOf(made) as store:
        ((photo,),) = store.sql("select photo_id from ratios order by 1 limit 1").rows()
        store.export("ratios", to=tmp_path / "out", format="feast", every="6h")
        rows = pl.read_parquet(tmp_path / "out" / "data" / "ratios.parquet").filter(pl.col("photo_id") == photo)
        values = rows.sort("event_timestamp")["n_swipes"].to_list()
        assert values[0] is None  # of 1900
        assert values[1:] == sorted(values[1:])
        assert len(set(values)) == len(values)  # one row for each change


@pytest.mark.parametrize(
    ("what", "options", "error", "words"),
    [
        ("photo_swipes", {}, InputError, "rows for photo_id"),
        ("vectors_x", {}, ConflictError, "vectors_x"),
        ("users", {"query": "select 1"}, ConflictError, "--query"),
        ("users", {"every": "yesterday"}, InputError, "--every"),
        ("users", {"partition": "gender"}, ConflictError, "no partitions"),
        ("nothing", {}, InputError, "nothing"),
    ],
)
def test_refused(store, tmp_path, what, options, error, words):
    with pytest.raises(error, match=words):
        store.export(what, to=tmp_path / "out", format="feast", **options)


def test_an_address_is_refused(store):
    with pytest.raises(InputError, match="no folder of this machine"):
        store.export("users", to="s3://bucket/x?region=eu-west-1", format="feast")


def test_facts_that_came_later_change_the_views(tmp_path):
    made = make(tmp_path, OWN, n=4)
    with FeatureStoreOf(made) as store:
        store.export("users", to=tmp_path / "out", format="feast")
        add_facts(made.database, users=[("late", "male", 3)])
        (done,) = store.export("users", to=tmp_path / "out", format="feast")
        assert (done.state, done.n_rows) == ("written", 10)
