"""The code in a lineage: encoders with their networks and weights, the face detector; and what a build makes stale."""

import datetime as dt

import pytest

from photogenic.features import consequences as room
from photogenic.features import lineage as module
from photogenic.features.consequences import consequences
from photogenic.features.faces.settings import FaceSettings
from photogenic.features.lineage import described, lineage, overview
from photogenic.features.pictures.values import StoredFeature
from photogenic.warehouse import InputError, Store, StoreError
from photogenic.warehouse.labels.build import build_labels
from tests.warehouse.small import add_facts, store

NOW = dt.datetime(2024, 3, 1)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    db = store(tmp_path_factory.mktemp("code"))
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male")],
        photos=[("pa", "ann")],
        main_photos=[("ann", "pa", 1)],
        swipes=[("bob", "ann", True, 2)],
        faces=[("pa", 0.9)],
    )
    build_labels(Store(db))
    with db.write("test") as con:
        for name, given in (("dlib_face", "face"), ("timm:resnet18", "photo"), ("of_somebody", "photo")):
            con.execute("insert into facts.embeddings values ($1, 128, 1, $2, 'abc', 'flat', 1, 1, 1)", [name, given])
        con.execute("insert into facts.neighbour_sets values ('dlib_face', 5, 'x', 1)")
        con.execute(
            "insert into facts.runs (run_id, target, setup, encoder, head, metric, n_train, n_test, hyperparameters,"
            " results, created_at) values ('r', 'like_ratio', 'all', 'dlib_face', '0fc', 'mse', 1, 1, '{}', '{}', $1)",
            [NOW],
        )
        con.execute(
            "insert into facts.training_sets values"
            " ('set', 1, 'photos', null, 'gender', ['users.followers'], null, null, 9, '{}', $1, 'ok')",
            [NOW],
        )
    (db.layout.faces / FaceSettings().digest).mkdir(parents=True)
    return Store(db)


def named(nodes):
    return {node.id: node for node in nodes}


def test_vectors_lead_to_network_weights_pictures_and_the_detector(opened):
    up = named(lineage(opened, "neighbours", up=True).up)
    assert {"index:dlib_face", "vectors:dlib_face", "table:facts.faces", "table:facts.photo_files"} <= set(up)
    network = up["encoder:dlib_face"]
    assert network.code == "features/encoders/networks/dlib_face.py:DlibFace"
    assert "dlib_face_recognition" in network.detail
    detector = up["code:face detector short"]
    assert detector.digest == FaceSettings().digest
    assert "SHA-256" in detector.detail


def test_encoders_that_are_not_here_have_a_line_too(opened):
    up = named(lineage(opened, "embeddings", up=True).up)
    assert up["encoder:of_somebody"].detail == "no encoder of this name is registered here"
    assert up["encoder:timm:resnet18"].code == "timm"


def test_neither_side_means_both(opened):
    both, up = lineage(opened, "photo_labels"), lineage(opened, "photo_labels", up=True)
    assert both.up == up.up
    assert both.down
    assert up.down == ()
    assert lineage(opened, "photo_labels", up=True, down=True) == both


@pytest.mark.parametrize("depth", [0, -1])
def test_a_depth_below_one_is_refused(opened, depth):
    with pytest.raises(InputError, match=f"depth is {depth}"):
        lineage(opened, "photo_labels", depth=depth)


def test_no_store_no_lineage(tmp_path):
    with pytest.raises(StoreError):
        lineage(Store(store(tmp_path)), "photos")


def test_columns_of_a_relation_have_their_direct_sources(opened):
    found, lines = described(opened, "recipient_counts")
    assert found.root.name == "recipient_counts"
    assert [(one.name, one.columns, one.rows) for one in lines] == [
        ("recipient_id", ("swipes.recipient_id",), ()),
        ("n_swipes", (), ("swipes",)),
        ("n_likes", ("swipes.liked",), ()),
    ]
    assert described(opened, "facts.swipes")[1] == []


def test_the_overview_has_every_relation_once(opened):
    found, relations = overview(opened)
    assert len(relations) == len({one.id for one in relations}) == 1 + len(found.up)
    assert {edge.target for edge in found.edges} <= {one.id for one in relations}


def of(opened, **changed):
    nothing = {"relations": (), "tables": (), "vectors": (), "planned": ()}
    return [(one.step, one.name, one.n, one.why) for one in consequences(opened, **nothing | changed)]


def test_runs_and_sets_of_a_changed_relation_are_named(opened):
    assert of(opened, relations=["photo_labels"]) == [
        ("runs", "like_ratio by dlib_face", 1, "made from the former photo_labels; kept as it is"),
        ("training sets", "set v1", 9, "made from the former photo_labels; kept as it is"),
    ]
    assert of(opened, relations=["users"]) == [
        ("training sets", "set v1", 9, "made from the former users; kept as it is")
    ]
    assert of(opened, vectors=["dlib_face"]) == [
        ("runs", "like_ratio by dlib_face", 1, "made from the former vectors of dlib_face; kept as it is")
    ]


def test_new_faces_may_change_the_relations_below_them_that_are_not_planned(opened):
    found = of(opened, tables=["facts.faces"], planned=["funnel"])
    steps = {name: why for step, name, _, why in found if step == "labels"}
    assert steps["photo_setups"] == "may change with new faces"
    assert "funnel" not in steps
    assert "recipient_counts" not in steps


def test_no_work_has_no_consequences_and_reads_nothing(opened, monkeypatch):
    monkeypatch.setattr(room, "read_graph", None)
    assert of(opened) == []


def test_a_picture_feature_leads_to_its_function_and_to_faces_where_it_takes_them(opened, monkeypatch):
    held = StoredFeature("photo_quality", "photo", "d" * 64, 3, "how a photo looks", (), 7, {"ok": 6, "error": 1})
    gone = StoredFeature("gone", "face", "e" * 64, 1, "of somebody", (), 2, {"ok": 2})
    monkeypatch.setattr(module, "held_features", lambda _: {"photo_quality": held, "gone": gone})
    up = named(lineage(opened, "photo_quality", up=True).up)
    function = up["code:picture feature photo_quality"]
    assert function.code.startswith("features/pictures/photo_quality.py:")
    assert function.detail.endswith("version 3: 7 photos, 1 failed")
    assert function.digest == "d" * 16
    assert "table:facts.photo_files" in up


def test_a_picture_feature_without_code_has_its_line(opened, monkeypatch):
    with opened.database.write("test") as con:
        con.execute("create table if not exists facts.picture_gone (sha256 varchar)")
    held = StoredFeature("gone", "face", "e" * 64, 1, "of somebody", (), 2, {"ok": 2})
    monkeypatch.setattr(module, "held_features", lambda _: {"gone": held})
    up = named(lineage(opened, "facts.picture_gone", up=True).up)
    assert up["code:picture feature gone"].detail.startswith("its code is not here")
    assert "table:facts.faces" in up


def test_new_values_of_a_feature_reach_the_sets_that_have_them(opened):
    with opened.database.write("test") as con:
        con.execute(
            "insert into facts.training_sets values"
            " ('looks', 1, 'photos', null, 'gender', ['photo_quality.sharpness'], null, null, 5, '{}', $1, 'ok')",
            [NOW],
        )
    assert ("training sets", "looks v1", 5, "made from the former photo_quality; kept as it is") in of(
        opened, tables=["facts.picture_photo_quality"]
    )
