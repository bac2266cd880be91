"""Weights are read from the first source that has them, and checked; else an error lists the sources and the file."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import threading
import zipfile
from pathlib import Path

import pytest

from photogenic.features.encoders import weights
from photogenic.features.encoders.published import check_own_weights
from photogenic.features.encoders.registry import encoder
from photogenic.features.encoders.weights import WEIGHTS, Weights, Wheel, fetch, located, resolve
from photogenic.warehouse import WeightsError

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
    """A package index in a folder, for the real pip."""
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


def test_a_file_other_than_the_published_one_is_refused_and_removed(publisher, tmp_path, monkeypatch):
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


def test_fetch_names_unknown_weights():
    with pytest.raises(WeightsError, match="'resnet'"):
        fetch(["resnet"])


def test_every_entry_has_a_source_a_licence_and_a_check():
    assert len({entry.name for entry in WEIGHTS}) == len({entry.file for entry in WEIGHTS}) == len(WEIGHTS)
    for entry in WEIGHTS:
        assert entry.licence
        assert entry.package or entry.wheel or entry.url
        assert len(entry.sha256) >= 8 or entry.name == "facenet"


def _owned(folder, statement="{sha256}  net-1.bin\n"):
    folder.mkdir()
    own = b"my own numbers"
    (folder / "net-1.bin").write_bytes(own)
    sha256 = hashlib.sha256(own).hexdigest()
    (folder / "net-1.bin.sha256").write_text(statement.format(sha256=sha256))
    return sha256


def test_user_weights_are_used_where_their_digest_is_stated(tmp_path, monkeypatch, capsys):
    weights._warn_about_own_weights.cache_clear()
    sha256 = _owned(tmp_path / "mine")
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path / "mine"))
    entry = _entry()
    assert weights.own_sha256(entry) == sha256
    assert resolve(entry) == resolve(entry) == tmp_path / "mine" / "net-1.bin"
    warned = capsys.readouterr().err
    assert warned.count(sha256) == 1
    assert "published net" in warned
    assert weights.refusal(entry) is None


@pytest.mark.parametrize("statement", ["", "not a digest", "abc  net-1.bin", "{sha256}0"])
def test_an_empty_digest_file_is_refused(tmp_path, monkeypatch, statement):
    _owned(tmp_path / "mine", statement)
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path / "mine"))
    with pytest.raises(WeightsError, match="states no SHA-256"):
        resolve(_entry())


def test_a_file_that_is_not_the_stated_one_is_refused(tmp_path, monkeypatch):
    _owned(tmp_path / "mine", f"{'0' * 64}  net-1.bin")
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path / "mine"))
    with pytest.raises(WeightsError, match=r"0{64}, as .*sha256 states"):
        resolve(_entry())


def test_the_published_file_beside_a_statement_of_another_is_refused(tmp_path, monkeypatch):
    _owned(tmp_path / "mine")
    (tmp_path / "mine" / "net-1.bin").write_bytes(_DATA)
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path / "mine"))
    with pytest.raises(WeightsError, match="states"):
        resolve(_entry())


def test_added_weights_stand_in_until_they_are_removed(tmp_path):
    mine = tmp_path / "trained.bin"
    mine.write_bytes(b"trained here")
    entry = _entry()
    path = weights.add(entry, mine)
    assert path == weights.cache() / "net-1.bin"
    assert resolve(entry) == path
    assert weights.own_sha256(entry) == hashlib.sha256(b"trained here").hexdigest()
    with pytest.raises(WeightsError, match="cannot be copied"):
        weights.add(entry, tmp_path / "nowhere.bin")


@pytest.mark.parametrize("state", ["other", "empty", "folder", "link to nothing"])
def test_a_file_that_every_use_refuses_is_not_called_available(tmp_path, monkeypatch, state):
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    path = tmp_path / "net-1.bin"
    if state == "folder":
        path.mkdir()
    elif state == "link to nothing":
        path.symlink_to(tmp_path / "gone")
    else:
        path.write_bytes(b"" if state == "empty" else b"other")
    entry = _entry()
    refused = weights.refusal(entry)
    assert (refused is not None) == (state in ("other", "empty"))
    with pytest.raises(WeightsError):
        resolve(entry)


def test_an_encoder_says_that_it_is_available_only_where_it_would_work(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    assert encoder("dlib_face").available
    (tmp_path / "dlib_face_recognition_resnet_model_v1.dat").write_bytes(b"no network")
    assert not encoder("dlib_face").available
    (tmp_path / "dlib_face_recognition_resnet_model_v1.dat.sha256").write_text(
        hashlib.sha256(b"no network").hexdigest()
    )
    assert encoder("dlib_face").own_weights == encoder("dlib_face").backbone.weights_sha256()
    with pytest.raises(WeightsError, match="does not fit dlib_face"):
        encoder("dlib_face").backbone.module()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", ["alexnet", "dlib_face", "facenet"])
@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no zip", b"\x80\x04}q\x00.", bytes(4096)])
def test_a_file_of_something_else_fits_no_network(tmp_path, name, data):
    (tmp_path / "mine").write_bytes(data)
    with pytest.raises(WeightsError, match="does not fit"):
        check_own_weights(weights.weights(name), tmp_path / "mine")


def test_the_detector_cannot_be_replaced(tmp_path):
    with pytest.raises(WeightsError, match="cannot be replaced"):
        check_own_weights(weights.weights("blazeface_short"), tmp_path / "mine")
