"""Erase people whom own relations and their definitions hold."""

import shutil

import pytest

from photogenic.maintenance.erase.erase import erase
from photogenic.maintenance.erase.purge import purge
from photogenic.warehouse import Database, Layout, Store
from photogenic.warehouse.labels.build import build_labels
from tests.scanner import found
from tests.warehouse.definitions.own import audit_file, received, sql_file, within
from tests.warehouse.small import SETTINGS, add_facts, ask, store

PERSON, OTHER = "kilroy-42", "hanna-77"
NICK = """
select
    cast('by ' || sender_id as varchar) as told, -- a text that is no id
    cast(list_sort(list(distinct recipient_id)) as varchar[]) as whom -- all of them
from swipes
group by sender_id
"""
LITERAL = f"select cast(user_id as varchar) as user_id -- who, but not {PERSON}\nfrom users where user_id <> '{PERSON}'"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    db = store(tmp_path_factory.mktemp("own"))
    add_facts(
        db,
        users=[(PERSON, "female"), (OTHER, "male"), ("2", "male"), ("swipes", "female")],
        photos=[("photo-of-kilroy", PERSON), ("photo-of-hanna", OTHER)],
        main_photos=[(PERSON, "photo-of-kilroy", 1), (OTHER, "photo-of-hanna", 1)],
        swipes=[(OTHER, PERSON, True, 2), (PERSON, OTHER, False, 3), ("2", OTHER, True, 4), ("swipes", OTHER, True, 5)],
    )
    return db


RELATIONS = {
    "received": received(),
    "nick": sql_file("nick", NICK, reads="swipes", grain="told"),
    "others": sql_file("others", LITERAL, reads="users"),
    "brittle": sql_file(
        "brittle",
        "select cast(case when count(*) < 4 then error('too few') else max(sender_id) end as varchar) as who -- x\n"
        "from swipes",
        reads="swipes",
        grain="one row",
    ),
    "many": sql_file(
        "many",
        "select cast(count(*) as bigint) as n -- swipes\nfrom swipes\nhaving count(*) <> 2",
        reads="swipes",
        grain="n",
    ),
}
AUDITS = {"no_kilroy": audit_file("no_kilroy", f"select 1 from others where user_id = '{PERSON}'", reads="others")}


@pytest.fixture
def db(made, tmp_path):
    shutil.copytree(made.layout.root, tmp_path / "store")
    db = Database(Layout(tmp_path / "store"), SETTINGS)
    built = build_labels(within(db, RELATIONS, AUDITS)).own.relations
    assert {one.action for one in built} == {"computed"}, [one.error for one in built]
    return db


def traces(db, *ids):
    """Return the files that have one of these ids."""
    return set().union(*found(db.layout.root, {id_: [id_.encode()] for id_ in ids}).values())


def test_nothing_of_an_erased_person_is_left_in_own_relations_or_their_definitions(db):
    (receipt,) = erase(Store(db), [PERSON])
    assert receipt.counts["own_relations.definition"] == 1
    assert traces(db, PERSON, "photo-of-kilroy") == set()
    assert ask(db, "from received order by all") == [(OTHER, 2)]
    assert ask(db, "from nick order by all") == [("by 2", [OTHER]), ("by swipes", [OTHER])]
    assert ask(db, "select count(*) from others") == [(3,)]
    ((text,),) = ask(db, "select definition from facts.own_relations where relation = 'others'")
    assert "-- who, but not (erased)" in text
    assert "user_id <> '(erased)'" in text


def test_a_relation_that_cannot_be_computed_without_the_person_is_emptied(db):
    erase(Store(db), [PERSON])
    assert ask(db, "from brittle") == []
    assert ask(db, "select status, error from own_relations where relation = 'brittle'")[0][0] == "failed"
    add_facts(db, swipes=[(OTHER, "2", True, n) for n in (6, 7)], arrived=30)
    build_labels(Store(db))
    assert ask(db, "select count(*) from brittle") == [(1,)]


def test_short_ids_and_names_of_relations_do_not_break_definitions(db):
    erase(Store(db), ["2", "swipes"])
    texts = dict(ask(db, "select relation, definition from facts.own_relations"))
    assert texts == RELATIONS
    statuses = dict(ask(db, "select relation, status from own_relations"))
    assert statuses.pop("brittle") == "failed"
    assert set(statuses.values()) == {"ok"}
    assert ask(db, "select count(*) from many") == [(0,)]


def test_a_definition_that_names_an_erased_person_does_not_come_back(db):
    erase(Store(db), [PERSON])
    report = build_labels(within(db, RELATIONS, AUDITS)).own
    assert {one.name for one in report.relations if one.action == "failed"} == {"others", "brittle"}
    (error,) = [one.error for one in report.relations if one.name == "others"]
    assert "relations/others.sql names an erased person" in error
    assert "names an erased person" in report.audits["no_kilroy"]
    assert traces(db, PERSON) == set()


def test_a_purge_computes_own_relations_again(db):
    listed = sql_file(
        "listed", "select cast(photo_id as varchar) as name -- x\nfrom photos", reads="photos", grain="name"
    )
    build_labels(within(db, {"listed": listed}))
    with db.write("test") as con:
        con.execute(
            "insert into facts.photos by name select * replace (timestamp '2024-01-02 12:00' as ingested_at,"
            " timestamp '2024-01-01 12:00' as deleted_at) from facts.photos where user_id = $1",
            [PERSON],
        )
    purge(Store(db), ["photo-of-kilroy"])
    assert ask(db, "from listed") == [("photo-of-hanna",)]


SHOWN = """
select
    cast(photo_id as varchar) as photo_id, -- the photo
    cast(user_id as varchar) as user_id -- its owner
from photos
"""
NEWEST = """
select
    cast(user_id as varchar) as who_id, -- the owner
    cast(max(photo_id) as varchar) as newest_id -- a photo, in a column whose name does not tell it
from photos
group by user_id
"""


@pytest.mark.parametrize("kind", ["", "number-"])
def test_an_id_that_the_photo_of_another_or_a_user_who_stays_has_too(tmp_path, kind):
    """Users and photos are numbered alike: the erased user 1 had photo 2, and user 2, who stays, has photo 1."""
    one, two, three, last = (f"{kind}{n}" for n in (1, 2, 3, 30))
    db = store(tmp_path)
    add_facts(
        db,
        users=[(one, "female"), (two, "male"), (three, "male")],
        photos=[(two, one), (one, two), (last, three)],
        main_photos=[(one, two, 1), (two, one, 1)],
        swipes=[(one, two, True, 2), (two, one, False, 3), (three, two, True, 4)],
    )
    relations = {
        "shown": sql_file("shown", SHOWN, reads="photos", grain="photo_id"),
        "newest": sql_file("newest", NEWEST, reads="photos", grain="who_id"),
        "received": received(),
    }
    build_labels(within(db, relations))
    erase(Store(db), [one])
    assert set(ask(db, "select status, error from own_relations")) == {("ok", None)}
    assert ask(db, "select photo_id, user_id from photos order by all") == [(one, two), (last, three)]
    assert ask(db, "from shown order by all") == [(one, two), (last, three)]
    assert ask(db, "from newest order by all") == [(two, one), (three, last)]
    assert ask(db, "from received") == [(two, 1)]
