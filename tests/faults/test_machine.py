"""Too little memory, two writers, a clock that is set back: one clear error or none, and the same answers."""

from __future__ import annotations

import json

import pytest

from tests.faults.conftest import BUILD, plain

YEAR = 365 * 86_400.0


@pytest.mark.parametrize("limit", ["4MB", "24MB"])
def test_a_build_over_its_memory_ends_in_order(limit, zygote, copy, ingested, asked):
    store = copy(ingested)
    before = asked("answers", store)["sql"]
    ended = zygote.run("build", "--only", "labels", "--store", store, environment={"FEATURES_MEMORY_LIMIT": limit})
    assert plain(ended), ended.err
    if ended.code:
        assert "FEATURES_MEMORY_LIMIT" in ended.err
        assert asked("answers", store)["sql"] == before
    assert limit != "4MB" or ended.code
    assert zygote.run("build", "--only", "labels", "--store", store).code == 0
    assert not [one for one in asked("doctor", store, "thorough").items() if one[1][0] == "fault"]


def test_a_query_over_its_memory_is_refused(zygote, built):
    query = (
        "select count(*) from (select distinct a.swiped_at, b.sender_id, c.sender_id from swipes a, swipes b, swipes c)"
    )
    ended = zygote.run("sql", query, "--store", built, environment={"FEATURES_MEMORY_LIMIT": "50MB"})
    assert ended.code == 1
    assert "FEATURES_MEMORY_LIMIT" in ended.err
    assert plain(ended)


def test_two_writers_take_turns(zygote, copy, ingested, world, asked):
    store = copy(ingested)
    first, second = (zygote.start(*BUILD, "--store", store) for _ in range(2))
    ended = [zygote.ended(pid) for pid in (first, second)]
    assert [one.code for one in ended] == [0, 0], ended
    assert asked("doctor", store, "thorough")["snapshot"][0] == "ok"


def test_a_writer_with_a_short_timeout_names_the_holder(zygote, copy, ingested):
    store = copy(ingested)
    holding = zygote.start(store, "2", call="tests.faults.test_machine:hold")
    for _ in range(50):
        ended = zygote.run("build", "--store", store, environment={"FEATURES_LOCK_TIMEOUT": "0"})
        if "is being written" in ended.err:
            break
    assert ended.code == 1
    assert "`features test`" in ended.err
    zygote.kill(holding)
    zygote.ended(holding)
    assert zygote.run("build", "--only", "labels", "--store", store).code == 0


def hold(root, seconds):
    """Hold the lock of the writer for a while."""
    import time

    from photogenic import FeatureStore

    with FeatureStore(root).database.lock("features test"):
        time.sleep(float(seconds) * 30)


def test_a_clock_that_goes_backwards_changes_no_answer(zygote, copy, built, world, asked):
    """The clock is set back by a year between two ingests: the last arrival still counts, and builds stay in order."""
    straight, turned = copy(), copy()
    more = built.parent / "later.csv"
    more.write_text("user_id,gender\nu000001,other\nu000002,other\n")
    for store, clock in ((straight, 0.0), (turned, -YEAR)):
        for words in (("ingest", "users", more), BUILD):
            ended = zygote.run(*words, "--store", store, clock_s=clock)
            assert ended.code == 0, ended.err
    assert asked("answers", turned) == asked("answers", straight)
    gender = asked(
        "rows", turned, "select user_id, gender from users where user_id in ('u000001', 'u000002') order by 1"
    )
    assert gender == [["u000001", "other"], ["u000002", "other"]]
    last = "select kind from facts.ingests order by ingested_at desc limit 1"
    assert asked("rows", turned, last) == [["users"]]
    assert asked("doctor", turned, "thorough")["labels"][0] == "ok"
    ended = zygote.run("build", "--plan", "--store", turned, clock_s=-YEAR)
    assert ended.code == 0, ended.err
    assert json.dumps(asked("doctor", turned, "thorough")).count('"fault"') == 0


def test_a_lock_of_the_future_is_a_lock_like_any_other(zygote, copy, built, asked):
    store = copy()
    assert zygote.run("build", "--only", "labels", "--force", "--store", store, clock_s=YEAR).code == 0
    ended = zygote.run("build", "--only", "labels", "--store", store)
    assert ended.code == 0, ended.err
    assert "ahead" not in ended.err
    assert zygote.run("status", "--store", store).code == 0
