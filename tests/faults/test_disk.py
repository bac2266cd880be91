"""A full or read-only disk gives one of our errors; with free space the same command resumes.

The N-th change of a command to its store and all later ones fail with the `OSError` of a full or a read-only disk.
For files that DuckDB and Arrow write themselves, the size of files is limited.
"""

from __future__ import annotations

import errno
import shutil
import subprocess

import pytest

from tests.faults.conftest import BUILD, FINETUNE, THOROUGH, TRAIN, ingests, plain

POINTS = 12 if THOROUGH else 1


def photos(world):
    return ingests(world)[1]


def swipes(world):
    return ingests(world)[3]


# command, the store it starts from
TABLE = [
    (photos, "nothing"),
    (swipes, "nothing"),
    (BUILD, "ingested"),
    (TRAIN, "built"),
    (("report",), "built"),
    (("erase", "u000003", "--yes"), "built"),
    (FINETUNE, "built"),
]


def lines(*telling):
    """Return the rows of the given numbers; all rows in a thorough run."""
    chosen = TABLE if THOROUGH else [TABLE[number] for number in telling]
    names = [str(c[0] if isinstance(c, tuple) else c.__name__) for c, _ in chosen]
    return pytest.mark.parametrize(("command", "base"), chosen, ids=names)


@pytest.fixture
def place(built, ingested, request):
    """Return the path of a new copy of a store of this kind."""
    made = built.with_name(f"disk-{abs(hash(request.node.name)) % 10**7}")

    def placed(base):
        shutil.rmtree(made, ignore_errors=True)
        if base != "nothing":
            shutil.copytree({"built": built, "ingested": ingested}[base], made)
            for run in made.glob("models/*"):  # so that a training has something to write
                shutil.rmtree(run)
        return made

    yield placed
    shutil.rmtree(made, ignore_errors=True)


def in_order(ended, base):
    """A command may also succeed if no change was left, or only one to a cache."""
    assert plain(ended), f"{ended.code}\n{ended.err}"
    assert ended.err.count("Traceback") == 0


def goes_on(zygote, asked, words, store):
    cut_off = words[0] == "erase" and (store / "erased" / "journal.json").exists()
    ended = zygote.run(*(("erase", "--yes") if cut_off else words), "--store", store)
    assert ended.code == 0 or "no such" in ended.err or "does not know" in ended.err, ended.err
    told = asked("doctor", store, "thorough")
    assert not [one for one in told.items() if one[1][0] == "fault"], told


@lines(0, 2, 5)
def test_a_disk_that_takes_no_more(command, base, zygote, world, place, asked):
    words = command(world) if callable(command) else command
    store = place(base)
    calm = zygote.run(*words, "--store", store)
    changes = calm.changes
    store = place(base)
    for point in sorted({1 + (2 * at + 1) * changes // (2 * POINTS) for at in range(POINTS)}):
        in_order(zygote.run(*words, "--store", store, fail_at=point, errno=errno.ENOSPC), base)
    for fsize in (100, 20_000, 300_000, 2_000_000) if THOROUGH else (300_000,):
        if fsize > len(calm.out) + 200:  # what it says goes to files too
            in_order(zygote.run(*words, "--store", store, fsize=fsize), base)
    goes_on(zygote, asked, words, store)


@lines(1, 3, 4)
def test_a_disk_that_may_only_be_read(command, base, zygote, world, place, asked):
    words = command(world) if callable(command) else command
    store = place(base)
    ended = zygote.run(*words, "--store", store, fail_at=1, errno=errno.EROFS)
    assert ended.code == 1
    in_order(ended, base)
    if base == "built":
        assert asked("answers", store)["sql"]["said"]
    goes_on(zygote, asked, words, store)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 6 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", place]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_real_disk_of_six_megabytes(zygote, world, small_disk):
    ended = [zygote.run(*words, "--store", small_disk / "store") for words in (*ingests(world), BUILD)]
    assert all(map(plain, ended)), [one.err for one in ended]
    assert any(one.code for one in ended)
    (error,) = [one.err for one in ended if one.code][:1]
    assert "df -h" in error or "disk" in error
