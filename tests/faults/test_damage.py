"""Damage on the disk, the errors of readers, and the repair. Damaged data is never served.

Each row breaks one file of a valid store; those in `RARE` run in `make test-thorough` only. Then every reader must
give the same answer as before or one of our errors. `features doctor --thorough` names the part, and after the
commands of the last column every answer is the same as before.
"""

from __future__ import annotations

import os

import pytest

from tests.faults.conftest import BUILD, THOROUGH, TRAIN, plain

FIX = ("doctor", "--thorough", "--fix")
INDEX = ("build", "--only", "index", "--encoder", "mean_colour")
GONE = ("rm",)
"""Command that removes the files that a remedy names."""


def truncated(path):
    os.truncate(path, path.stat().st_size * 2 // 3)


def flipped(path, share=0.5):
    """Flip one bit as a broken disk would, without a new modification time."""
    stat = path.stat()
    with path.open("r+b") as file:
        file.seek(int(stat.st_size * share))
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 4]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def emptied(path):
    path.write_bytes(b"")


# name, files, damage, readers that must refuse, the check that reports it, the repair
TABLE = [
    (
        "vectors",
        "embeddings/mean_colour/*.parquet",
        flipped,
        {"vectors", "vectors in SQL"},
        "vectors mean_colour",
        (FIX, BUILD),
    ),
    (
        "vectors",
        "embeddings/mean_colour/*.parquet",
        truncated,
        {"vectors", "vectors in SQL"},
        "vectors mean_colour",
        (FIX, BUILD),
    ),
    (
        "their manifest",
        "embeddings/mean_colour/manifest.json",
        flipped,
        {"vectors", "vectors in SQL"},
        "vectors mean_colour",
        (FIX, BUILD),
    ),
    ("faces", "faces/*/*.parquet", flipped, set(), "faces", (FIX, BUILD)),
    ("faces", "faces/*/*.parquet", truncated, set(), "faces", (FIX, BUILD)),
    (
        "matrix of the index",
        "indices/mean_colour/*/vectors.npy",
        flipped,
        {"similar"},
        "index mean_colour",
        (FIX, INDEX),
    ),
    ("matrix of the index", "indices/mean_colour/*/vectors.npy", truncated, {"similar"}, "index mean_colour", (INDEX,)),
    ("ids of the index", "indices/mean_colour/*/ids.parquet", flipped, {"similar"}, "index mean_colour", (INDEX,)),
    ("manifest of the index", "indices/mean_colour/manifest.json", flipped, {"similar"}, "index mean_colour", (INDEX,)),
    ("a head", "models/*/weights.safetensors", flipped, {"predict"}, "models", (GONE, TRAIN)),
    ("a head", "models/*/weights.safetensors", truncated, {"predict"}, "models", (GONE, TRAIN)),
    ("manifest of a head", "models/*/manifest.json", flipped, {"predict"}, "models", (GONE, TRAIN)),
    ("manifest of a head", "models/*/manifest.json", emptied, {"predict"}, "models", (GONE, TRAIN)),
    ("the snapshot", "snapshot.duckdb", truncated, {"sql"}, "snapshot", (FIX,)),
    ("the snapshot", "snapshot.duckdb", emptied, {"sql", "similar"}, "snapshot", (FIX,)),
    ("the warehouse", "warehouse.duckdb", flipped, set(), "snapshot", (FIX,)),
    ("its mark", "snapshot.json", emptied, set(), "snapshot", (FIX,)),
]


RARE = {
    *("vectors truncated", "their manifest flipped", "faces truncated", "matrix of the index truncated"),
    *("ids of the index flipped", "a head truncated", "manifest of a head emptied", "the snapshot emptied"),
    *("its mark emptied", "faces flipped", "manifest of the index flipped", "manifest of a head flipped"),
}


def lines():
    for line in TABLE:
        name = f"{line[0]} {line[2].__name__}"
        yield pytest.param(*line[1:], id=name, marks=[pytest.mark.thorough] if name in RARE else [])


@pytest.fixture(scope="module")
def sound(zygote, built):
    import json

    found = json.loads(zygote.run(built, call="tests.faults.readers:answers").out.splitlines()[-1])
    assert all("said" in answer for answer in found.values()), found
    return found


@pytest.mark.parametrize(("files", "harm", "refusing", "check", "heals"), list(lines()))
def test_damage_is_refused_reported_and_repaired(files, harm, refusing, check, heals, zygote, copy, asked, sound):
    store = copy()
    (broken, *_) = sorted(store.glob(files))
    if broken.name == "warehouse.duckdb":  # a copied store does not know that its snapshot is the newest
        assert zygote.run("doctor", "--fix", "--store", store).code == 0
    harm(broken)
    found, told = asked("answers_and_doctor", store)
    for reader, answer in found.items():
        assert "crashed" not in answer, answer
        assert answer == sound[reader] or all(answer["refused"]), reader
    assert refusing <= {reader for reader, answer in found.items() if "refused" in answer}
    named = [name for name, (state, *_) in told.items() if name.startswith(check) and state in ("fault", "note")]
    assert named, told
    for command in heals:
        if command == GONE:
            words = told[named[0]][2].partition(",")[0].split()
            assert words[:2] == ["rm", "-r"]
            zygote.run(words[2], call="shutil:rmtree")
        else:
            ended = zygote.run(*command, "--store", store)
            assert plain(ended), ended
    found, told = asked("answers_and_doctor", store)
    assert found == sound
    assert not [one for one in told.items() if one[1][0] == "fault"]


def test_a_damaged_snapshot_gives_no_other_answer(copy, asked, sound):
    store = copy()
    whole = (store / "snapshot.duckdb").read_bytes()
    refused = 0
    n = 40 if THOROUGH else 4
    for part in range(n):
        flipped(store / "snapshot.duckdb", share=(part + 0.5) / n)
        found = asked("answers", store)
        for reader, answer in found.items():
            assert "crashed" not in answer, answer
            refusal = answer.get("refused", [""])[0]
            assert answer == sound[reader] or "damaged" in refusal or "cannot be read" in refusal, (reader, answer)
        refused += any("refused" in answer for answer in found.values())
        (store / "snapshot.duckdb").write_bytes(whole)
    assert refused > n // 2


def test_damage_that_interrupts_an_erase_is_repaired_first(zygote, copy, asked):
    store = copy()
    [[person]] = asked("rows", store, "select user_id from photos where sha256 is not null order by photo_id limit 1")
    flipped(next(store.glob("embeddings/mean_colour/*.parquet")))
    refused = zygote.run("erase", person, "--yes", "--store", store)
    assert plain(refused)
    assert refused.code == 1
    assert "doctor --thorough --fix" in refused.err
    zygote.run(*FIX, "--store", store)
    finished = zygote.run(
        "erase", *(() if (store / "erased/journal.json").exists() else (person,)), "--yes", "--store", store
    )
    assert finished.code == 0, finished.err
    assert zygote.run(*BUILD, "--store", store).code == 0
    assert asked("rows", store, f"select 1 from users where user_id = '{person}'") == []
    assert not [one for one in asked("doctor", store, "thorough").items() if one[1][0] == "fault"]


def test_a_lost_picture_comes_back_with_its_list(zygote, copy, world, asked):
    store = copy()
    (first, second, *_) = sorted(store.glob("photos/??/*.jpg"))
    flipped(first)
    second.unlink()
    state, found, remedy = asked("doctor", store, "thorough")["photos"]
    assert (state, found.startswith("1 missing, 1 damaged")) == ("fault", True)
    assert "features ingest photos" in remedy
    first.unlink()
    assert zygote.run("ingest", "photos", world.photos, "--images", world.images, "--store", store).code == 0
    assert asked("doctor", store, "thorough")["photos"][0] == "ok"


def test_a_damaged_image_is_not_used_by_a_build(zygote, copy, ingested):
    store = copy(ingested)
    flipped(sorted(store.glob("photos/??/*.jpg"))[0])
    ended = zygote.run(*BUILD, "--store", store)
    assert plain(ended)
    assert ended.code == 1
    assert "its bytes have changed" in ended.err
