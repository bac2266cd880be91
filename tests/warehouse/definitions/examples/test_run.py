"""Examples run without a store, and see what a build would see."""

import pytest

from photogenic.warehouse import Store
from photogenic.warehouse.definitions.examples.run import run_examples
from photogenic.warehouse.errors import InputError
from tests.warehouse.definitions.own import project, received, sql_file
from tests.warehouse.small import store

RECENT = """
select
    cast(recipient_id as varchar) as user_id, -- who
    cast(count(*) as bigint) as n, -- swipes
    cast(avg(case when liked then 1 else 0 end) as double) as ratio -- ratio
from swipes
cross join clock
where date_diff('day', swiped_at, clock.observed_at) < $days
group by recipient_id
"""
CREDITED = """
select
    cast(photo_id as varchar) as photo_id, -- photo
    cast(count(*) as bigint) as n -- swipes
from photo_swipes
where reason = 'kept'
group by photo_id
"""
POPULAR = """
select
    cast(user_id as varchar) as user_id -- who
from received
where n_received >= $least
"""
NEAR = """
select
    cast(photo_id as varchar) as photo_id, -- photo
    cast(max(distance) as double) as farthest -- distance
from neighbours
where rank <= 2
group by photo_id
"""
RELATIONS = {
    "recent": sql_file("recent", RECENT, reads="swipes, clock", parameters="days = 28"),
    "credited": sql_file("credited", CREDITED, reads="photo_swipes", grain="photo_id", additive="photo_swipes"),
    "popular": sql_file("popular", POPULAR, reads="received", parameters="least = 2"),
    "near": sql_file("near", NEAR, reads="neighbours", grain="photo_id"),
    "received": received(),
}


@pytest.fixture
def run(tmp_path):
    def run(examples, names=(), relations=RELATIONS, **more):
        db = store(tmp_path)
        texts = {name: "\n".join(map(text, given)) for name, given in examples.items()}
        results = run_examples(Store(db, project=project(relations, examples=texts, **more)), names)
        assert not db.layout.root.exists()  # no store was made
        return results

    return run


def text(given):
    lines = ['[[example]]\nname = "one"']
    for key, value in given.items():
        lines.append(f"{key} = '''\n{value}\n'''" if "\n" in value else f"{key} = {value}")
    return "\n".join(lines)


def status(results):
    return [one.status for one in results]


def test_rows_are_counted_as_of_the_clock_with_parameters(run):
    swipes = (
        "recipient_id | liked | swiped_at\nann | true | 2024-01-02\nann | false | 2024-01-30\nann | true | 2024-02-02"
    )
    given = {"as_of": "2024-02-01", "swipes": swipes}
    results = run(
        {
            "recent": [
                given | {"expect": "user_id | n | ratio\nann | 1 | 0"},
                given | {"parameters": "{ days = 31 }", "expect": "user_id | n | ratio\nann | 2 | 0.5"},
                given | {"parameters": "{ days = 31 }", "tolerance": "0.1", "expect": "user_id | ratio\nann | 0.45"},
                {"swipes": swipes, "as_of": "2024-01-02", "expect": "user_id\n"},
            ]
        }
    )
    assert status(results) == ["passed"] * 4


def test_known_at_counts_what_had_arrived(run):
    swipes = "recipient_id | ingested_at\nann | 2024-01-02\nann | 2024-03-01\nann | NULL"
    (one,) = run(
        {"received": [{"known_at": "2024-02-01", "swipes": swipes, "expect": "user_id | n_received\nann | 2"}]}
    )
    assert one.status == "passed", one


def test_what_is_not_given_is_computed_from_what_is(run):
    (one,) = run(
        {
            "credited": [
                {
                    "users": "user_id | gender\nann | female\nbob | NULL",
                    "photos": "photo_id | user_id | hashtags\np1 | ann | [me, love]\np2 | ann | NULL",
                    "main_photos": "user_id | photo_id | set_at\nann | p1 | 2024-01-01\nann | p2 | 2024-01-03",
                    "swipes": "sender_id | recipient_id | liked | swiped_at\n"
                    "bob | ann | true | 2024-01-02\nbob | ann | true | 2024-01-04",
                    "expect": "photo_id | n\np2 | 1",
                }
            ]
        }
    )
    assert one.status == "passed", one


def test_a_relation_that_is_given_is_not_computed(run):
    results = run(
        {
            "credited": [
                {"photo_swipes": "photo_id | reason\np1 | kept\np1 | stale_photo", "expect": "photo_id | n\np1 | 1"}
            ],
            "popular": [
                {"received": "user_id | n_received\nann | 2\nbob | 1", "expect": "user_id\nann"},
                {"swipes": "recipient_id\nann\nann\nbob", "expect": "user_id\nann"},
                {"swipes": "recipient_id\nann", "parameters": "{ least = 1 }", "expect": "user_id\nann"},
            ],
            "near": [
                {
                    "neighbours": "photo_id | rank | distance\np1 | 1 | 0.25\np1 | 2 | 0.5\np1 | 3 | 0.75",
                    "expect": "photo_id | farthest\np1 | 0.5",
                }
            ],
        }
    )
    assert status(results) == ["passed"] * 5


def test_a_failure_says_how_the_rows_differ(run):
    one, other = run(
        {
            "received": [
                {"swipes": "recipient_id\nann\nann\ncid", "expect": "user_id | n_received\nann | 1\nbob | 1"},
                {"expect": "user_id\n"},
            ]
        }
    )
    assert (one.status, other.status) == ("failed", "passed")
    record = one.record()
    assert record["missing"] == [{"user_id": "bob", "n_received": 1}]
    assert record["extra"] == [{"user_id": "cid", "n_received": 1}]
    assert record["changed"] == [{"key": {"user_id": "ann"}, "values": {"n_received": {"expected": 1, "found": 2}}}]
    assert record["where"] == "/project/relations/received.examples.toml:1"


def test_a_computation_that_fails_is_an_error_of_its_example_alone(run):
    failing = RELATIONS["received"].replace("count(*)", "sum(cast(recipient_id as bigint))")
    results = run(
        {
            "received": [{"swipes": "recipient_id\nann", "expect": "user_id\n"}],
            "near": [{"expect": "photo_id\n"}],
            "recent": [{"parameters": "{ day = 3 }", "expect": "user_id\n"}],
        },
        relations=RELATIONS | {"received": failing},
    )
    assert [(one.relation, one.status) for one in results] == [
        ("near", "passed"),
        ("received", "error"),
        ("recent", "error"),
    ]
    assert "Could not convert string 'ann'" in results[1].error
    assert "day" in results[2].error


def test_rows_that_break_the_contract_are_an_error(run):
    twice = RELATIONS["received"].replace("group by recipient_id", "group by recipient_id, sender_id")
    swipes = "sender_id | recipient_id\nbob | ann\ncid | ann"
    (one,) = run({"received": [{"swipes": swipes, "expect": "user_id\nann\nann"}]}, relations={"received": twice})
    assert one.status == "error"
    assert "received has 2 rows with user_id = ann" in one.error


def test_a_broken_definition_fails_its_own_examples_and_those_that_compute_it(run):
    broken = RELATIONS | {"received": received().replace("from swipes", "from read_csv('/etc/passwd')")}
    examples = [
        {"swipes": "recipient_id\nann", "expect": "user_id\n"},
        {"received": "user_id | n_received\nann | 2", "expect": "user_id\nann"},
    ]
    results = run({"received": [{"expect": "user_id\n"}], "popular": examples[:1]}, relations=broken)
    assert status(results) == ["error", "error"]
    assert all("read_csv" in one.error for one in results)


def test_examples_cannot_read_files(run):
    reads = sql_file("reads", "select\n    cast(content as varchar) as user_id -- x\nfrom '/etc/passwd'", reads="none")
    (one,) = run({"reads": [{"expect": "user_id\n"}]}, relations={"reads": reads})
    assert one.status == "error"
    assert "passwd" in one.error


def test_names_and_files_that_cannot_be_used_are_refused(run):
    with pytest.raises(InputError, match="no relation recieved") as raised:
        run({}, ["recieved"])
    assert raised.value.remedy == "features test received"
    with pytest.raises(InputError, match="examples of recieved, which is no relation"):
        run({"recieved": [{"expect": "user_id\n"}]})
    with pytest.raises(InputError, match="no permission"):
        run({}, unreadable={"relations/received.examples.toml": "no permission"})
    assert run({}, ["received"]) == ()
    assert [
        one.relation for one in run({name: [{"expect": "user_id\n"}] for name in ("recent", "popular")}, ["popular"])
    ] == ["popular"]


def test_without_a_project_there_is_nothing_to_test(tmp_path):
    with pytest.raises(InputError, match="no project"):
        run_examples(Store(store(tmp_path)))
