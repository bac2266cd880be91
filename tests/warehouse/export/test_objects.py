"""Exports to an object store: read by other clients, incremental, and whole when a connection breaks."""

from __future__ import annotations

import json

import deltalake
import lance
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest

from photogenic.warehouse.errors import PhotogenicError
from tests.s3_server import Proxy
from tests.warehouse.export.exporting import opened

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with_store = opened(tmp_path_factory.mktemp("exported"), n=4)
    yield with_store
    with_store.close()


def client(bucket):
    return fs.S3FileSystem(endpoint_override=f"http://127.0.0.1:{bucket.port}")


def items(bucket):
    with client(bucket).open_input_stream(f"{bucket.name}/out/_manifest.json") as file:
        return {item["name"]: item for item in json.loads(file.read())["items"]}


def rows_in(bucket, name):
    tables = [
        pq.read_table(f"{bucket.name}/out/{file['file']}", filesystem=client(bucket))
        for file in items(bucket)[name]["files"]
    ]
    return sum(table.num_rows for table in tables)


def test_parquet_is_read_from_the_bucket_and_former_files_are_gone(store, bucket):
    address = f"{bucket.address}/out"
    (done,) = store.export(
        to=address, query="select n, n % 2 as part from range(9) as r(n)", partition="part", verify=True
    )
    assert (done.n_rows, done.n_files, done.address) == (9, 2, f"{address}/query")
    store.export("users", to=address)
    assert (rows_in(bucket, "query"), rows_in(bucket, "users")) == (9, 4)
    before = bucket.keys()
    (same,) = store.export("users", to=address, verify=True)
    assert same.state == "unchanged"
    assert bucket.keys() == before
    store.export(to=address, query="select n, n % 2 as part from range(8) as r(n)", partition="part")
    listed = {f"out/{file['file']}" for item in items(bucket).values() for file in item["files"]}
    there = {key for key in sorted(bucket.keys()) if not key.endswith("/")}  # pyarrow keeps empty objects for folders
    assert there == listed | {"out/_manifest.json"}
    assert rows_in(bucket, "query") == 8


def test_delta_and_lance_write_to_the_bucket(store, bucket):
    for form in ("delta", "lance"):
        store.export("users", to=f"{bucket.address}/{form}", format=form, verify=True)
        (again,) = store.export("users", to=f"{bucket.address}/{form}", format=form)
        assert again.state == "unchanged"
    options = {"aws_endpoint": f"http://127.0.0.1:{bucket.port}", "allow_http": "true"}
    assert deltalake.DeltaTable(f"{bucket.address}/delta/users").to_pyarrow_table().num_rows == 4
    assert lance.dataset(f"{bucket.address}/lance/users.lance", storage_options=options).count_rows() == 4


@pytest.mark.parametrize("form", ["parquet", "delta", "lance"])
def test_keys_in_the_address_are_used_and_never_shown(store, bucket, monkeypatch, tmp_path, form):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP", "AWS_REGION"):
        monkeypatch.delenv(name)
    place = f"{bucket.name}/out?endpoint_override=http://127.0.0.1:{bucket.port}&region=us-east-1"
    (done,) = store.export("users", to=f"s3://test:the-secret-of-the-tests@{place}", format=form, verify=True)
    assert done.address.startswith(f"{bucket.address}/out/users")
    gone = place.replace(bucket.name, f"{bucket.name}-gone")
    with pytest.raises(PhotogenicError) as caught:
        store.export("users", to=f"s3a://test:the-secret-of-the-tests@{gone}", format=form)
    assert "the-secret" not in str(caught.value)
    assert b"the-secret" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_folder_with_other_objects_is_refused(store, bucket):
    bucket.put("out/thesis.txt", b"years of work")
    with pytest.raises(PhotogenicError, match=r"holds something .* thesis\.txt"):
        store.export("users", to=f"{bucket.address}/out")
    assert bucket.keys() == ["out/thesis.txt"]


@pytest.mark.parametrize(
    "hurt",
    [
        {"cut_request_after": 300},  # while the first file is uploaded
        {"answer": UNAVAILABLE},
        {"answer": UNAVAILABLE, "after": 1},  # the file is there, and the manifest is not
    ],
)
def test_a_connection_that_breaks_leaves_the_former_export(store, bucket, monkeypatch, hurt):
    address = f"{bucket.address}/out"
    store.export(to=address, query="from range(5)")
    with Proxy(bucket.port, only=b"PUT", **hurt) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(PhotogenicError) as caught:
            store.export(to=address, query="from range(6)")
        assert proxy.n_hurt
        assert "secret" not in str(caught.value)
        assert rows_in(bucket, "query") == 5
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bucket.port}")
    store.export(to=address, query="from range(6)", verify=True)
    assert rows_in(bucket, "query") == 6
