"""The point-in-time join: what each row gets, what is refused, and what the counts say."""

from __future__ import annotations

import datetime as dt
import shutil

import polars as pl
import pytest

from photogenic.models.training_sets.create import create
from photogenic.models.training_sets.options import TrainingSetOptions, from_toml
from photogenic.warehouse import InputError, StoreError
from photogenic.warehouse.errors import AuditError
from photogenic.warehouse.labels.build import build_labels
from tests.models.training_sets.sets import LEAK, RAW, constant, made, make, opened, rows, spells
from tests.warehouse.definitions.own import sql_file, within
from tests.warehouse.small import add_facts, ask, hour
from tests.warehouse.small import store as empty


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store for tests that write nothing, and the source of copies."""
    return make(tmp_path_factory.mktemp("shared"), {"spells": spells()})


@pytest.fixture
def store(shared, tmp_path):
    shutil.copytree(shared.layout.root, tmp_path / "store")
    return within(empty(tmp_path), {"spells": spells()})


def by_hand(store):
    """For each period, the swipes that its owner had received until it began."""
    periods = ask(store.database, "select photo_id, user_id, valid_from from photo_periods")
    swipes = ask(store.database, "select recipient_id, swiped_at from swipes")
    found = {}
    for photo, user, start in periods:
        n = sum(recipient == user and at <= start for recipient, at in swipes)
        found[photo] = n or None
    return found


def test_each_row_has_the_interval_that_holds_at_its_instant(store):
    result = made(store)
    assert {row["photo_id"]: row["spells__n_before"] for row in rows(store)} == by_hand(store)
    assert result.manifest.audit["values"] > 0
    assert result.manifest.audit["instants"] == 3  # there are six instants, of which a sample has at least three


def test_a_relation_that_knows_the_future_fails_the_creation_and_leaves_no_file(tmp_path):
    store = make(tmp_path, {"spells": spells(), "leak": spells("leak", LEAK)})
    with pytest.raises(AuditError, match=r"leak\.n_before is from the future in .* rows"):
        made(store, features="spells.n_before,leak.n_before")
    assert not list(store.layout.training_sets.rglob("*.parquet"))
    assert ask(store.database, "from training_sets") == []


def test_a_column_of_the_entity_that_is_known_only_later_fails_too(store):
    with pytest.raises(AuditError, match=r"photo_periods\.valid_to is from the future"):
        made(store, features="photo_periods.valid_to")


def test_a_constant_relation_that_counts_swipes_fails(tmp_path):
    select = """
    select
        cast(recipient_id as varchar) as user_id, -- who received them
        cast(count(*) as bigint) as n -- swipes
    from swipes
    group by recipient_id
    """
    store = make(tmp_path, {"fixed": constant(select, "swipes")})
    with pytest.raises(AuditError, match=r"fixed\.n is from the future"):
        made(store, features="fixed.n")


def test_a_feature_of_the_clock_is_computed_as_of_each_instant(tmp_path):
    select = """
    select
        cast(recipient_id as varchar) as user_id, -- who received them
        cast(count(*) as bigint) as n -- swipes
    from swipes
    group by recipient_id
    """
    store = make(tmp_path, {"received": sql_file("received", select, reads="swipes")})
    result = made(store, features="received.n")
    assert {row["photo_id"]: row["received__n"] for row in rows(store)} == by_hand(store)
    assert result.manifest.counts["computed_instants"] == 6


def test_every_gives_the_value_of_the_last_beginning_and_never_a_later_one(tmp_path):
    select = """
    select
        cast(recipient_id as varchar) as user_id, -- who received them
        cast(max(swiped_at) as timestamp) as last_at, -- the last one
        cast(count(*) as bigint) as n -- swipes
    from swipes
    group by recipient_id
    """
    store = make(tmp_path, {"received": sql_file("received", select, reads="swipes")})
    made(store, features="received.n,received.last_at", every="4h")
    for row in rows(store):
        begins = row["instant"].replace(minute=0) - dt.timedelta(hours=row["instant"].hour % 4)
        swipes = ask(
            store.database,
            f"select count(*) from swipes where recipient_id = '{row['user_id']}' and swiped_at < timestamp '{begins}'",
        )
        assert row["received__n"] == (swipes[0][0] or None)
        assert row["received__last_at"] is None or row["received__last_at"] < begins <= row["instant"]


def test_too_many_instants_are_refused_with_the_way_out(tmp_path):
    store = make(tmp_path, n=30, main_photos=[(f"u{i}", f"p{i}-0", i / 7) for i in range(30)])
    with pytest.raises(InputError, match=r"users depends on the clock, and the rows have 30 instants") as told:
        made(store, features="users.gender", target="photo_labels.value")
    assert "--every 1d" in str(told.value)
    assert made(store, features="users.gender", target="photo_labels.value", every="1d").manifest.n_rows


def test_overlapping_intervals_are_refused_by_name(tmp_path):
    store = make(tmp_path, {"spells": spells(select=RAW, reads="none")})
    with pytest.raises(InputError, match=r"Intervals of spells overlap: for user_id 'u1'") as told:
        made(store, features="spells.n")
    assert "correct spells" in str(told.value)


def test_several_rows_per_key_are_refused_by_name(store):
    with pytest.raises(InputError, match=r"like_ratios has 2 rows for photo_id"):
        made(store, features="like_ratios.like_ratio", at=None)


def test_relations_without_a_clock_are_refused(store):
    with pytest.raises(InputError, match=r"predictions reads predictions, which do not say what was known"):
        made(store, features="predictions.prediction")


def test_known_at_hides_what_arrived_later(tmp_path):
    store = make(tmp_path, {"spells": spells()})
    early = [("u1", "u0", True, 0.1), ("u2", "u0", False, 0.2)]
    add_facts(store.database, swipes=early, arrived=1_000)
    with pytest.raises(StoreError, match=r"older than the data: swipes changed"):
        made(store)
    made(store, "then", known_at=hour(500))
    build_labels(store)
    made(store, "now")
    of_u0 = [
        [row["spells__n_before"] for row in rows(store, name) if row["photo_id"] == "p0-1"] for name in ("then", "now")
    ]
    assert of_u0[1][0] == of_u0[0][0] + 2


def test_as_of_ends_the_entity_and_the_target(store):
    result = made(store, as_of=hour(5))
    assert {row["photo_id"] for row in rows(store)} == {f"p{i}-0" for i in range(30)}
    assert result.manifest.digests["clock"]["as_of"] == "2024-01-01T05:00:00"


def test_every_row_of_the_entity_is_accounted_for(tmp_path):
    select = """
    select
        cast(user_id as varchar) as user_id, -- the user; NULL: nobody
        cast(n as bigint) as n, -- number of the visit
        cast(case when n % 5 <> 0 then timestamp '2024-01-02' end as timestamp) as seen_at, -- when
        cast(case when n % 7 <> 0 then n end as bigint) as y -- a target
    from (
        select user_id, followers as n from users
        union all
        select cast(null as varchar) as user_id, 99 as n
    ) as visits
    """
    visits = sql_file("visits", select, reads="users", grain="n")
    store = make(tmp_path, {"visits": visits, "spells": spells()})
    counts = made(store, entity="visits", at="seen_at", target="visits.y").manifest.counts
    assert counts["left_out"] == {"without_key": 1, "without_instant": 6, "without_target": 4}
    assert counts["entity_rows"] == 31 == counts["rows"] + sum(counts["left_out"].values())
    assert sum(counts["splits"].values()) == counts["rows"]
    for joined in counts["relations"].values():
        assert joined["matched"] + joined["unmatched"] == counts["rows"]


def test_rows_with_equal_ids_and_instant_are_kept_and_counted(tmp_path):
    swipes = [("s", "u1", True, 20), ("s", "u1", False, 20), ("s", "u2", True, 21)]
    store = make(tmp_path, {"spells": spells()}, swipes=swipes)
    result = made(store, entity="photo_swipes", at="swiped_at", target="photo_swipes.liked")
    assert (result.manifest.n_rows, result.manifest.counts["duplicate_keys"]) == (3, 1)
    assert "1 rows have ids and instant of another row; they were kept." in result.notes


def test_a_photo_and_a_user_with_one_id_are_not_mixed_up(tmp_path):
    names = [f"x{i}" for i in range(6)]
    store = make(
        tmp_path,
        {"spells": spells()},
        users=[(name, None, at) for at, name in enumerate(names)],
        photos=[(names[at], names[(at + 1) % 6]) for at in range(6)],
        main_photos=[(names[(at + 1) % 6], names[at], 0) for at in range(6)],
        swipes=[("s", name, True, 1 + at) for at, name in enumerate(names)],
    )
    made(store, features="photos.likes")
    for row in rows(store):
        assert row["target"] == names.index(row["user_id"])
        assert names.index(row["user_id"]) == (names.index(row["photo_id"]) + 1) % 6


def test_swipes_join_the_recipient_or_the_user_that_is_named(tmp_path):
    store = make(tmp_path)
    options = {
        "entity": "swipes",
        "at": "swiped_at",
        "target": "swipes.liked",
        "features": "users.followers",
        "every": "1d",
    }
    made(store, "received", **options, as_of=hour(500))
    made(store, "sent", **options, user="sender_id", as_of=hour(500))
    for name, column in (("received", "recipient_id"), ("sent", "sender_id")):
        for row in rows_of(store, name):
            assert row["users__followers"] in (None, int(row[column][1:]))


def rows_of(store, name):
    return opened(store, name).frame().to_dicts()


def test_splits_keep_owners_equal_bytes_and_near_duplicates_together(tmp_path):
    store = make(tmp_path, n=40, faces=[(f"p{i}-{k}", None) for i in range(40) for k in range(2)])
    with store.database.write("test") as con:
        con.execute("update facts.photo_files set sha256 = 'same' where photo_id in ('p0-0', 'p1-1', 'p2-0')")
        columns = "photo_id, other_id, cluster_id, reason"
        near = f"insert into facts.near_duplicates ({columns}) values ('p3-0', 'p4-0', 'p3-0', 'hash')"
        con.execute(near)
    made(store, features="photos.width")
    split = {row["user_id"]: row["split"] for row in rows(store)}
    assert split["u0"] == split["u1"] == split["u2"]
    assert split["u3"] == split["u4"]
    frame = opened(store).frame()
    assert frame.group_by("user_id").agg(pl.col("split").n_unique())["split"].max() == 1
    assert set(frame["split"]) == {"train", "dev", "test"}


def test_the_split_is_that_of_photo_setups(store):
    made(store, target="photo_labels.value", features="photos.width")
    held = dict(ask(store.database, "select photo_id, split from photo_setups where setup = 'all'"))
    assert {row["photo_id"]: row["split"] for row in rows(store)} == held


def test_by_time_test_is_newer_and_no_owner_is_on_both_sides(tmp_path):
    photos = [(f"p{i}", f"u{i}") for i in range(30)]
    store = make(tmp_path, {"spells": spells()}, photos=photos, main_photos=[(f"u{i}", f"p{i}", i) for i in range(30)])
    result = made(store, by_time=True, features="spells.n_before")
    frame = opened(store).frame()
    assert frame.filter(split="train")["instant"].max() < frame.filter(split="test")["instant"].min()
    assert result.manifest.counts["splits"] == {"train": 24, "dev": 3, "test": 3}


def test_the_same_content_is_the_same_version_and_other_content_the_next(store):
    first, again = made(store), made(store)
    assert (first.manifest.version, first.is_new) == (1, True)
    assert (again.manifest.version, again.is_new) == (1, False)
    other = made(store, weight="photo_labels.weight")
    assert (other.manifest.version, other.is_new) == (2, True)
    assert ask(store.database, "select name, version, n_rows, status from training_sets order by version") == [
        ("may", 1, 60, "ok"),
        ("may", 2, 60, "ok"),
    ]


def test_without_at_the_features_are_those_of_the_moment_of_the_set(store):
    made(store, at=None, features="users.gender,spells.n_before")
    n = dict(ask(store.database, "select user_id, n_before from spells where valid_to is null"))
    assert {row["user_id"]: row["spells__n_before"] for row in rows(store)} == n


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"target": None}, "No target is given"),
        ({"features": ()}, "No features are given"),
        ({"features": "spels.n_before"}, "There is no relation 'spels'"),
        ({"features": "spells.n_befor"}, "no column 'n_befor'"),
        ({"features": "no_encoder"}, "neither a column nor an encoder"),
        ({"features": "photos"}, "photos is a relation"),
        ({"entity": "photo_perods"}, "no relation 'photo_perods'"),
        ({"entity": "population"}, "neither photo_id nor user_id"),
        ({"at": "valid"}, "has no instants 'valid'"),
        ({"user": "photo"}, "has no ids 'photo'"),
        ({"every": "1 day"}, "--every is '1 day'"),
        ({"at": None, "every": "1d"}, "--every is given without --at"),
        ({"features": "users.followers"}, "is the target and a feature"),
        ({"entity": "swipes", "at": "swiped_at", "target": "photo_labels.value"}, "has no photo_id"),
        ({"split": "1:1"}, "split"),
        ({"targt": "x"}, "'targt' is unknown"),
        ({"as_of": "soon"}, "as_of is soon"),
    ],
)
def test_what_cannot_be_used_is_named(shared, options, told):
    with pytest.raises(InputError, match=told):
        made(shared, **options)


@pytest.mark.parametrize("name", ["", "..", "a/b", "May", "1st", "a" * 64, "a b"])
def test_names_that_are_no_names(shared, name):
    with pytest.raises(InputError, match="cannot be called"):
        made(shared, name)


def test_a_file_of_the_project_gives_the_options_and_the_command_line_replaces_them():
    text = 'target = "a.b"\nfeatures = ["c.*", "d.e"]\nat = "valid_from"\naudit-instants = 3\n'
    options = from_toml(text, "training_sets/may.toml", {"target": "x.y"})
    assert options == TrainingSetOptions(target="x.y", features=("c.*", "d.e"), at="valid_from", audit_instants=3)
    with pytest.raises(InputError, match=r"training_sets/may.toml is not TOML"):
        from_toml("target = ", "training_sets/may.toml", {})
    with pytest.raises(InputError, match=r"training_sets/may.toml: features is .3"):
        from_toml("features = 3", "training_sets/may.toml", {})


@pytest.mark.parametrize("text", ["a = " + "[" * 900 + "]" * 900, "audit-instants = " + "9" * 5000])
def test_a_file_that_python_cannot_parse_is_an_error_in_words(text):
    with pytest.raises(InputError, match=r"training_sets/may.toml is n"):
        from_toml(text, "training_sets/may.toml", {})


def test_no_store_and_no_labels(tmp_path):
    db = empty(tmp_path)
    with pytest.raises(StoreError, match="There is no store"):
        create(within(db, {}), "may", TrainingSetOptions(target="users.followers", features="photos.width"))
    add_facts(db, users=[("u1", None)])
    with pytest.raises(StoreError, match="no labels yet"):
        create(within(db, {}), "may", TrainingSetOptions(target="users.followers", features="photos.width"))
