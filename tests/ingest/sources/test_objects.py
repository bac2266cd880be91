"""Objects of an object store as sources of rows: what is found, what is whole, and what is said of the rest."""

import re

import pytest

from photogenic import FeatureStore
from photogenic.ingest.sources import objects, opening
from photogenic.warehouse import InputError, NetworkError
from tests.s3_server import Proxy

SWIPE = "sender_id,recipient_id,liked,swiped_at\n{},b,1,2024-05-01\n"


@pytest.fixture
def store(tmp_path):
    with FeatureStore(tmp_path / "store") as opened:
        yield opened


def swipes(store):
    if not store.store.layout.snapshot.exists():
        return []
    return [row[0] for row in store.sql("select sender_id from facts.swipes order by all").rows()]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/in/a.csv", ["a"]),
        ("/in", ["a", "b", "c", "d"]),
        ("/in/", ["a", "b", "c", "d"]),
        ("/in/*.csv", ["a"]),
        ("/in/**/*.csv", ["a", "b", "c"]),
        ("/in/*/*.csv", ["b", "c"]),
        ("/in/month=2024-0[5]/?.csv", ["b"]),
        ("/in/month=2024-0[!5]/*", ["c", "d"]),
        ("/in/**/[a-d]*", ["a", "b", "c", "d"]),
    ],
)
def test_objects_folders_and_globs(bucket, store, given, expected):
    keys = {
        "in/a.csv": "a",
        "in/month=2024-05/b.csv": "b",
        "in/month=2024-06/c.csv": "c",
        "in/month=2024-06/d d.ndjson": None,
        "in/.hidden.csv": "x",
        "in/_SUCCESS": "x",
    }
    for key, sender in keys.items():
        bucket.put(
            key,
            SWIPE.format(sender)
            if sender
            else '{"sender_id":"d","recipient_id":"b","liked":true,"swiped_at":"2024-05-01"}',
        )
    bucket.put("in/folder/", b"")
    reports = store.ingest("swipes", bucket.address + given)
    assert swipes(store) == expected
    assert [report.n_new for report in reports] == [1] * len(expected)
    assert all(report.source.startswith(f"s3://{bucket.name}/in/") for report in reports)
    again = store.ingest("swipes", bucket.address + given)
    assert all(report.repeated for report in again)


def test_columns_of_folders(bucket, store):
    bucket.put("x/sender_id=a%20b/part.csv", "recipient_id,liked,swiped_at\nb,1,2024-05-01\n")
    store.ingest("swipes", bucket.address + "/x")
    assert swipes(store) == ["a b"]


@pytest.mark.parametrize("name", ["a b.csv", "ü=1/ñ.csv", "what?.csv", "a%41.csv", "[1].csv", "a+b&c.csv"])
def test_names_with_odd_characters(bucket, store, name):
    bucket.put(f"in/{name}", SWIPE.format("a"))
    (listed,) = objects.list_objects(bucket.address + "/in")
    (report,) = store.ingest("swipes", listed.name)
    assert (report.source, swipes(store)) == (listed.name, ["a"])


def test_names_that_cannot_be_asked_for_are_left_out_and_named(bucket, store):
    bucket.put("in/a.csv", SWIPE.format("a"))
    for key in ("in/x//b.csv", "in/../c.csv", "in/d.xyz"):
        bucket.put(key, SWIPE.format("b"))
    (report,) = store.ingest("swipes", bucket.address + "/in")
    assert swipes(store) == ["a"]
    notes = "; ".join(report.notes)
    assert "x//b.csv" in notes
    assert "../c.csv" in notes
    assert "of another format: d.xyz" in notes


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("/none", "There is no object s3://.*/none and none below it"),
        ("/none/*.csv", "No object matches 's3://.*/none/\\*.csv'"),
        ("/empty", "holds no object that can be read"),
        ("/zero.csv", "zero.csv"),
        ("?region=x&surprise=1", "has the unknown option surprise"),
    ],
)
def test_nothing_to_read_is_an_error(bucket, store, key, message):
    bucket.put("empty/a.xyz", b"x")
    bucket.put("zero.csv", b"")
    with pytest.raises(InputError, match=message):
        store.ingest("swipes", bucket.address + key)
    assert swipes(store) == []


def test_a_missing_bucket(bucket, store):
    with pytest.raises(InputError, match="the bucket does not exist"):
        store.ingest("swipes", "s3://no-such-bucket/in/*.csv")


DENIED = "<Error><Code>{}</Code><Message>No.</Message></Error>"


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("AccessDenied", 403, "access is denied"),
        ("InvalidAccessKeyId", 403, "does not accept the credentials"),
        ("SignatureDoesNotMatch", 403, "does not accept the credentials"),
    ],
)
def test_credentials_that_are_refused(bucket, store, monkeypatch, code, status, message):
    bucket.put("in/a.csv", SWIPE.format("a"))
    body = DENIED.format(code).encode()
    answer = b"HTTP/1.1 %d No\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )
    with Proxy(bucket.port, only=b"list-type", answer=answer) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(InputError, match=message) as caught:
            store.ingest("swipes", bucket.address + "/in")
    assert "the-secret" not in str(caught.value)
    assert swipes(store) == []


def test_secrets_in_an_address_are_not_shown(bucket, store, monkeypatch):
    bucket.put("in/a.csv", SWIPE.format("a"))
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    address = f"s3://key:a-secret@{bucket.name}/in/a.csv?endpoint_override=http://127.0.0.1:{bucket.port}&region=x"
    (report,) = store.ingest("swipes", address)
    assert report.source == f"s3://{bucket.name}/in/a.csv"
    with pytest.raises(InputError) as caught:
        store.ingest("swipes", address.replace("a.csv", "b.csv"))
    assert "a-secret" not in str(caught.value)
    assert "endpoint" not in str(caught.value)


def test_a_connection_that_breaks_always_leaves_the_store_as_it_was(bucket, store, monkeypatch):
    bucket.put("in/a.csv", SWIPE.format("a") + "x,y,1,2024-05-02\n" * 100_000)
    with Proxy(bucket.port, only=b"GET /" + bucket.name.encode() + b"/in/a.csv", cut_after=50_000) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(NetworkError, match=r"in/a\.csv cannot be read"):
            store.ingest("swipes", bucket.address + "/in/a.csv")
    assert swipes(store) == []
    assert not list(store.store.layout.spill.glob("*"))


def test_a_connection_that_breaks_in_a_later_group_keeps_the_earlier_groups(bucket, store, monkeypatch):
    monkeypatch.setattr(opening, "_GROUP_FILES", 2)
    for name in "abcde":
        bucket.put(f"in/{name}.csv", SWIPE.format(name))
    with Proxy(bucket.port, only=b"GET /" + bucket.name.encode() + b"/in/d.csv", cut_after=10) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(NetworkError, match=r"in/d\.csv cannot be read"):
            store.ingest("swipes", bucket.address + "/in")
    assert swipes(store) == ["a", "b"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bucket.port}")
    reports = store.ingest("swipes", bucket.address + "/in")
    assert [report.repeated for report in reports] == [True, True, False, False, False]
    assert swipes(store) == list("abcde")


def test_groups_hold_some_objects_at_a_time(bucket, store, monkeypatch):
    monkeypatch.setattr(opening, "_GROUP_BYTES", 2 * len(SWIPE))
    for number in range(6):
        bucket.put(f"in/{number}.csv", SWIPE.format(number))
    options = opening.SourceOptions()
    assert [len(group) for group in opening.group_sources([bucket.address + "/in"], options, in_parts=True)] == [
        2,
        2,
        2,
    ]
    assert len(opening.group_sources([bucket.address + "/in"], options, in_parts=False)) == 1
    assert len(store.ingest("swipes", bucket.address + "/in")) == 6
    assert swipes(store) == list("012345")


@pytest.mark.parametrize("text", [SWIPE.format("longer-than-before"), SWIPE.format("b")])
def test_an_object_that_is_replaced_while_it_is_read(bucket, store, monkeypatch, text):
    bucket.put("in/a.csv", SWIPE.format("a"))
    line = b"GET /" + bucket.name.encode() + b"/in/a.csv"
    with Proxy(bucket.port, only=line, times=1, called=lambda: bucket.put("in/a.csv", text)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises((InputError, NetworkError), match=r"changed while it was read|cannot be read|ended after"):
            store.ingest("swipes", bucket.address + "/in/a.csv")
    assert swipes(store) == []


def test_an_etag_that_looks_like_an_md5_and_is_none(bucket, store, monkeypatch):
    bucket.put("a.csv", SWIPE.format("a"))
    state = objects.Location.state
    monkeypatch.setattr(objects.Location, "state", lambda self: state(self) | {"ETag": f'"{"0" * 32}"'})
    (report,) = store.ingest("swipes", bucket.address + "/a.csv")
    assert report.n_new == 1


def test_many_objects_are_listed(bucket):
    for number in range(1_100):  # more than one page
        bucket.put(f"in/{number:04d}.csv", b"x")
    listed = objects.list_objects(bucket.address + "/in")
    assert [re.sub(r".*/", "", file.name) for file in listed] == [f"{number:04d}.csv" for number in range(1_100)]
    assert {file.n_bytes for file in listed} == {1}
    assert {file.state["size"] for file in listed} == {1}


@pytest.mark.thorough
def test_five_thousand_objects_are_listed(bucket):
    for number in range(5_000):
        bucket.put(f"in/{number:04d}.csv", b"x")
    assert len(objects.list_objects(bucket.address + "/in/*.csv")) == 5_000
