"""Features in a build: only what is missing, each photo decoded once, failures as rows, and nothing lost or stale."""

from __future__ import annotations

import pytest

from photogenic import FeatureStore, feature
from photogenic.features.build import build
from photogenic.features.build_options import BuildOptions
from photogenic.features.checks import check
from photogenic.features.compute import preprocess, process_pool
from photogenic.features.compute.pipeline import compute
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.pictures import registry
from photogenic.features.pictures.values import held_features
from photogenic.features.plan import plan
from photogenic.features.status import status
from photogenic.maintenance.backup.backup import backup
from photogenic.maintenance.backup.restore import restore
from photogenic.maintenance.doctor.checks import examine
from photogenic.maintenance.erase.erase import erase
from photogenic.warehouse import Database, InputError, Layout, Store
from photogenic.warehouse.user_modules import use_project_module
from tests.features.gallery import Gallery, portrait

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_features", "loaded_networks")]

X = {"x": "double: a number"}
FAILING = (101, 102, 103, 104, 105)


@pytest.fixture
def gallery(tmp_path):
    photos = {f"p{i}": portrait(i, size=200 + 20 * i) for i in range(3)}
    return Gallery(
        tmp_path / "store", {**photos, "again": photos["p1"], "crowd": portrait(7, people=2), "cut": b"\xff\xd8"}
    )


@pytest.fixture
def decoded(monkeypatch):
    """Digests of the photos that were decoded, one entry per decode."""
    seen = []
    plain = preprocess.decode_photos

    def counted(photos, device):
        for data, photo in plain(photos, device):
            seen.append(data)
            yield data, photo

    monkeypatch.setattr(preprocess, "decode_photos", counted)
    monkeypatch.setattr(preprocess, "decode", lambda *_: pytest.fail("a photo is decoded twice"))
    return seen


def mean_of(gallery, relation="mine"):
    return dict(gallery.sql(f"select photo_id, x from {relation}"))


def test_a_photo_is_decoded_once_for_everything(gallery, decoded, own_module):
    report = compute(
        gallery.store, ["efficientnet_lite0", "dlib_face"], features=["photo_quality", "redness", "frames"]
    )
    assert len(decoded) == 5  # `again` has the bytes of p1
    assert report.features == dict.fromkeys(("photo_quality", "redness", "frames"), 4)
    assert {"decode": 5, "feature redness": 4, "feature frames": 4}.items() <= report.counts.items()
    assert gallery.sql("select photo_id, n_faces, wide, size, status from frames order by all") == [
        ("again", 1, False, "220x220", "ok"),
        ("crowd", 2, False, "256x256", "ok"),
        ("p0", 1, False, "200x200", "ok"),
        ("p1", 1, False, "220x220", "ok"),
        ("p2", 1, False, "240x240", "ok"),
    ]
    again = compute(gallery.store, ["efficientnet_lite0", "dlib_face"], features=["photo_quality", "redness", "frames"])
    assert (again.n_decoded, again.features, len(decoded)) == (0, {}, 5)


def test_a_later_feature_uses_the_stored_faces_and_no_network(gallery, decoded, own_module, monkeypatch):
    compute(gallery.store, [], features=["face_light"])
    first = gallery.sql("from face_light order by all")
    decoded.clear()
    with monkeypatch.context() as patch:
        patch.setattr(process_pool, "Detector", lambda *_: pytest.fail("no face is missing"))
        compute(gallery.store, [], features=["frames", "photo_quality"])
    assert len(decoded) == 4
    assert gallery.sql("select photo_id, n_faces from frames where photo_id = 'crowd'") == [("crowd", 2)]
    assert gallery.sql("select count(*) from photo_quality where face_share > 0") == [(5,)]
    # The faces of a feature in the same pass are those that are stored, to the bit.
    redone = Gallery(gallery.layout.root.parent / "other", {"p1": portrait(1, size=220)})
    compute(redone.store, [], features=["frames", "photo_quality", "face_light"])
    shared = "select * from photo_quality where photo_id = 'p1'"
    assert gallery.sql(shared) == redone.sql(shared)
    assert [row for row in first if row[0] == "p1"] == redone.sql("from face_light")


def test_failures_are_rows_and_are_tried_again_when_asked(gallery, own_module):
    gallery.put({f"d{width}": portrait(5, size=width) for width in FAILING})
    report = compute(gallery.store, [], features=["deadly"])
    assert report.failed == {"deadly": 4}
    rows = gallery.sql("select photo_id, x, status, detail from deadly where photo_id like 'd%' order by photo_id")
    assert [row[:3] for row in rows] == [
        ("d101", None, "error"),
        ("d102", None, "wrong_result"),
        ("d103", None, "killed"),
        ("d104", None, "timeout"),
        ("d105", None, "ok"),
    ]
    assert rows[0][3].startswith("ValueError: in ... of it, line")
    assert rows[2][3] == "the process of the function ended: exit code 7"
    assert held_features(gallery.layout)["deadly"].n_errors == 4
    assert compute(gallery.store, [], features=["deadly"]).n_decoded == 0
    again = compute(gallery.store, [], features=["deadly"], retry=True)
    assert (again.n_decoded, again.failed) == (4, {"deadly": 4})
    assert len(gallery.sql("from deadly")) == 10
    assert mean_of(gallery, "deadly")["p0"] == 200.0


@pytest.mark.thorough
def test_processes_answer_like_threads(gallery, own_module, monkeypatch):
    gallery.put({f"d{width}": portrait(5, size=width) for width in (101, 103)})
    names = ["deadly", "face_light", "frames", "photo_quality", "redness"]
    compute(gallery.store, [], features=names)
    beside = Gallery(gallery.layout.root.parent / "beside", {})
    monkeypatch.setattr(process_pool, "FROM_THREADS", 2)
    monkeypatch.setattr(process_pool, "LEAST_PHOTOS", 1)
    for photo_id, sha256 in gallery.sql("select photo_id, sha256 from photos where sha256 is not null"):
        beside.put({photo_id: gallery.layout.photo(sha256).read_bytes()})
    compute(beside.store, [], features=names)
    for name in names:
        query = f"select * exclude detail from {name} order by all"
        assert gallery.sql(query) == beside.sql(query), name
        assert len(gallery.sql(query)) >= 6


def test_a_function_of_a_notebook_runs_in_this_process(gallery):
    seen = []

    def mine(pixels):
        seen.append(pixels.shape)
        return {"x": pixels.shape[0]}

    mine.__module__ = "__main__"
    feature(columns=X)(mine)
    compute(gallery.store, [], features=None)
    assert len(seen) == 4
    assert mean_of(gallery)["p2"] == 240.0


def test_changed_code_computes_again_and_a_changed_comment_does_not(gallery, decoded):
    def register(function, **options):
        function.__module__ = "__main__"
        feature(name="mine", **{"columns": X, **options})(function)
        decoded.clear()
        compute(gallery.store, [], features=["mine"])
        return len(decoded)

    assert register(lambda pixels: {"x": 1.0}) == 5
    assert register(lambda pixels: {"x": 1.0}) == 0
    assert register(lambda pixels: {"x": 1.0}, columns={"x": "double: another comment"}) == 0
    (text,) = gallery.sql("select definition from facts.own_relations where relation = 'mine'")[0]
    assert "-- another comment" in text
    assert register(lambda pixels: {"x": 2.0}) == 4
    assert set(mean_of(gallery).values()) == {2.0}
    assert register(lambda pixels: {"x": 2.0}, version=2) == 4
    assert register(lambda pixels: {"y": 2}, columns={"y": "bigint: another column"}) == 4
    assert gallery.sql("select distinct y from mine") == [(2,)]
    assert len(list(gallery.layout.picture_feature("mine").glob("*.parquet"))) == 1


def test_faces_count_for_functions_that_see_them(gallery, own_module):
    compute(gallery.store, [], features=["redness", "frames"])
    report = compute(gallery.store, [], features=["redness", "frames"], faces=FaceSettings(confidence=0.999))
    assert report.features == {"frames": 4}
    assert gallery.sql("select sum(n_faces) from frames") == [(0,)]


def test_new_changed_and_vanished_photos(gallery, own_module):
    compute(gallery.store, [], features=["redness", "face_light"])
    gallery.drop("p2")
    gallery.put({"new": portrait(20), "p0": portrait(21)})
    assert compute(gallery.store, [], features=["redness"]).features == {"redness": 2}
    assert {row[0] for row in gallery.sql("select photo_id from redness")} == {"again", "crowd", "new", "p0", "p1"}
    # face_light was not asked for: its rows of photos that are gone leave all the same.
    assert {row[0] for row in gallery.sql("select photo_id from face_light")} == {"again", "crowd", "p1"}
    assert {name: held.n_photos for name, held in held_features(gallery.layout).items()} == {
        "redness": 4,
        "face_light": 2,
    }


def test_without_its_code_values_stay_and_status_names_it(gallery, own_module, monkeypatch):
    compute(gallery.store, [], features=None)
    before = gallery.sql("from redness order by all")
    monkeypatch.delenv("FEATURES_MODULES")
    monkeypatch.setattr(registry, "_OWN", {})
    report = build(gallery.store, BuildOptions(only="features"))
    assert gallery.sql("from redness order by all") == before
    (note,) = [note for note in report.notes if note.startswith("The values of redness")]
    assert "features.py" in note
    assert "FEATURES_MODULES" in note
    found = status(gallery.store)["picture_features"]
    assert (found["redness"]["code"], found["redness"]["remedy"]) == ("missing", note)
    assert found["photo_quality"] == {
        "n_photos": 4,
        "n_pictures": 4,
        "n_errors": 0,
        "statuses": {"ok": 4},
        "version": 1,
        "code": "here",
        "remedy": "",
    }
    (failed,) = [one for one in check(gallery.store) if one.name == "feature redness"]
    assert (failed.ok, failed.value) == (False, "code missing")
    with pytest.raises(InputError, match="There is no feature of a picture called 'redness'"):
        build(gallery.store, BuildOptions(features=["redness"]))
    # Whoever removes the values removes the relation with them.
    for path in gallery.layout.picture_feature("redness").iterdir():
        path.unlink()
    build(gallery.store, BuildOptions(only="features"))
    assert gallery.sql("select relation from own_relations where relation = 'redness'") == []


def test_names_that_something_else_has(gallery):
    feature(name="select", columns=X)(lambda pixels: {"x": 1})
    with pytest.raises(InputError, match="A feature of a picture is called select, which is a word of SQL"):
        compute(gallery.store, [], features=["select"])
    feature(name="mine", columns={"order": "double: a word"})(lambda pixels: {"order": 1})
    with pytest.raises(InputError, match="has a column order, which is a word of SQL"):
        compute(gallery.store, [], features=["mine"])
    with gallery.db.write("test") as con:
        con.execute(
            "insert into facts.own_relations (relation, kind, definition, parameters, status) values"
            " ('taken', 'sql', '', '{}', 'pending')"
        )
    feature(name="taken", columns=X)(lambda pixels: {"x": 1})
    with pytest.raises(InputError, match="is called taken, which is a relation of the project"):
        compute(gallery.store, [], features=["taken"])


def test_the_plan_counts_what_the_build_computes(gallery, own_module):
    options = BuildOptions(only="features", features=["redness", "photo_quality"])
    found = plan(gallery.store, options)
    assert (found.n_decoded, found.n_features) == (5, {"redness": 5, "photo_quality": 5})
    build(gallery.store, options)
    assert not plan(gallery.store, options).changes
    gallery.put({"new": portrait(30)})
    found = plan(gallery.store, options)
    assert found.n_features == {"redness": 1, "photo_quality": 1}
    assert found.seconds["feature redness"] > 0


def test_a_moment_sees_the_photos_of_that_moment(gallery, own_module):
    compute(gallery.store, [], features=["redness", "photo_quality"])
    gallery.put({"late": portrait(33)})
    compute(gallery.store, [], features=["redness", "photo_quality"])
    with FeatureStore(gallery.layout.root) as store:
        for name in ("redness", "photo_quality"):
            ids = f"select photo_id from {name} order by all"
            assert "late" in store.sql(ids)["photo_id"].to_list()
            assert store.sql(ids, known_at="2024-01-02T12:00:00")["photo_id"].to_list() == [
                "again",
                "crowd",
                "p0",
                "p1",
                "p2",
            ]


def test_an_erase_leaves_nothing(gallery, own_module):
    compute(gallery.store, [], features=None)
    gone = gallery.sql("select sha256 from photos where photo_id = 'crowd'")[0][0]
    kept = gallery.sql("select sha256 from photos where photo_id = 'p1'")[0][0]
    erase(gallery.store, ["user of crowd", "user of again"])
    for name in ("redness", "face_light", "frames", "photo_quality"):
        assert {row[0] for row in gallery.sql(f"select photo_id from {name}")} == {"p0", "p1", "p2"}, name
        assert gone not in {row[0] for row in gallery.sql(f"select sha256 from facts.picture_{name}")}
        held = held_features(gallery.layout)[name]
        assert (held.n_photos, held.statuses) == (3, {"ok": 3})
    assert not any(gone.encode() in path.read_bytes() for path in gallery.layout.root.rglob("*.parquet"))
    assert kept in {row[0] for row in gallery.sql("select sha256 from facts.picture_redness")}
    assert compute(gallery.store, [], features=None).n_decoded == 0


def test_a_backup_has_the_values_and_doctor_repairs_them(gallery, own_module, tmp_path):
    compute(gallery.store, [], features=["redness"])
    before = gallery.sql("from redness order by all")
    backup(gallery.store, tmp_path / "backup")
    restored = Store(Database(Layout(tmp_path / "restored"), gallery.db.settings))
    restore(restored, tmp_path / "backup")
    with restored.database.read() as con:
        assert con.execute("from redness order by all").fetchall() == before
    assert compute(restored, [], features=["redness"]).n_decoded == 0
    (part,) = restored.layout.picture_feature("redness").glob("*.parquet")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 255
    part.write_bytes(data)
    findings = {one.check: one.state for one in examine(restored, thorough=True, fix=True)}
    assert findings["feature redness"] == "fixed"
    compute(restored, [], features=["redness"])
    with restored.database.read() as con:
        assert con.execute("from redness order by all").fetchall() == before


def test_features_py_of_a_project(gallery, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    project = tmp_path / "lab"
    FeatureStore.init_project(project)
    text = """
from photogenic import feature

@feature(columns={"blue": "double: mean of blue, 0 to 255"})
def blueness(pixels):
    return {"blue": pixels[..., 2].mean()}
"""
    (project / "features.py").write_text(text)
    (project / "relations").joinpath("blue_owners.sql").write_text(
        "-- blue_owners: each user with the mean blue of the photos.\n--\n-- grain:  user_id\n"
        "-- reads:  blueness, photos\n-- time:   as of the clock\n-- source: this test\n"
        "select\n    cast(user_id as varchar) as user_id, -- the user\n"
        "    cast(avg(blue) as double) as blue       -- mean of the photos\n"
        "from blueness inner join photos using (photo_id)\ngroup by user_id\n"
    )
    with FeatureStore(gallery.layout.root, project=project) as store:
        store.build(only="features")
        assert store.sql("select distinct status from blueness")["status"].to_list() == ["ok"]
        first = store.sql("from blue_owners order by all")
        assert len(first) == 5
        # The relation over the feature follows a change of its code.
        (project / "features.py").write_text(text.replace("[..., 2].mean()", "[..., 2].mean() + 1000"))
    with FeatureStore(gallery.layout.root, project=project) as store:
        store.build(only="features")
        assert (store.sql("from blue_owners order by all")["blue"] > 1000).all()
    use_project_module(None)
    with FeatureStore(gallery.layout.root) as store:
        report = store.build(only="features")
        assert any(note.startswith("The values of blueness were left as they are") for note in report.notes)
        assert len(store.sql("from blueness")) == 5
