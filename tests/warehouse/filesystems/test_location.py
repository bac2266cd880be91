"""Folders and objects: what is read and written is whole, and errors are clear and without secrets."""

import pytest

from photogenic.warehouse import InputError, NetworkError
from photogenic.warehouse.filesystems import open_location
from tests.s3_server import Proxy

BODY = bytes(range(256)) * 100_000  # 25.6 MB: three requests of a block


@pytest.fixture(params=["local", "s3"])
def folder(request, tmp_path):
    if request.param == "local":
        return open_location(tmp_path / "folder")
    return open_location(request.getfixturevalue("bucket").address + "/folder")


def test_what_is_written_is_read_again(folder):
    with (folder / "a/b.bin").write() as file:
        file.write(BODY)
    with (folder / "a/b.bin").read() as stream:
        assert stream.read() == BODY
    assert [(entry.path, entry.bytes) for entry in folder.entries()] == [("a/b.bin", len(BODY))]
    assert (folder / "a/b.bin").find().bytes == len(BODY)


@pytest.mark.parametrize("name", ["a b.csv", "ü/ñ=1.csv", "q?x=1&y=%41#z", "100%"])
def test_names_with_odd_characters(folder, name):
    (folder / name).write_bytes(b"x")
    assert [entry.path for entry in folder.entries()] == [name]
    again = open_location((folder / name).name) if folder.kind == "objects" else folder / name
    assert again.read_bytes(10) == b"x"


def test_an_error_while_writing_leaves_the_earlier_file(folder):
    place = folder / "a.bin"
    place.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), place.write() as file:
        file.write(BODY)
        raise KeyboardInterrupt
    assert place.read_bytes(10) == b"old"
    assert [entry.path for entry in folder.entries()] == ["a.bin"]


def test_a_missing_file(folder):
    assert (folder / "none").find() is None
    assert folder.entries() == []
    with (
        pytest.raises(InputError, match=r"There is no .*none|none cannot be read: No such file"),
        (folder / "none").read(),
    ):
        pass
    (folder / "none").remove()


@pytest.mark.parametrize("times", [1, 2])
def test_a_connection_that_breaks_while_reading_is_taken_up(bucket, monkeypatch, times):
    bucket.put("a.bin", BODY)
    with Proxy(bucket.port, only=b"GET", cut_after=100_000, times=times) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with open_location(bucket.address + "/a.bin").read() as stream:
            assert stream.read() == BODY
    assert proxy.n_hurt == times


@pytest.mark.parametrize("hurt", [{"cut_after": 100_000}, {"hang": True}, {"cut_after": 0}, {"lie": 7}])
def test_a_connection_that_always_breaks_is_an_error(bucket, monkeypatch, hurt):
    bucket.put("a.bin", BODY[:1_000_000])
    with Proxy(bucket.port, only=b"GET", **hurt) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with open_location(bucket.address + "/a.bin").read() as stream, pytest.raises(NetworkError) as caught:
            stream.read()
    assert "a.bin cannot be read: " in str(caught.value)
    assert "the-secret" not in str(caught.value)


def test_a_connection_that_breaks_while_writing_leaves_the_earlier_object(bucket, monkeypatch):
    bucket.put("a.bin", b"old")
    with Proxy(bucket.port, only=b"PUT", cut_request_after=3_000_000, after=1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(NetworkError, match=r"a\.bin cannot be written"):
            (open_location(bucket.address) / "a.bin").write_bytes(BODY)
    assert bucket.get("a.bin") == b"old"


def test_a_server_that_is_not_there(bucket, monkeypatch):
    with Proxy(bucket.port) as proxy:
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    with pytest.raises(NetworkError, match="cannot be listed"):
        open_location(bucket.address).entries()


def test_a_missing_bucket(bucket):
    with pytest.raises(InputError, match=r"s3://no-such-bucket cannot be listed: the bucket does not exist"):
        open_location("s3://no-such-bucket").entries()
    with pytest.raises(InputError, match="cannot be written: the bucket does not exist"):
        open_location("s3://no-such-bucket/a").write_bytes(b"x")


@pytest.mark.parametrize("n", [50, 100, 200, 230])
@pytest.mark.parametrize("times", [1, None])
def test_an_answer_that_is_cut_in_its_head_is_not_taken_for_an_empty_one(bucket, monkeypatch, n, times):
    bucket.put("a.bin", BODY[:5_000])
    place = open_location(bucket.address)
    for only, work, expected in (
        (b"list-type", lambda place: [entry.path for entry in place.entries()], ["a.bin"]),
        (b"HEAD", lambda place: (place / "a.bin").find().bytes, 5_000),
        (b"HEAD", lambda place: (place / "a.bin").state()["Content-Length"], "5000"),
        (b"HEAD", lambda place: (place / "a.bin").read_bytes(9_000), BODY[:5_000]),
        (b"GET", lambda place: (place / "a.bin").read_bytes(9_000), BODY[:5_000]),
    ):
        if times is None and only != b"GET":
            continue
        with Proxy(bucket.port, only=only, cut_after=n, times=times) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
            place = open_location(bucket.address)
            if times is None:
                with pytest.raises(NetworkError):
                    work(place)
            else:
                assert work(place) == expected


def test_the_last_byte_of_a_block_may_be_any(folder):
    for last in (0x00, 0x59, 0x5A, 0xA5, 0xFF):
        (folder / "a.bin").write_bytes(b"x" + bytes([last]))
        assert (folder / "a.bin").read_bytes(2) == b"x" + bytes([last])


@pytest.mark.parametrize("step", ["..", ".", ""])
def test_steps_that_lead_to_another_bucket_are_refused(bucket, step):
    with pytest.raises(InputError, match="between slashes"):
        open_location(f"{bucket.address}/{step}/a" if step else f"{bucket.address}/a//b")
    with pytest.raises(InputError, match="between slashes"):
        open_location(bucket.address) / f"{step}/a"
