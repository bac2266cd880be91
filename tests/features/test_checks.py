"""Checks of a store: what makes each of them fail, and that a build makes it pass again."""

import datetime as dt

import pytest

from photogenic.features.build import build
from photogenic.features.build_options import BuildOptions
from photogenic.features.build_outcome import last_outcome, recorded
from photogenic.features.checks import check, parse_age
from photogenic.warehouse import AuditError, InputError, Store
from photogenic.warehouse.labels import audits
from tests.features.gallery import Gallery, portrait
from tests.ingest.ingest_store import SWIPES, StoreWithFiles

LABELS = BuildOptions(only="labels")
DAY = dt.timedelta(days=1)


@pytest.fixture
def files(tmp_path):
    return StoreWithFiles(tmp_path)


def checks(store: Store, **options):
    return {one.name: one for one in check(store, **options)}


def failed(store: Store, **options):
    return {name for name, one in checks(store, **options).items() if not one.ok}


def test_labels_that_were_never_built(files):
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n")
    assert failed(files.store, max_age="26h") == {"labels", "age of labels", "last build"}
    assert all(one.remedy == "" for one in check(files.store) if one.ok)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("swipes", SWIPES + "a,c,no,2024-01-02\n"),
        ("users", "user_id,gender\nb,f\n"),
        ("main_photos", "user_id,photo_id,set_at\nb,p,2024-01-01\n"),
    ],
)
def test_labels_are_stale_after_an_ingest_until_the_next_build(files, kind, text):
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n")
    build(files.store, LABELS)
    assert failed(files.store) == set()
    files.take_text(kind, text, "more.csv")
    found = checks(files.store)
    assert {name for name, one in found.items() if not one.ok} == {"labels"}
    assert kind in found["labels"].value
    assert found["labels"].remedy == "features build"
    build(files.store, LABELS)
    assert failed(files.store) == set()


def test_a_night_without_new_data_makes_the_labels_old(files):
    """The same rows again, and a build with other options, bring no new data."""
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n")
    arrived = files.now
    build(files.store, LABELS)
    assert failed(files.store, max_age="26h", now=arrived + DAY) == set()
    files.now += DAY
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n\n", "again.csv")
    build(files.store, BuildOptions(only="labels", force=True))
    assert failed(files.store, max_age="26h", now=arrived + 2 * DAY) == {"age of labels"}
    assert checks(files.store, max_age="26h", now=arrived + 2 * DAY)["age of labels"].value == "48.0 h"
    files.take_text("swipes", SWIPES + "a,c,yes,2024-01-01\n", "new.csv")
    assert failed(files.store, max_age="26h", now=arrived + 2 * DAY) == {"labels", "age of labels"}
    build(files.store, LABELS)
    assert failed(files.store, max_age="26h", now=arrived + 2 * DAY) == set()


def test_labels_of_a_past_moment(files):
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n")
    build(files.store, BuildOptions(only="labels", as_of=dt.datetime(2024, 2, 1), publish=True))
    found = checks(files.store)["labels of"]
    assert (found.ok, found.value) == (False, "as of 2024-02-01T00:00:00Z")
    build(files.store, LABELS)
    assert failed(files.store) == set()


def test_a_failed_audit_is_remembered_without_the_rows(files, monkeypatch):
    files.take_text("swipes", SWIPES + "secret-person,b,yes,2024-01-01\n")
    build(files.store, LABELS)
    files.take_text("swipes", SWIPES + "secret-person,c,yes,2024-01-01\n", "more.csv")

    def broken(con, changed, ask=None):
        one = audits.audit_named("breakdown_in_range")
        audits._fail(one, 1, ["sender_id"], [("secret-person",)])

    with monkeypatch.context() as patch:
        patch.setattr("photogenic.warehouse.labels.compute.audit", broken)
        with pytest.raises(AuditError):
            build(files.store, LABELS)
    found = checks(files.store)
    assert {name for name, one in found.items() if not one.ok} == {"labels", "last build"}
    assert found["last build"].value.startswith("failed: AuditError: The audit breakdown_in_range found 1 rows")
    assert "secret-person" not in files.db.layout.last_build.read_text()
    build(files.store, LABELS)
    assert failed(files.store) == set()


@pytest.mark.parametrize(
    ("problem", "expected"),
    [(KeyboardInterrupt, "interrupted"), (SystemExit, "interrupted"), (ZeroDivisionError, "failed: ZeroDivisionError")],
)
def test_an_interrupted_build_and_one_with_a_bug_are_remembered(files, problem, expected):
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n")
    with pytest.raises(problem), recorded(files.db.layout):
        raise problem
    assert checks(files.store)["last build"].value == expected


def test_a_build_that_runs_is_no_failure(files):
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n")
    with files.db.lock("features build"), recorded(files.db.layout):
        assert last_outcome(files.db).result == "running"
        assert checks(files.store)["last build"].ok
    assert last_outcome(files.db).result == "done"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"result": 1}', b"\xff" * 100, b"[" * 5000])
def test_a_damaged_record_counts_as_none(files, content):
    files.take_text("swipes", SWIPES + "a,b,yes,2024-01-01\n")
    build(files.store, LABELS)
    files.db.layout.last_build.write_bytes(content)
    assert last_outcome(files.db).result == "done"


def test_the_refused_share_of_the_last_files(files):
    files.take_text("swipes", SWIPES + "a,b,glorp,2024-01-01\n" * 50)
    files.now += 2 * DAY
    files.take_text("swipes", SWIPES + "".join(f"a{n},b,yes,2024-01-01\n" for n in range(99)), "good.csv")
    files.take_text("swipes", SWIPES + "a,b,glorp,2024-01-01\n", "bad.csv")
    build(files.store, LABELS)
    assert failed(files.store, max_refused="1%") == set()
    found = checks(files.store, max_refused="0.9%")["refused swipes"]
    assert (found.ok, found.value, found.threshold) == (False, "1 of 100 rows (1 %)", "at most 0.9 %")
    assert "reason = 'bad_liked'" in found.remedy
    assert failed(files.store, max_refused="1") == set()


@pytest.mark.parametrize(
    ("text", "hours"),
    [("26h", 26), ("90min", 1.5), ("90m", 1.5), ("2d", 48), ("0.5 h", 0.5), (dt.timedelta(hours=3), 3)],
)
def test_ages(text, hours):
    assert parse_age(text) == dt.timedelta(hours=hours)


@pytest.mark.parametrize(
    "text", ["nan", "26", "-1h", "1e9h", "", "h", "26 hours", "999999999d", "٣h", 26, None, dt.timedelta(hours=-1)]
)
def test_hostile_ages_are_refused(files, text):
    with pytest.raises(InputError, match="--max-age is"):
        parse_age(text)


@pytest.mark.slow
@pytest.mark.usefixtures("loaded_networks")
def test_new_pictures_need_vectors_and_an_index(tmp_path):
    gallery = Gallery(tmp_path / "store", {f"p{n}": portrait(n) for n in range(3)})
    options = BuildOptions(encoders=("efficientnet_lite0", "dlib_face"))
    build(gallery.store, options)
    assert failed(gallery.store) == set()
    gallery.put({"new": portrait(9), "broken": b"no picture"})
    found = checks(gallery.store)
    assert {name for name, one in found.items() if not one.ok} >= {"vectors efficientnet_lite0", "vectors dlib_face"}
    build(gallery.store, BuildOptions(encoders=("efficientnet_lite0", "dlib_face"), only="embeddings"))
    assert failed(gallery.store) == {"index efficientnet_lite0", "index dlib_face"}
    build(gallery.store, options)
    assert failed(gallery.store) == set()


def test_no_store_is_an_error_of_its_own(files):
    with pytest.raises(Exception, match="There is no store"):
        check(files.store)
