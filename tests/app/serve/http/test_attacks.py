"""Attacks on the server, and the answer to each."""

import contextlib
import http.client
import select
import socket
import struct
import threading
import time
import zlib

import pytest

from photogenic.app.serve.http.errors import CODES
from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.http.server import make_guard
from photogenic.warehouse import InputError
from tests.app.serve.live_server import form, live_server

WRITES = [
    *("create table evil as select 1", "delete from facts.swipes"),
    "insert into facts.users select * from facts.users",
    "update facts.users set gender = 'female'",
    "drop view users",
    "alter table facts.users add column x integer",
]
REACHES = [
    "attach '{root}/warehouse.duckdb' as w",
    "from '{root}/snapshot.json'",
    "select * from read_text('{root}/snapshot.json')",
    "select * from read_csv('/etc/passwd')",
    "select * from read_blob('/etc/passwd')",
    "select * from glob('{root}/*')",
    "select * from parquet_scan('{root}/**/*.parquet')",
    "copy (select 1) to '{root}/evil.csv'",
    "copy facts.users from '/etc/passwd'",
    "export database '{root}/evil'",
    "select * from read_text('http://127.0.0.1:1/')",
    "attach 'https://example.org/x.db' as x",
    "install httpfs",
    "load httpfs",
    "create secret (type s3)",
]
SETTINGS = [
    "set enable_external_access = true",
    "set lock_configuration = false",
    "reset enable_external_access",
    "set memory_limit = '100GB'",
    "pragma enable_external_access = true",
    "set temp_directory = '/tmp'",
]
LOOPS = [
    "select count(*) from range(1000000000000) as a, range(1000000) as b",
    "with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t",
    "select levenshtein(repeat('a', 3000000), repeat('b', 3000000))",  # one call that cannot be interrupted
]
EATERS = [
    "select list(a.range) from range(1000000000) as a",
    "select length(repeat('x', 1000000000)) from range(100)",
]


@pytest.fixture(scope="module")
def strict_server(root):
    """A server with short time limits and little memory."""
    with live_server(root, limits=Limits(sql_s=3.0, body_s=2.0)) as server:
        yield server


@pytest.mark.parametrize("query", WRITES + REACHES + SETTINGS)
def test_sql_that_writes_or_uses_files_or_the_network_is_refused(server, root, query):
    before = {path.name for path in root.iterdir()}
    answer = server.sql(query.replace("{root}", str(root)))
    assert (answer.status, answer.code) == (400, "query_refused")
    assert {path.name for path in root.iterdir()} - {"thumbnails"} == before - {"thumbnails"}
    assert server.sql("select 1").json["rows"] == [[1]]


@pytest.mark.parametrize("query", LOOPS)
def test_sql_over_the_time_limit_is_stopped(strict_server, query):
    started = time.monotonic()
    answer = strict_server.sql(query)
    assert answer.code == "time_limit"
    assert time.monotonic() - started < 10
    assert strict_server.sql("select 1").json["rows"] == [[1]]


@pytest.mark.parametrize("query", EATERS)
def test_sql_over_the_memory_limit_is_stopped(strict_server, query):
    assert strict_server.sql(query).code in ("memory_limit", "time_limit")
    assert strict_server.sql("select 1").json["rows"] == [[1]]


def test_wide_rows_are_cut_at_the_byte_limit(server):
    answer = server.sql("select repeat('x', 100000) from range(10000)", limit=10_000)
    assert (answer.status, answer.json["cut"]) == (200, True)
    assert len(answer.body) < Limits().sql_bytes + 200_000


@pytest.mark.parametrize("where", ["true; drop view users", LOOPS[2] + " = 1", "1 = (select 1 from '/etc/passwd')"])
def test_search_predicates_have_the_same_limits(strict_server, portrait, where):
    answer = strict_server.post("/api/v1/similar", {"photo_id": portrait[0], "where": where})
    assert answer.code in ("query_refused", "time_limit")
    assert strict_server.post("/api/v1/similar", {"photo_id": portrait[0]}).status == 200


def test_a_disconnect_stops_the_query(server):
    body = b'{"query": "select count(*) from range(1000000000000) a, range(1000000) b"}'
    before = _gauge(server, "photogenic_sql_ended")
    with socket.create_connection(_address(server)) as leaving:
        head = f"POST /api/v1/sql HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: application/json\r\n"
        leaving.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        server.until("/api/v1/metrics", lambda answer: b"photogenic_sql_running 1" in answer.body, 2.5)
    server.until("/api/v1/metrics", lambda answer: b"photogenic_sql_running 0" in answer.body, 1.5)
    assert _gauge(server, "photogenic_sql_ended") == before + 1


def test_too_many_queries_are_refused(root):
    limits = Limits(sql_s=5.0, sql_at_once=1, sql_waiting=1)
    with live_server(root, limits=limits) as server:
        codes = []

        def ask():
            codes.append(server.sql(LOOPS[0]).code)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(codes) == ["busy", "busy", "time_limit", "time_limit"]


def test_a_download_over_the_time_limit_is_seen_to_be_incomplete(root):
    with live_server(root, limits=Limits(export_s=1.0)) as server, pytest.raises(http.client.IncompleteRead):
        server.get("/api/v1/sql/export?query=from+range(100000000000)&format=csv")


def test_slow_downloads_do_not_block_queries(root):
    with live_server(root, limits=Limits(sql_at_once=1)) as server, socket.create_connection(_address(server)) as slow:
        path = "/api/v1/sql/export?query=from+range(100000000000)&format=csv"
        slow.sendall(f"GET {path} HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
        server.until("/api/v1/metrics", lambda answer: b"photogenic_exports_running 1" in answer.body)
        assert server.sql("select 1").json["rows"] == [[1]]
        slow.close()
        server.until("/api/v1/metrics", lambda answer: b"photogenic_exports_running 0" in answer.body)


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/static/../../pyproject.toml",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static/",
        "/static",
        "/photos/..%2f..%2fetc%2fpasswd",
        "/api/v1/photos/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/photos/%2fetc%2fpasswd",
        "/thumbs/..%2f..%2fetc%2fpasswd",
        "/pictures/%2fetc%2fpasswd",
        "/photos/%00",
        "/app/serve/server.py",
        "/.git/config",
    ],
)
def test_no_path_leads_to_a_file(server, path):
    answer = server.get(path)
    assert answer.status == 404
    assert b"root:" not in answer.body


@pytest.mark.parametrize(
    "photo_id", ["/etc/passwd", "../../../etc/passwd", "snapshot.duckdb", "\0", "'; drop view users"]
)
def test_a_photo_id_is_never_a_path(server, photo_id):
    assert server.post("/api/v1/similar", {"photo_id": photo_id}).code == "not_found"
    told = server.post("/api/v1/features", {"photo_ids": [photo_id]}).json
    assert told["photos"][0]["status"] == "unknown_photo"


@pytest.mark.parametrize("name", ["..", "../models", "/etc", "dlib_face/..", "dlib_face\0"])
def test_names_of_encoders_and_runs_are_never_paths(server, portrait, name):
    assert server.post("/api/v1/similar", {"photo_id": portrait[0], "encoder": name}).code == "not_usable"
    assert server.post("/api/v1/features", {"photo_ids": ["p"], "encoder": name}).code == "not_usable"
    assert server.form("/api/v1/predict", [("a.jpg", portrait[1])], run=name).code == "not_found"


def _png(width, height):
    """Return a PNG of one color with a few bytes per row."""
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height, 9)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_not_decoded(server):
    bomb = _png(20_000, 20_000)
    assert len(bomb) < 100_000
    (told,) = server.form("/api/v1/predict", [("bomb.png", bomb)]).json["photos"]
    assert told["status"] == "too_large"
    assert server.form("/api/v1/similar", [("bomb.png", bomb)]).code == "not_usable"


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"GIF89a", b"<svg/>", b"%!PS-Adobe", b"\x89PNG\r\n\x1a\n" * 9])
def test_a_file_that_is_not_a_picture_gets_a_status(server, data):
    (told,) = server.form("/api/v1/predict", [("x.jpg", data)]).json["photos"]
    assert told["prediction"] is None
    assert told["status"] in {"empty", "not_an_image", "unsupported_format", "truncated", "unreadable"}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50), "unsupported_format"),
        (_png(70_000, 1), "too_large"),
        (_png(32_767, 1), "ok"),
    ],
    ids=["HEIC", "70,000 px", "32,767 px"],
)
def test_pictures_of_other_formats_and_of_long_sides(server, data, status):
    (told,) = server.form("/api/v1/predict", [("x.png", data)]).json["photos"]
    assert told["status"] in {status, "no_face"}
    assert server.ask("GET", "/api/v1/health").status == 200


def test_a_picture_of_too_many_bytes_is_refused(server):
    assert server.form("/api/v1/predict", [("big.jpg", b"\xff\xd8\xff" + bytes(3_000_000))]).code == "too_large"


def test_too_many_pictures_are_refused(server):
    assert server.form("/api/v1/predict", [(f"{at}.jpg", b"x") for at in range(4)]).code == "bad_request"


def test_a_body_of_50_MB_is_refused_before_it_is_read(server):
    with socket.create_connection(_address(server), timeout=10) as sock:
        head = (
            f"POST /api/v1/predict HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        )
        sock.sendall(f"{head}Content-Length: 50000000\r\n\r\n".encode())
        assert b" 413 " in sock.recv(1000)


@pytest.mark.parametrize(
    ("path", "kind"), [("sql", "application/json"), ("predict", "multipart/form-data; boundary=x")]
)
def test_a_chunked_body_of_50_MB_is_refused(server, path, kind):
    picture = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    piece, sent = b"x" * 100_000, 0
    with socket.create_connection(_address(server), timeout=10) as sock:
        head = f"POST /api/v1/{path} HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: {kind}\r\n"
        sock.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        sock.sendall(b"%x\r\n%b\r\n" % (len(picture), picture))
        with contextlib.suppress(ConnectionError):
            while sent < 50_000_000 and not select.select([sock], [], [], 0)[0]:
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                sent += len(piece)
        assert b" 413 " in sock.recv(1000)
    assert sent < 30_000_000, "more than what lay in buffers"


def test_a_long_json_body_is_refused(server):
    assert server.post("/api/v1/sql", b'{"query": "' + b" " * 2_000_000 + b'"}').code == "too_large"


def test_a_compressed_body_is_refused(server):
    data = zlib.compress(b'{"query": "' + b" " * 10**7 + b'"}')
    assert server.post("/api/v1/sql", data, **{"Content-Encoding": "deflate"}).code == "unsupported_type"


def test_a_slow_body_is_refused(strict_server):
    with socket.create_connection(_address(strict_server), timeout=10) as sock:
        head = f"POST /api/v1/sql HTTP/1.1\r\nHost: {strict_server.host}\r\nContent-Type: application/json\r\n"
        sock.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert b" 408 " in sock.recv(1000)


def test_a_connection_with_a_slow_head_is_closed(strict_server):
    started = time.monotonic()
    with socket.create_connection(_address(strict_server), timeout=10) as sock:
        sock.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: ")
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1000) == b""
    assert 1 < time.monotonic() - started < 8


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]", "169.254.169.254", ""]
)
def test_a_foreign_host_is_refused(server, host):
    answer = server.get("/api/v1/health", Host=host)
    assert (answer.status, answer.code) == (421, "wrong_host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_names_of_this_machine_are_accepted(server, host):
    assert server.get("/api/v1/health", Host=f"{host}:{server.host.rpartition(':')[2]}").status == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "file://"]
)
def test_a_foreign_origin_is_refused(server, origin):
    answer = server.post("/api/v1/sql", {"query": "select 1"}, Origin=origin)
    assert (answer.status, answer.code) == (403, "foreign_origin")


def test_the_origin_of_the_server_is_accepted(server):
    assert server.post("/api/v1/sql", {"query": "select 1"}, Origin=server.url).status == 200


def test_pictures_and_answers_are_not_for_other_sites(server):
    crossed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert server.ask("GET", "/api/v1/health", headers=crossed).code == "foreign_origin"


def test_a_form_of_another_site_is_refused(server):
    answer = server.ask("POST", "/api/v1/sql", b'{"query": "select 1"}', {"Content-Type": "text/plain"})
    assert answer.code == "unsupported_type"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"\xff", b'{"query": 1}', b'{"query": "select 1", "limit": true}', b'{"query": ""}'],
)
def test_bodies_that_do_not_match_the_description_are_refused(server, body):
    assert server.post("/api/v1/sql", body).code == "bad_request"


@pytest.mark.parametrize("data", [b"", b"--x", b"--x\r\nTrue--x--\r\n", b"--x\r\n\r\n\r\n--x--", b"garbage" * 100])
def test_broken_forms_are_refused(server, data):
    answer = server.ask("POST", "/api/v1/predict", data, {"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.code == "bad_request"
    assert server.ask("POST", "/api/v1/predict", data, {"Content-Type": "multipart/form-data"}).code == "bad_request"


def test_a_form_with_an_unknown_field_is_refused(server, portrait):
    data, kind = form([("a.jpg", portrait[1])], evil="1")
    assert server.ask("POST", "/api/v1/predict", data, {"Content-Type": kind}).code == "bad_request"


def test_every_answer_has_security_headers(server):
    for path in ("/api/v1/health", "/api/v1/nothing", "/api/v1/sql/export?query=select+1&format=csv"):
        headers = server.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"


# --- tokens

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture(scope="module")
def locked(root):
    with live_server(root, token=TOKEN) as server:
        yield server


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff"])
def test_requests_without_the_token_are_refused(locked, shown):
    answer = locked.get("/api/v1/health", Authorization=shown)
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert TOKEN not in answer.body.decode()


def test_requests_with_the_token_are_answered(locked):
    assert locked.get("/api/v1/health", Authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org"])
def test_a_token_is_required_beyond_loopback(host):
    with pytest.raises(InputError, match="other machines can connect"):
        make_guard(host, None)
    assert make_guard(host, TOKEN).token == TOKEN


def test_a_short_token_is_refused():
    with pytest.raises(InputError, match="5 characters"):
        make_guard("127.0.0.1", "short")


def test_all_codes_have_a_status_of_an_error():
    assert all(400 <= status < 600 for status, _ in CODES.values())


def _gauge(server, name):
    lines = server.get("/api/v1/metrics").body.decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def _address(server):
    host, port = server.host.split(":")
    return host, int(port)
