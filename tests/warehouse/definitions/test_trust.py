"""A folder may run its Python if this user said so: this folder, with this project in it."""

import json
import shutil
import threading
from pathlib import Path

import platformdirs
import pytest

from photogenic.warehouse import StoreError
from photogenic.warehouse.definitions.trust import allow, is_allowed


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "lab").mkdir()
    return tmp_path / "lab"


def records(lab):
    return sorted((lab.parent / "state").rglob("*.json"))


def test_only_the_folder_that_was_allowed_is_allowed(lab, monkeypatch):
    assert not is_allowed(lab, "id-1")
    allow(lab, "id-1")
    allow(lab, "id-1")
    assert is_allowed(lab, "id-1")
    (record,) = records(lab)
    assert record.stat().st_mode & 0o777 == 0o600
    assert not is_allowed(lab.parent, "id-1")
    monkeypatch.chdir(lab)
    assert is_allowed(lab / "../lab", "id-1")


def test_a_copy_a_moved_folder_and_another_project_at_its_place_are_not(lab):
    allow(lab, "id-1")
    shutil.copytree(lab, lab.parent / "copy")
    assert not is_allowed(lab.parent / "copy", "id-1")
    lab.rename(lab.parent / "moved")
    assert not is_allowed(lab.parent / "moved", "id-1")
    lab.mkdir()
    assert not is_allowed(lab, "id-2")
    allow(lab, "id-2")
    assert not is_allowed(lab, "id-1")


def test_a_link_is_as_good_as_its_folder(lab):
    (lab.parent / "link").symlink_to(lab)
    allow(lab.parent / "link", "id-1")
    assert is_allowed(lab, "id-1")
    (lab.parent / "other").mkdir()
    (lab.parent / "link").unlink()
    (lab.parent / "link").symlink_to(lab.parent / "other")
    assert not is_allowed(lab.parent / "link", "id-1")


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b'{"folder": "/"}'])
def test_a_damaged_record_allows_nothing(lab, damage):
    allow(lab, "id-1")
    records(lab)[0].write_bytes(damage)
    assert not is_allowed(lab, "id-1")
    allow(lab, "id-1")
    assert is_allowed(lab, "id-1")


@pytest.mark.parametrize("variable", ["XDG_STATE_HOME", "HOME"])
def test_a_folder_cannot_bring_the_record_that_allows_it(lab, monkeypatch, variable):
    allow(lab, "id-1")
    state = records(lab)[0].relative_to(lab.parent)
    (lab / ".local").mkdir()
    shutil.copytree(lab.parent / "state", lab / "state")
    shutil.copytree(lab.parent / "state", lab / ".local/state")
    monkeypatch.chdir(lab)
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv(variable, "." if variable == "HOME" else "state")
    assert (lab / state).is_file()
    assert not is_allowed(lab, "id-1")


def test_a_relative_state_folder_is_none(lab, monkeypatch):
    allow(lab, "id-1")
    monkeypatch.chdir(lab.parent)
    monkeypatch.setattr(platformdirs, "user_state_path", lambda *_, **__: Path("state/photogenic"))
    assert not is_allowed(lab, "id-1")
    with pytest.raises(StoreError, match="no state folder"):
        allow(lab, "id-1")


def test_two_folders_that_are_allowed_at_once_are_both_allowed(lab):
    folders = [lab.parent / f"lab-{n}" for n in range(8)]
    threads = [threading.Thread(target=allow, args=(folder, "id-1")) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(is_allowed(folder, "id-1") for folder in folders)
    assert {json.loads(record.read_bytes())["folder"] for record in records(lab)} == set(map(str, folders))
