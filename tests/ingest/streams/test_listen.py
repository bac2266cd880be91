"""`listen` in this process: counts, positions, refusals, where it begins, and when it refuses to go on."""

import gzip
import json
import threading

import pytest
from PIL import Image

from photogenic import FeatureStore
from photogenic.ingest.streams.address import Address
from photogenic.ingest.streams.listeners import ListenerState, listening
from photogenic.ingest.streams.options import ListenOptions
from photogenic.ingest.streams.topic import Topic
from photogenic.warehouse import InputError, StoreError
from photogenic.warehouse.errors import LockedError
from tests.ingest.streams.events import swipe, swipes

END = ListenOptions(until_end=True, batch_seconds=0.2, batch_rows=700)


def listen(store, broker, topic, options=END, kind="swipes", **more):
    return store.listen(f"kafka://{broker.address}/{topic}", kind, options, **more)


@pytest.fixture
def store(tmp_path):
    with FeatureStore(tmp_path / "store") as opened:
        yield opened


def positions(store):
    with store.database.write("test") as con:
        rows = con.execute("select part, position from facts.source_positions order by part").fetchall()
    return {part: json.loads(value)["next"] for part, value in rows}


def count(store, relation="swipes"):
    return store.sql(f"select count(*) as n from {relation}")["n"][0]


def test_each_event_comes_once_in_batches_and_a_second_run_reads_nothing(store, broker, topic):
    broker.create(topic, 3)
    broker.send(topic, swipes(3000))
    report = listen(store, broker, topic)
    assert (report.n_read, report.n_new, report.n_refused) == (3000, 3000, 0)
    assert report.n_batches >= 4
    assert count(store) == 3000
    assert positions(store) == {"0": 1000, "1": 1000, "2": 1000}
    again = listen(store, broker, topic)
    assert (again.n_read, again.n_batches) == (0, 0)
    told = store.sql("select source, sum(n_read) as n, sum(n_new) as new from ingests group by source")
    assert told.rows() == [(f"kafka://{broker.address}/{topic}", 3000, 3000)]
    (state,) = store.status()["listeners"]
    assert (state["state"], state["lag"], state["process"]) == ("ended", 0, None)


def test_the_same_message_at_two_offsets_is_read_twice_and_known(store, broker, topic):
    broker.create(topic)
    broker.send(topic, [swipe(1)])
    listen(store, broker, topic)
    broker.send(topic, [swipe(1, liked=False)])
    listen(store, broker, topic)
    broker.send(topic, [swipe(1)])
    report = listen(store, broker, topic)
    assert (report.n_read, report.n_corrected + report.n_known) == (1, 1)
    assert count(store) == 1


def test_refused_messages_are_queryable_by_partition_and_offset(store, broker, topic):
    broker.create(topic, 2)
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    wrong = [
        None,
        b"no json",
        b"\xff\xfe{}",
        b"[1]",
        b'{"sender_id": "a"}',
        swipe(7, liked="perhaps"),
        swipe(8, sender_id={"id": 1}),
        b'{"event_id":"a","event_id":"b","sender_id":"x","recipient_id":"y","liked":true,"swiped_at":"2026-03-01"}',
        deep,
        b"\0" + swipe(9),
        b"",
    ]
    broker.send(topic, swipes(10), partition=0)
    broker.send(topic, wrong, partition=1)
    report = listen(store, broker, topic)
    assert (report.n_read, report.n_new, report.n_refused) == (21, 10, 11)
    rejects = store.sql("select line, reason, detail, source from rejects order by line")
    assert [(line, reason) for line, reason, _, _ in rejects.rows()] == [
        (0, "no_value"),
        (1, "bad_json"),
        (2, "bad_encoding"),
        (3, "bad_json"),
        (4, "no_recipient_id"),
        (5, "bad_liked"),
        (6, "nested_value"),
        (7, "repeated_key"),
        (8, "no_sender_id"),
        (9, "bad_json"),
        (10, "bad_json"),
    ]
    assert set(rejects["source"]) == {f"kafka://{broker.address}/{topic}"}
    assert rejects["detail"][5] == "partition 1: perhaps"
    assert rejects["detail"][0] == "partition 1"


def test_large_messages_are_refused_and_memory_stays_bounded(store, broker, topic):
    broker.create(topic)
    large = b'{"sender_id": "' + b"x" * (17 << 20) + b'"}'
    broker.send(topic, [*swipes(5), large], **{"compression.type": "gzip"})
    broker.send(topic, [swipe(6)])
    assert len(gzip.compress(large)) < 100_000
    report = listen(store, broker, topic)
    assert (report.n_new, dict(report.refused)) == (6, {"too_long": 1})
    (raw,) = store.sql("select raw from rejects")["raw"]
    assert len(raw) < 5000


def test_columns_that_no_first_message_has_are_an_error_and_later_ones_are_refused(store, broker, topic):
    broker.create(topic)
    broker.send(topic, [json.dumps({"who": "a", "whom": "b", "liked": True, "at": "2026-03-01T00:00:00Z"}).encode()])
    with pytest.raises(InputError, match="sender_id"):
        listen(store, broker, topic)
    assert positions(store) == {"0": 0}
    mapping = {"sender_id": "who", "recipient_id": "whom", "swiped_at": "at"}
    assert listen(store, broker, topic, mapping=mapping).n_new == 1
    broker.send(topic, [b'{"poison": 1}'])
    assert dict(listen(store, broker, topic, mapping=mapping).refused) == {"no_sender_id": 1}
    broker.send(topic, [b"only nonsense"])
    assert dict(listen(store, broker, topic, mapping=mapping).refused) == {"bad_json": 1}


def test_deleted_events_are_retracted(store, broker, topic):
    broker.create(topic)
    broker.send(topic, swipes(4))
    listen(store, broker, topic)
    broker.send(topic, [json.dumps({"event_id": "e00000002", "deleted": True}).encode()])
    assert listen(store, broker, topic).n_retracted == 1
    assert count(store) == 3


def test_a_first_start_may_begin_at_the_end_or_at_a_time(tmp_path, broker, topic):
    broker.create(topic)
    broker.send(topic, swipes(3))
    broker.send(topic, [swipe(3)])
    with FeatureStore(tmp_path / "latest") as latest:
        options = ListenOptions(until_end=True, start="latest")
        assert listen(latest, broker, topic, options).n_read == 0
        assert positions(latest) == {"0": 4}
        broker.send(topic, [swipe(4)])
        assert listen(latest, broker, topic, options).n_read == 1
    with FeatureStore(tmp_path / "times") as timed:
        options = ListenOptions(until_end=True, start="2026-01-01")
        assert listen(timed, broker, topic, options).n_read == 5
    with pytest.raises(InputError, match="--from is 'yesterday'"):
        listen(latest, broker, topic, ListenOptions(start="yesterday"))


def test_a_partition_that_was_added_is_read_from_its_beginning(store, broker, topic):
    broker.create(topic, 2)
    broker.send(topic, swipes(10))
    listen(store, broker, topic, ListenOptions(until_end=True, start="latest"))
    with store.database.write("test") as con:  # as if the topic had had one partition
        con.execute("delete from facts.source_positions where part = '1'")
    report = listen(store, broker, topic, ListenOptions(until_end=True, start="latest"))
    assert positions(store)["1"] == 5
    assert report.n_read >= 5


def test_a_topic_that_was_created_again_is_refused_until_told_to_start_over(store, broker, topic):
    broker.create(topic)
    broker.send(topic, swipes(10))
    listen(store, broker, topic)
    broker.delete(topic)
    broker.create(topic)
    broker.send(topic, swipes(25, start=5))
    with pytest.raises(InputError, match="created again") as refused:
        listen(store, broker, topic)
    assert "--start-over" in str(refused.value)
    assert (positions(store), count(store)) == ({"0": 10}, 10)
    report = listen(store, broker, topic, ListenOptions(until_end=True, start_over=True))
    assert (report.n_read, report.n_new, report.n_known) == (25, 20, 5)
    assert count(store) == 30


def test_the_topic_keeps_its_positions_behind_another_address(store, broker, topic):
    broker.create(topic)
    broker.send(topic, swipes(10))
    listen(store, broker, topic)
    broker.send(topic, [swipe(10)])
    report = store.listen(f"kafka://localhost:{broker.proxy.port}/{topic}", "swipes", END)
    assert (report.n_read, report.n_new) == (1, 1)


def test_a_store_that_was_put_back_meanwhile_gets_no_gap(store, broker, topic, monkeypatch):
    from photogenic.ingest.streams import listen as module

    broker.create(topic)
    broker.send(topic, swipes(10))
    listen(store, broker, topic)
    broker.send(topic, [swipe(10)])
    loaded = module.ingest

    def after_a_restore(*args, **options):
        with store.database.write("test") as con:
            moved = "replace(position, '\"next\": 10', '\"next\": 7')"
            con.execute(f"update facts.source_positions set position = {moved}")
        return loaded(*args, **options)

    monkeypatch.setattr(module, "ingest", after_a_restore)
    with pytest.raises(StoreError, match="stands at"):
        listen(store, broker, topic)
    monkeypatch.undo()
    assert count(store) == 10
    report = listen(store, broker, topic)
    assert (report.n_read, report.n_known, report.n_new) == (4, 3, 1)


def test_photos_with_pictures_that_leave_a_gap_are_not_taken_in(tmp_path, store, broker, topic, monkeypatch):
    from photogenic.ingest.streams import listen as module

    Image.new("RGB", (64, 64), (9, 99, 9)).save(tmp_path / "a.jpg")

    def photos(*numbers):
        rows = [{"photo_id": f"p{i}", "user_id": "u", "path": "a.jpg"} for i in numbers]
        broker.send(topic, [json.dumps(row).encode() for row in rows])

    broker.create(topic)
    photos(0, 1)
    listen(store, broker, topic, kind="photos", images=tmp_path)
    assert positions(store) == {"0": 2}
    photos(2)
    loaded = module.ingest

    def after_a_restore(*args, **options):
        with store.database.write("test") as con:
            moved = "replace(position, '\"next\": 2', '\"next\": 1')"
            con.execute(f"update facts.source_positions set position = {moved}")
        return loaded(*args, **options)

    monkeypatch.setattr(module, "ingest", after_a_restore)
    with pytest.raises(StoreError, match="stands at"):
        listen(store, broker, topic, kind="photos", images=tmp_path)
    monkeypatch.undo()
    report = listen(store, broker, topic, kind="photos", images=tmp_path)
    assert (report.n_read, report.n_known, report.n_new) == (2, 1, 1)
    assert positions(store) == {"0": 3}


def test_a_second_listener_of_a_topic_and_store_is_refused(store, broker, topic):
    broker.create(topic)
    address = Address.of(f"kafka://{broker.address}/{topic}")
    with (
        listening(store.layout, address, ListenerState(str(address), "swipes")),
        pytest.raises(LockedError, match="Another process listens"),
    ):
        listen(store, broker, topic)


def test_a_topic_that_is_absent_is_an_error(store, broker, topic):
    with pytest.raises(InputError, match=f"has no topic '{topic}'"):
        listen(store, broker, topic)


def test_a_listener_waits_for_the_writer_and_others_get_the_lock_between_batches(store, broker, topic, tmp_path):
    broker.create(topic)
    broker.send(topic, swipes(1200))
    free = threading.Event()
    done = []
    with FeatureStore(tmp_path / "store") as other:

        def run():
            with FeatureStore(tmp_path / "store") as own:
                done.append(listen(own, broker, topic, ListenOptions(until_end=True, batch_rows=100)))

        with other.database.write("build") as con:
            con.execute("create table facts.other (a integer)")
            thread = threading.Thread(target=run)
            thread.start()
            free.wait(1.0)
            assert not done
        (tmp_path / "users.csv").write_text("user_id,gender\nu1,female\n")
        other.ingest_users(tmp_path / "users.csv")
        assert thread.is_alive(), "the ingest should have come between two batches"
        thread.join(60)
    assert done[0].n_new == 1200


def test_offsets_that_the_broker_deleted_are_an_error_that_counts_them(store, monkeypatch):
    """librdkafka's own mock broker keeps the last 5 MB of a partition, and so has what Tansu has not: retention."""
    pytest.importorskip("confluent_kafka")
    from confluent_kafka import Producer

    monkeypatch.setattr(Topic, "topic_id", lambda _: None)  # it has no controller, which would be asked
    producer = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    address = f"kafka://{broker.host}:{broker.port}/swipes"

    def send(values):
        for value in values:
            producer.produce("swipes", value, partition=0)
        producer.flush()

    producer.list_topics("swipes", timeout=10)
    send(swipes(10))
    options = ListenOptions(until_end=True, batch_seconds=0.2)
    assert store.listen(address, "swipes", options).n_new == 10
    for _ in range(12):
        send([b"x" * 900_000])
    with pytest.raises(InputError, match=r"partition 0: the store continues at offset 10, .* were deleted") as gone:
        store.listen(address, "swipes", options)
    assert "--start-over" in str(gone.value)
    assert positions(store)["0"] == 10
