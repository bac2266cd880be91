"""A store has the definitions of one project; a build of another one is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from photogenic.features.build import build
from photogenic.features.build_options import BuildOptions
from photogenic.features.plan import plan
from photogenic.warehouse import Store
from photogenic.warehouse.definitions.link import linked_project
from photogenic.warehouse.errors import ConflictError
from tests.warehouse.definitions.own import received, within
from tests.warehouse.small import add_facts, ask, store


@pytest.fixture
def db(tmp_path):
    db = store(tmp_path)
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male")],
        photos=[("p1", "ann")],
        main_photos=[("ann", "p1", 1)],
        swipes=[("bob", "ann", True, 2)],
    )
    return db


LABELS = BuildOptions(only="labels")


def of(db, name, **more):
    relation = f"received_{name}"
    return within(db, {relation: received(relation)}, project_id=f"id-{name}", name=name, path=Path(f"/{name}"), **more)


def test_a_build_links_the_store_and_a_build_elsewhere_leaves_it(db):
    assert linked_project(db) is None
    report = build(of(db, "one"), LABELS)
    assert "The store has the definitions of the project one from now on." in report.notes
    linked = linked_project(db)
    assert (linked.project_id, linked.name, linked.path) == ("id-one", "one", Path("/one"))
    assert build(of(db, "one"), LABELS).notes == []
    build(Store(db), LABELS)
    assert linked_project(db) == linked
    assert ask(db, "from received_one") == [("ann", 1)]


@pytest.mark.parametrize("work", [build, plan])
def test_a_build_of_another_project_is_refused_and_changes_nothing(db, work):
    build(of(db, "one"), LABELS)
    before = db.layout.snapshot.stat().st_mtime_ns
    message = r"has the definitions of the project one in /one, and this build is of the project two in /two\.\n.*\n"
    with pytest.raises(ConflictError, match=message + "Try: features build --replace-project"):
        work(of(db, "two"), LABELS)
    assert db.layout.snapshot.stat().st_mtime_ns == before


def test_the_remedy_is_the_other_folder_if_it_is_there(db, tmp_path):
    (tmp_path / "photogenic.toml").write_text('[project]\nid = "id-one"')
    own = of(db, "one")
    build(replace(own, project=replace(own.project, path=tmp_path)), LABELS)
    with pytest.raises(ConflictError, match=f"Try: features build --project {tmp_path}"):
        build(of(db, "two"), LABELS)


def test_another_project_replaces_it_where_that_is_asked_for(db):
    build(of(db, "one"), LABELS)
    report = build(of(db, "two"), BuildOptions(only="labels", replace_project=True))
    assert "The definitions of the project two replace those of one." in report.notes
    assert linked_project(db).name == "two"
    assert ask(db, "select relation, status from own_relations") == [("received_two", "ok")]
    with pytest.raises(ConflictError):
        build(of(db, "one"), LABELS)


def test_a_build_that_dies_after_the_link_is_completed_by_the_next(db, monkeypatch):
    build(of(db, "one"), LABELS)
    with monkeypatch.context() as patched:
        patched.setattr("photogenic.features.build.build_labels", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build(of(db, "two"), BuildOptions(only="labels", replace_project=True))
    build(of(db, "two"), LABELS)
    assert ask(db, "select relation, status from own_relations") == [("received_two", "ok")]


def test_a_copy_with_the_same_id_is_the_same_project_at_another_place(db):
    build(of(db, "one"), LABELS)
    own = of(db, "one")
    moved = replace(own, project=replace(own.project, path=Path("/copy of one")))
    (note,) = build(moved, LABELS).notes
    assert note.startswith("The project one was built from /one before, and from /copy of one now.")
    assert build(moved, LABELS).notes == []
    assert linked_project(db).path == Path("/copy of one")
    renamed = replace(moved, project=replace(moved.project, name="other"))
    build(renamed, LABELS)
    assert linked_project(db).name == "other"


def test_a_folder_whose_name_is_not_utf8_is_recorded(db):
    own = of(db, "one")
    build(replace(own, project=replace(own.project, path=Path("/lab-\udcff"))), LABELS)
    assert linked_project(db).path == Path("/lab-\\udcff")
    build(Store(db), LABELS)
