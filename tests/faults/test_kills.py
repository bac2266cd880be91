"""kill -9 at any change of a command to the store: readers see a consistent state, and the same command finishes.

Each command is killed before several of its changes in turn, in one store. In the end the store must equal the one
after an undisturbed command, and `features doctor --thorough` must find nothing. For writes of DuckDB, which Python
cannot count, the kill comes after a random time. `python -m tests.soak` does the same for any time.
"""

from __future__ import annotations

import random
import shutil

import pytest

from tests.faults.conftest import BUILD, FINETUNE, THOROUGH, TRAIN, plain
from tests.faults.readers import NOT_COMPARED

KILLS = 20 if THOROUGH else 2
PERSON = "u000003"


def swipes(world):
    return ("ingest", "swipes", *world.swipes)


def photos(world):
    return ("ingest", "photos", world.photos, "--images", world.images)


def predictions(world):
    """One prediction per photo of the world, as a file beside its pictures."""
    path = world.images.parent / "predictions.csv"
    ids = [line.split(",", 1)[0] for line in world.photos.read_text().splitlines()[1:]]
    path.write_text("photo_id,prediction\n" + "".join(f"{photo_id},0.{n % 9 + 1}\n" for n, photo_id in enumerate(ids)))
    return ("ingest", "predictions", path, "--run", "mine")


# command, the store it starts from
TABLE = [
    (photos, "nothing"),
    (swipes, "nothing"),
    (BUILD, "ingested"),
    ((*BUILD, "--neighbours", "3", "--near-duplicates", "--flip"), "built"),
    (TRAIN, "untrained"),
    (("predict", "--keep"), "newer"),
    (predictions, "built"),
    (("report",), "built"),
    (("erase", PERSON, "--yes"), "built"),
    (("doctor", "--thorough", "--fix"), "broken"),
    *([(FINETUNE, "built")] if THOROUGH else []),  # ten times slower than the others
]


@pytest.fixture(scope="session")
def bases(zygote, world, ingested, built, tmp_path_factory):
    """Return the stores from which commands start, by name."""
    untrained, newer, broken = (built.with_name(f"base-{name}") for name in ("untrained", "newer", "broken"))
    shutil.copytree(ingested, untrained)
    assert zygote.run(*BUILD, "--store", untrained).code == 0
    shutil.copytree(built, newer)
    more = newer.parent / "more"
    more.mkdir()
    (more / "new.jpg").write_bytes(next(world.images.glob("*.jpg")).read_bytes())
    (more / "photos.csv").write_text("photo_id,user_id,path\nnew1,u000001,new.jpg\n")
    for command in (("ingest", "photos", more / "photos.csv"), BUILD):
        assert zygote.run(*command, "--store", newer).code == 0
    shutil.copytree(built, broken)
    for path in (*broken.glob("indices/*/*/ids.parquet"), broken / "snapshot.duckdb"):
        path.write_bytes(path.read_bytes()[:-9])
    return {"nothing": None, "ingested": ingested, "built": built} | {
        path.name.removeprefix("base-"): path for path in (untrained, newer, broken)
    }


RARE = {(BUILD, "ingested"), (("predict", "--keep"), "newer"), (("report",), "built")}
"""Rows of `make test-thorough` only: tests/app/cli/test_crash.py kills such a build too, the others write little."""


def lines():
    for command, base in TABLE:
        name = command[0] if isinstance(command, tuple) else command.__name__
        rare = (command, base) in RARE
        yield pytest.param(command, base, id=name, marks=[pytest.mark.thorough] if rare else [])


@pytest.mark.parametrize(("command", "base"), list(lines()))
def test_killed_anywhere_it_ends_as_if_undisturbed(command, base, zygote, bases, world, built, asked, request):
    words = command(world) if callable(command) else command
    moments = random.Random(str(words[0]))
    calm, shaken = (built.with_name(f"{name}-{abs(hash(request.node.name)) % 10**6}") for name in ("calm", "shaken"))

    def prepare(store):
        shutil.rmtree(store, ignore_errors=True)
        if bases[base] is not None:
            shutil.copytree(bases[base], store)

    prepare(calm)
    undisturbed = zygote.run(*words, "--store", calm)
    assert plain(undisturbed), undisturbed.err
    expected = asked("answers", calm)
    assert undisturbed.changes > KILLS

    prepare(shaken)
    points = sorted(moments.sample(range(1, undisturbed.changes + 1), KILLS), reverse=True)
    kills: list[dict[str, float]] = [{"kill_at": point} for point in points]
    kills.append({"kill_after_s": moments.uniform(0.02, undisturbed.seconds)})
    n_killed = 0
    for kill in kills:
        ended = zygote.run(*again(words, shaken), "--store", shaken, **kill)
        n_killed += ended.code == -9
        assert ended.code == -9 or plain(ended), ended.err
        looked = THOROUGH or kill is kills[-1]
        if looked and (shaken / "snapshot.duckdb").exists() and base != "broken":
            for reader, answer in asked("answers", shaken).items():
                assert "crashed" not in answer, (reader, answer)
        if ended.code != -9 and words[0] == "erase":
            break  # an erased person cannot be erased again
    assert n_killed
    if words[0] != "erase" or (shaken / "erased" / "journal.json").exists() or still_there(asked, shaken):
        last = zygote.run(*again(words, shaken), "--store", shaken)
        assert plain(last), last.err
    found, told = asked("answers_and_doctor", shaken)
    assert found == expected
    assert not [one for one in told.items() if one[1][0] == "fault"], told
    left = [path.name for path in shaken.rglob("*") if path.name.endswith((".tmp", ".wal"))]
    if words[0] in ("ingest", "build", "erase", "doctor"):
        assert left == []
    shutil.rmtree(calm)
    shutil.rmtree(shaken)


def again(words, store):
    """Return the command after a kill: an interrupted erase is finished without user ids."""
    cut_off = words[0] == "erase" and (store / "erased" / "journal.json").exists()
    return ("erase", "--yes") if cut_off else words


def still_there(asked, store):
    return bool(asked("rows", store, f"select 1 from users where user_id = '{PERSON}'"))


def test_what_is_compared_is_nearly_everything(asked, built):
    relations = asked("answers", built)["sql"]["said"]
    assert len(relations) > 30
    assert not NOT_COMPARED & set(relations)
    assert {"swipes", "photo_labels", "predictions", "faces", "embeddings"} <= set(relations)
