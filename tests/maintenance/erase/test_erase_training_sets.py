"""Erase and purge reach named training sets: rows leave, the number of the version stays, and nothing is left."""

import json

import polars as pl
import pytest

from photogenic.ingest.tabular.load import ingest
from photogenic.maintenance.backup.backup import backup
from photogenic.maintenance.backup.restore import restore
from photogenic.maintenance.doctor.checks import examine
from photogenic.maintenance.erase.erase import erase
from photogenic.maintenance.erase.purge import purge
from photogenic.models.training_sets.frozen import load
from photogenic.models.training_sets.versions import export, verify
from photogenic.warehouse import StoreError
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.storage.training_set_files import folders
from tests.models.training_sets.sets import made, make, spells
from tests.warehouse.definitions.own import sql_file
from tests.warehouse.small import ask

FRIENDS = """
select
    cast(recipient_id as varchar) as user_id, -- who received swipes
    cast('seen by ' || max(sender_id) as varchar) as note -- a text with an id
from swipes
group by recipient_id
"""

GONE = "user-13"


@pytest.fixture
def store(tmp_path):
    """30 users; the set has a feature that mentions people in texts of others."""
    n = 30
    names = [f"user-{i:02}" for i in range(n)]
    relations = {"spells": spells(), "friends": sql_file("friends", FRIENDS, reads="swipes")}
    return make(
        tmp_path,
        relations,
        users=[(name, "female" if at % 2 else "male", at) for at, name in enumerate(names)],
        photos=[(f"photo-{at:02}-{k}", name) for at, name in enumerate(names) for k in range(2)],
        main_photos=[(name, f"photo-{at:02}-{k}", 10 * k) for at, name in enumerate(names) for k in range(2)],
        swipes=[(names[(at * 7 + j) % n], name, True, 1 + j) for at, name in enumerate(names) for j in range(1, 9)],
    )


def of_set(store, version=None):
    return load(store, "may", version)


def test_rows_of_the_erased_leave_and_the_version_stays(store):
    first = made(store, features="spells.n_before,friends.note", every=None).manifest
    made(store, features="spells.n_before")
    before = of_set(store, 1).frame()
    mentions = before.filter(pl.col("friends__note").str.contains(GONE) & (pl.col("user_id") != GONE))
    assert len(mentions)
    (receipt,) = erase(store, [GONE])
    assert receipt.counts["training_sets/may/v1"] == receipt.counts["training_sets/may/v2"] == 2
    after = of_set(store, 1)
    assert after.frame().drop("friends__note").equals(before.filter(pl.col("user_id") != GONE).drop("friends__note"))
    assert not after.frame()["friends__note"].str.contains(GONE).any()
    manifest = after.manifest
    assert (manifest.version, manifest.status, manifest.n_rows) == (1, "remade", first.n_rows - 2)
    assert (manifest.removals[0].n_rows, manifest.removals[0].n_values) == (2, len(mentions))
    counts = manifest.counts
    assert counts["entity_rows"] == counts["rows"] + sum(counts["left_out"].values())
    assert sum(counts["splits"].values()) == counts["rows"] == manifest.n_rows
    listed = ask(store.database, "select version, n_rows, status from training_sets order by version")
    assert listed == [(1, 58, "remade"), (2, 58, "remade")]
    assert {one.state for one in verify(store)} == {"ok"}


def test_sets_without_the_erased_stay_as_they_are(store):
    made(store, features="spells.n_before", as_of="2024-01-01T02:00:00")
    selected = made(store, "other", target="users.followers", features="spells.n_before").manifest
    erase(store, [GONE])
    erase(store, ["user-14"])
    assert len(load(store, "other").manifest.removals) == 2
    assert load(store, "other").manifest.n_rows == selected.n_rows - 4


def test_a_purge_of_a_photo_takes_its_rows(store, tmp_path):
    made(store, features="spells.n_before")
    file = tmp_path / "gone.csv"
    file.write_text("photo_id,deleted_at\nphoto-13-0,2024-01-05\n")
    ingest(store, "photos", [file], retract=True)
    build_labels(store)
    purge(store, ["photo-13-0"])
    found = of_set(store).frame()
    assert len(found) == 59
    assert "photo-13-0" not in found["photo_id"].to_list()
    assert found.filter(user_id=GONE).height == 1


def test_rows_stay_whose_id_is_one_of_the_other_kind(tmp_path):
    """Numbers are ids of users and photos alike: user 13 goes with photo 14, user 14 stays."""
    names = [str(at) for at in range(30)]
    store = make(
        tmp_path,
        {"spells": spells()},
        users=[(name, "female" if at % 2 else "male", at) for at, name in enumerate(names)],
        photos=[(str(at ^ 3), name) for at, name in enumerate(names)],
        main_photos=[(name, str(at ^ 3), 0) for at, name in enumerate(names)],
        swipes=[(names[(at + j) % 30], name, True, j) for at, name in enumerate(names) for j in (1, 2)],
    )
    made(store, features="spells.n_before")
    before = of_set(store).frame()
    erase(store, ["13"])
    assert of_set(store).frame().equals(before.filter(pl.col("user_id") != "13"))
    assert {one.state for one in verify(store)} == {"ok"}


def test_folders_of_a_killed_creation_go_too(store):
    folder = made(store, features="spells.n_before").folder
    with store.database.write("test") as con:
        con.execute("delete from facts.training_sets")
    (store.layout.training_sets / ".may.77.tmp").mkdir()
    erase(store, [GONE])
    assert not list(store.layout.training_sets.rglob("*.parquet"))
    assert not list(folder.iterdir()) if folder.exists() else True


def test_a_damaged_set_stops_the_erase_before_anything_is_removed(store):
    folder = made(store, features="spells.n_before").folder
    (file,) = folder.glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(StoreError, match="Training set may v1 is damaged") as told:
        erase(store, [GONE])
    assert "features training-set remove may --version 1" in str(told.value)


def test_backup_and_restore_keep_sets_and_a_later_erase_reaches_the_restored_ones(store, tmp_path):
    made(store, features="spells.n_before")
    before = of_set(store).frame()
    assert backup(store, tmp_path / "backup").left_out == []
    erase(store, [GONE])
    restore(store, tmp_path / "backup", replace=True)
    assert of_set(store).frame().equals(before.filter(pl.col("user_id") != GONE))
    assert {one.state for one in verify(store)} == {"ok"}


def test_doctor_names_damage_and_removes_what_nothing_lists(store):
    folder = made(store, features="spells.n_before").folder

    def finding(**how):
        return next(one for one in examine(store, **how) if one.check == "training sets")

    assert finding(thorough=True).state == "ok"
    extra = folder.with_name("v9")
    extra.mkdir()
    assert finding().state == "note"
    assert finding(fix=True).state == "fixed"
    assert not extra.exists()
    (file,) = folder.glob("*.parquet")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert finding().state == "ok"  # the size is right
    assert finding(thorough=True).state == "fault"
    with pytest.raises(StoreError, match="the bytes of rows-"):
        of_set(store)


def test_verify_finds_ids_of_the_erased_that_were_put_back(store):
    folder = made(store, features="spells.n_before").folder
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    row = ask(store.database, "select n_rows, digests from training_sets")
    erase(store, [GONE])
    for path in folder.iterdir():
        path.unlink()
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    with store.database.write("test") as con:
        con.execute("update facts.training_sets set n_rows = $1, digests = $2", [*row[0]])
    (found,) = verify(store, "may")
    assert found.state == "erased"
    assert json.loads(row[0][1])["files"]


def test_exported_files_are_whole_and_outside(store, tmp_path):
    made(store, features="spells.n_before")
    files = export(store, "may", tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "*.parquet").equals(of_set(store).frame())
    assert files[0].name == "manifest.json"
    assert [(name, version) for name, version, _ in folders(store.layout)] == [("may", 1)]
