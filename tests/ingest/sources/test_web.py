"""Files of web servers as sources: whole or not at all, and no redirect into the own network."""

import http.server
import re
import threading

import pytest

from photogenic.ingest.options import SourceOptions
from photogenic.ingest.readers.input_files import Spool
from photogenic.ingest.sources import web
from photogenic.ingest.sources.objects import open_source
from photogenic.warehouse import InputError, NetworkError, StoreError
from tests.s3_server import Proxy

BODY = b"sender_id,recipient_id,liked,swiped_at\n" + b"a,b,1,2024-05-01\n" * 20_000


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the body; the path says how."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.seen.append((self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        path = self.path.partition("?")[0]
        if path.startswith("/to/"):
            return self.answer(302, b"", Location=server.target)
        if path.startswith("/status/"):
            return self.answer(int(path.rpartition("/")[2]), b"no")
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        told = {"ETag": f'"{server.version}"'} if "plain" not in path else {}
        if wanted and self.headers.get("If-Range") == told.get("ETag"):
            start = int(wanted[1])
            told["Content-Range"] = f"bytes {start}-{len(server.body) - 1}/{len(server.body)}"
        return self.answer(206 if start else 200, server.body[start:], **told)

    def answer(self, code, body, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("FEATURES_NETWORK_TIMEOUT", "1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.seen, made.version, made.body, made.target = [], 1, BODY, ""
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def read(tmp_path):
    def read(address):
        with Spool(tmp_path / "spill") as spool:
            (file,) = open_source(address, spool, SourceOptions())
            return file, file.path.read_bytes()

    return read


def address(port, path="/a.csv"):
    return f"http://127.0.0.1:{port}{path}"


def test_a_file_of_a_host_that_is_named_is_read(server, read):
    file, data = read(address(server.server_port, "/a.csv?signature=a-secret"))
    assert data == BODY
    assert file.name == address(server.server_port)
    assert not file.is_stream
    assert read(address(server.server_port, "/download"))[0].is_stream, "its name does not show its format"


def test_user_and_password_are_sent_and_not_shown(server, read):
    file, _ = read(f"http://me:a-secret@127.0.0.1:{server.server_port}/a.csv")
    assert file.name == address(server.server_port)
    assert server.seen[0][2].startswith("Basic ")


def test_a_connection_that_breaks_is_taken_up_by_a_range(server, read):
    with Proxy(server.server_port, cut_after=100_000, times=2) as proxy:
        assert read(address(proxy.port))[1] == BODY
    ranges = [seen[1] for seen in server.seen]
    assert ranges[0] is None
    assert all(re.fullmatch(r"bytes=\d+-", one) for one in ranges[1:])


def test_a_file_without_a_version_is_read_again_from_its_beginning(server, read):
    with Proxy(server.server_port, cut_after=100_000, times=2) as proxy:
        assert read(address(proxy.port, "/plain.csv"))[1] == BODY
    assert [seen[1] for seen in server.seen] == [None, None, None]


def test_a_file_that_is_replaced_between_two_attempts_is_read_whole(server, read):
    other = BODY[:-18]
    with Proxy(server.server_port, cut_after=100_000, times=1) as proxy:
        take = Handler.answer

        def answer(self, code, body, **headers):
            take(self, code, body, **headers)
            server.version, server.body = 2, other

        Handler.answer = answer
        try:
            assert read(address(proxy.port))[1] == other
        finally:
            Handler.answer = take
    assert [bool(seen[1]) for seen in server.seen] == [False, True]


@pytest.mark.parametrize(
    ("hurt", "message"),
    [
        ({"cut_after": 100_000}, "the connection broke after|it ended after"),
        ({"lie": 7}, "the connection broke after|it ended after"),
        ({"hang": True}, "the server sent nothing for 1 seconds"),
        ({"answer": b"garbage\r\n\r\n"}, "closed the connection, or sent no valid answer"),
    ],
)
def test_a_connection_that_always_breaks_is_an_error(server, read, monkeypatch, hurt, message):
    monkeypatch.setattr(web, "_ATTEMPTS", 2)
    with Proxy(server.server_port, **hurt) as proxy, pytest.raises(NetworkError, match=message) as caught:
        read(address(proxy.port, "/plain.csv?token=a-secret"))
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/status/404", InputError, "There is no http"),
        ("/status/403", InputError, "may not be read: HTTP 403"),
        ("/status/418", InputError, "cannot be read: HTTP 418"),
        ("/status/503", NetworkError, "the server answered HTTP 503"),
    ],
)
def test_answers_that_are_errors(server, read, monkeypatch, path, error, message):
    monkeypatch.setattr(web, "_ATTEMPTS", 2)
    with pytest.raises(error, match=message):
        read(address(server.server_port, path))


def test_redirects(server, read):
    server.target = address(server.server_port)
    assert read(address(server.server_port, "/to/"))[1] == BODY, "to the same server"
    with Proxy(server.server_port) as proxy:
        server.target = address(proxy.port)
        with pytest.raises(InputError, match=r"redirects to 127\.0\.0\.1, which is not public"):
            read(f"http://me:a-secret@127.0.0.1:{server.server_port}/to/")
        assert proxy.lines == []
    for target in ("file:///etc/passwd", "http://169.254.169.254/latest", "", "http://[", "gopher://x/"):
        server.target = target
        with pytest.raises(InputError, match="redirects"):
            read(address(server.server_port, "/to/"))
    server.target = address(server.server_port, "/to/again")
    with pytest.raises(InputError, match="more than 5 times"):
        read(address(server.server_port, "/to/"))


@pytest.mark.parametrize("given", ["http://169.254.169.254/latest/meta-data", "http://100.100.100.200/x"])
def test_services_of_metadata_are_never_read(read, given):
    with pytest.raises(InputError, match="has an address that is never read"):
        read(given)


@pytest.mark.parametrize("given", ["https:///a.csv", "https://host/a b.csv", "https://host:x/a.csv"])
def test_addresses_that_are_none(read, given):
    with pytest.raises(InputError, match="is no address of a web server"):
        read(given)


def test_a_file_larger_than_the_disk_is_refused_at_once(server, read, monkeypatch):
    monkeypatch.setattr(web, "_KEPT_FREE", 1 << 60)
    with pytest.raises(StoreError, match=r"has \d+,\d+ bytes, and 0 bytes are free"):
        read(address(server.server_port))
