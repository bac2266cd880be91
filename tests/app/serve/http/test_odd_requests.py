"""Unusual requests and requests caused by other sites: errors have one shape and are never a 500."""

import socket
import time
import urllib.parse

import pytest

from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.http.login_throttle import LoginThrottle
from tests.app.serve.live_server import live_server

HEADERS = ["Origin", "Cookie", "Authorization", "Content-Type", "Accept", "Range", "If-None-Match", "If-Modified-Since"]
HEADERS += ["Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Referer", "Content-Encoding", "X-Forwarded-Proto"]
HEADERS += ["Expect", "Host", "Content-Length", "Transfer-Encoding"]
VALUES = [
    b"http://[",
    b"\xff\xfe",
    b"",
    b"photogenic=\xff\xfe",
    b"Bearer \xff",
    b"multipart/form-data; boundary=\xff",
    b"[::1",
]


def raw(server, data):
    host, port = server.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(data)
        got = b""
        while part := sock.recv(65_536):
            got += part
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.lower(), body


@pytest.mark.parametrize("name", HEADERS)
def test_unusual_headers_cause_no_server_error(server, name, caplog):
    for method, path in (("GET", "/api/v1/health"), ("GET", "/"), ("POST", "/api/v1/predict"), ("POST", "/login")):
        for value in VALUES:
            host = b"" if name == "Host" else f"Host: {server.host}\r\n".encode()
            length = b"" if name == "Content-Length" or method == "GET" else b"Content-Length: 0\r\n"
            line = name.encode() + b": " + value + b"\r\n"
            request = f"{method} {path} HTTP/1.1\r\n".encode() + host + length + line + b"Connection: close\r\n\r\n"
            status, head, body = raw(server, request)
            assert status < 500, (value, path, body)
            if status >= 400 and b"text/html" not in head:
                assert body.startswith(b'{"code":'), (value, body)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("request_line", "header", "status"),
    [("FOO /api/v1/health", "X: y", 400), ("GET /api/v1/health", "Expect: bogus", 417), ("GET /", "X y", 400)],
)
def test_errors_of_aiohttp_have_the_shape_of_the_api(server, request_line, header, status):
    found, head, body = raw(
        server, f"{request_line} HTTP/1.1\r\nHost: {server.host}\r\n{header}\r\nConnection: close\r\n\r\n".encode()
    )
    assert found == status
    assert b"application/json" in head
    assert body.startswith(b'{"code":')


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1/health", "/api/v1/runs", "/api/v1/sql/export?query=from+range(9)&format=csv"]
)
def test_head_is_supported_wherever_get_is(server, path):
    answer = server.ask("HEAD", path)
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    "path", ["/api/v1/health", "/api/v1/sql/export?query=select+1&format=csv", "/static/style.css"]
)
@pytest.mark.parametrize(
    "said",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Referer": "https://evil.example/"},
    ],
)
def test_links_of_other_sites_lead_to_pages_only(server, path, said):
    assert server.ask("GET", path, headers=said).code == "foreign_origin"
    assert server.ask("GET", "/api", headers=said).status == 200


def test_pages_cannot_be_framed_by_another_site(server):
    said = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert server.ask("GET", "/", headers=said).status == 403


def test_repeated_names_are_refused(server):
    assert server.post("/api/v1/sql", b'{"query": "select 1", "query": "select 2"}').code == "bad_request"
    assert server.post("/api/v1/sql", b'{"query": "select \'a:b\'", "limit": 1}').status == 200
    assert server.get("/api/v1/gallery?limit=1&limit=2").code == "bad_request"


def test_no_answer_contains_a_folder_of_the_machine(server, root):
    for path in ("/api/v1/store", "/api/v1/health", "/api/openapi.json", "/store", "/api/v1/metrics"):
        assert str(root.parent) not in server.get(path).body.decode()
    assert server.get("/api/v1/store").json["store"] == root.name


def test_a_client_that_does_not_read_is_disconnected(root):
    limits = Limits(sql_at_once=1, unread_s=1.0)
    query = urllib.parse.quote("select a.range, repeat('x', 1000) from range(100000000) a")
    with live_server(root, limits=limits) as server:
        host, port = server.host.split(":")
        with socket.create_connection((host, int(port))) as idle:
            path = f"/api/v1/sql/export?query={query}&format=csv"
            idle.sendall(f"GET {path} HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
            server.until("/api/v1/metrics", lambda answer: b"photogenic_exports_running 1" in answer.body)
            server.until("/api/v1/metrics", lambda answer: b"photogenic_exports_running 0" in answer.body, 8.0)


def test_answers_to_wrong_tokens_are_delayed_and_others_are_not(root):
    with live_server(root, token="a-token-that-nobody-guesses", limits=Limits(wrong_token_s=0.3)) as server:
        started = time.monotonic()
        for _ in range(3):
            assert server.get("/api/v1/health", Authorization="Bearer wrong").code == "unauthorized"
        assert time.monotonic() - started > 0.5
        started = time.monotonic()
        assert server.get("/api/v1/health", Authorization="Bearer a-token-that-nobody-guesses").status == 200
        assert time.monotonic() - started < 0.3


def test_the_login_throttle_is_bounded_and_expires():
    now = [0.0]
    patience = LoginThrottle(2.0, lambda: now[0])
    assert [patience.record_failure("10.0.0.1") for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert patience.record_failure("10.0.0.2") == 0.1
    assert patience.record_failure("2001:db8::1") < patience.record_failure("2001:db8::2")
    for n in range(5_000):
        patience.record_failure(f"10.1.{n // 256}.{n % 256}")
    assert len(patience._wrong) == 1_024
    now[0] = 100.0
    assert patience.record_failure("10.1.19.135") == 0.1
