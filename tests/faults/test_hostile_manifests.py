"""Forged manifests with other types, huge numbers or foreign paths are refused without a crash.

A digest protects against damage, not against an attacker: each forged manifest has a correct digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import traceback
from pathlib import Path

import pytest

from photogenic.warehouse import Store
from photogenic.warehouse.errors import PhotogenicError
from photogenic.warehouse.storage.manifest import dump_with_digest, load_with_digest, parse_object, read_limited
from tests.faults.conftest import THOROUGH, plain

VALUES = (None, True, -1, 10**40, 1e308, float("nan"), "", "../../elsewhere", "\0", [], [[1]], {}, {"a": {"b": 1}})


def forged(facts, at=()):
    """Replace each key of a JSON object, at every depth, by each of the values, or remove it; and add one key."""
    keys = list(facts) if isinstance(facts, dict) else list(range(len(facts)))[:1]
    for place, key in enumerate(keys):
        for value in VALUES if THOROUGH else VALUES[(place + len(at)) % 4 :: 4]:
            yield (*at, key), changed(facts, key, value)
        if isinstance(facts, dict):
            yield (*at, key, "left out"), {name: value for name, value in facts.items() if name != key}
        if isinstance(facts[key], (dict, list)) and facts[key]:
            for where, inner in forged(facts[key], (*at, key)):
                yield where, changed(facts, key, inner)
    if isinstance(facts, dict):
        yield (*at, "one more"), {**facts, "one more": 1}


def changed(facts, key, value):
    if isinstance(facts, dict):
        return {**facts, key: value}
    return [*facts[:key], value, *facts[key + 1 :]]


def crashes_of(root: str, place: str, reader: str) -> list[str]:
    """Return the crashes of a reader over all forged manifests. Runs in a fork."""
    from photogenic import FeatureStore
    from photogenic.features.search import index
    from photogenic.features.status import status
    from photogenic.features.vectors import reader as vectors
    from photogenic.models.runs.run_store import load
    from photogenic.warehouse.storage.parquet_parts import read_manifest

    (path, *_) = sorted(Path(root).glob(place))
    before, found = path.read_bytes(), []
    with FeatureStore(root) as store:
        readers = {
            "vectors": lambda: vectors.VectorSet(store.layout, "mean_colour").read(["u000001"]),
            "index": lambda: index.load(store.layout, "mean_colour"),
            "status": lambda: status(Store(store.database)),
            "faces": lambda: read_manifest(path.parent),
            "head": lambda: load(store.layout, path.parent.name),
            "published": store.database.is_published,
        }
        for where, facts in forged(load_with_digest(before)):
            path.write_bytes(dump_with_digest(facts) if reader != "published" else json.dumps(facts).encode())
            asked = (reader, "status") if reader == "vectors" and "left out" in where else (reader,)
            for name in asked:
                try:
                    readers[name]()
                except PhotogenicError as error:
                    found += [] if error.remedy else [f"{name} {where}: {error}"]
                except BaseException:
                    found.append(f"{name} {where}: {traceback.format_exc(-2)}")
    path.write_bytes(before)
    return found


@pytest.mark.parametrize(
    ("place", "reader"),
    [
        ("embeddings/mean_colour/manifest.json", "vectors"),
        ("indices/mean_colour/manifest.json", "index"),
        ("faces/*/manifest.json", "faces"),
        ("models/*/manifest.json", "head"),
        ("snapshot.json", "published"),
    ],
)
def test_no_value_of_a_manifest_makes_a_reader_crash(place, reader, copy, zygote):
    ended = zygote.run(copy(), place, reader, call="tests.faults.test_hostile_manifests:crashes_of")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out.splitlines()[-1]) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": 1, "a": 2}',
        b'{"a": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_manifest(data):
    with pytest.raises(ValueError, match=r".+"):
        load_with_digest(data)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop", "huge"])
def test_what_is_no_file(kind, tmp_path):
    path = tmp_path / "manifest.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    with pytest.raises(ValueError, match="it "):
        read_limited(path)


ELSEWHERE = ("../../kept", "/kept", "..", "a/../../kept", "a\0b", "")


@pytest.mark.parametrize("key", ["runs_removed", "leftovers", "orphans", "sha256s", "folders", "runs"])
@pytest.mark.parametrize("name", ELSEWHERE if THOROUGH else ELSEWHERE[:2])
def test_an_erase_that_would_remove_what_is_not_in_the_store_is_refused(key, name, tmp_path):
    from photogenic.maintenance.erase.journal import Journal
    from photogenic.warehouse import Layout

    gone = {"users": ["u"], "photos": [], "sha256s": [], "targets": [], "runs": {}, "kept_photos": []}
    journal = {"erase_id": "e", "gone": gone, "prepared": True}
    if key == "sha256s":
        gone[key] = [name]
    else:
        journal[key] = {name: ["a"]} if key == "folders" else {name: 1} if key == "runs" else [name]
    layout = Layout(tmp_path / "store")
    layout.erased.mkdir(parents=True)
    layout.erase_journal.write_text(json.dumps(journal))
    with pytest.raises(PhotogenicError, match="is damaged"):
        Journal.read(layout)


def backup_digest(facts):
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def written(folder, facts):
    (folder / "manifest.json").write_text(json.dumps({"sha256": backup_digest(facts), "backup": facts}))


@pytest.fixture
def backed_up(copy, zygote):
    folder = copy(None)
    store = copy()
    ended = zygote.run("backup", folder, "--store", store)
    assert ended.code == 0, ended.err
    return folder


def test_no_value_of_a_backups_manifest_makes_it_crash(backed_up):
    from photogenic.maintenance.backup.repository import Archive

    facts = parse_object((backed_up / "manifest.json").read_bytes())["backup"]
    facts["files"] = facts["files"][:1] + [one for one in facts["files"] if one["path"] == "snapshot.duckdb"]
    for _, forgery in forged(facts):
        written(backed_up, forgery)
        try:
            Archive(backed_up).read()
        except PhotogenicError as error:
            assert "damaged" in str(error) or "format" in str(error)  # noqa: PT017


def test_a_backup_that_holds_what_no_backup_holds_is_refused(backed_up, copy, zygote):
    facts = parse_object((backed_up / "manifest.json").read_bytes())["backup"]
    secret = backed_up.with_name(f"{backed_up.name}.secret")
    secret.write_bytes(b"owned\n")
    sha256 = hashlib.sha256(b"owned\n").hexdigest()
    place = backed_up / "files" / sha256[:2]
    place.mkdir(exist_ok=True)
    for path, link in (("erased/journal.json", False), ("lock", False), ("lock/x", False), ("x", True)):
        (place / sha256).unlink(missing_ok=True)
        if link:
            (place / sha256).symlink_to(secret)
        else:
            shutil.copyfile(secret, place / sha256)
        entry = {"path": path, "bytes": 6, "sha256": sha256}
        written(backed_up, {**facts, "files": [*facts["files"], entry]})
        target = copy(None)
        ended = zygote.run("restore", backed_up, "--store", target)
        assert plain(ended), ended.err
        assert ended.code == 1
        assert not target.exists()
    secret.unlink()


def test_a_backup_whose_snapshot_is_no_database_is_refused(backed_up, copy, zygote):
    facts = parse_object((backed_up / "manifest.json").read_bytes())["backup"]
    sha256 = hashlib.sha256(b"owned\n").hexdigest()
    (backed_up / "files" / sha256[:2]).mkdir(exist_ok=True)
    (backed_up / "files" / sha256[:2] / sha256).write_bytes(b"owned\n")
    files = [
        {**entry, "sha256": sha256, "bytes": 6} if entry["path"] == "snapshot.duckdb" else entry
        for entry in facts["files"]
    ]
    written(backed_up, {**facts, "files": files})
    target = copy(None)
    ended = zygote.run("restore", backed_up, "--store", target)
    assert plain(ended)
    assert ended.code == 1
    assert not target.exists()
