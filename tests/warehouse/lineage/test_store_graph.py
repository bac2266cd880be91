"""The graph of a store: files behind a number, runs and audits that depend on it, names that do not exist."""

import datetime as dt
import json

import pytest

from photogenic import sql
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.lineage.sources import COMMANDS, FILES, RECORDS, TARGETS
from photogenic.warehouse.lineage.store_graph import StoreGraph
from tests.warehouse.small import add_facts, store

NOW = dt.datetime(2024, 3, 1)


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    db = store(tmp_path_factory.mktemp("lineage"))
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male")],
        photos=[("pa", "ann")],
        main_photos=[("ann", "pa", 1)],
        swipes=[("bob", "ann", True, 2)],
    )
    with db.write("test") as con:
        for batch in range(1, 9):
            con.execute(
                "insert into facts.ingests values ($1, 'swipes', $2, $3, 3, 1, 0, 0, 1, 1, '{}', 0.1, $4, $5)",
                [f"id{batch}", f"file{batch}.csv", f"{batch:064d}", NOW, batch],
            )
        run = ["r1", "like_ratio", "all", "dlib_face", "0fc", "mse", 0.1, 0.1, 0.1, 1, 1]
        columns = "run_id, target, setup, encoder, head, metric, dev, test, baseline, n_train, n_test"
        insert = f"insert into facts.runs ({columns}, hyperparameters, results, created_at)"
        con.execute(f"{insert} values ({', '.join('?' * 14)})", [*run, "{}", "{}", NOW])
        own = json.dumps({"inputs": [{"name": "users.followers", "missing": {}}], "weight": "photo_counts.n_swipes"})
        con.execute(
            f"{insert} values ({', '.join('?' * 14)})", ["r2", "photo_counts.n_likes", *run[2:], own, "{}", NOW]
        )
        con.execute(
            "insert into facts.training_sets values ('set', 2, 'photo_periods', 'valid_from', 'like_ratio',"
            " ['users.gender', 'dlib_face'], null, null, 7, '{}', $1, 'ok')",
            [NOW],
        )
        con.execute("insert into facts.embeddings values ('dlib_face', 128, 1, 'face', 'abc', null, null, null, null)")
    build_labels(Store(db))
    return db


@pytest.fixture
def graph(db):
    with db.read() as con:
        return StoreGraph.of(con)


def ids(nodes):
    return {node.id for node in nodes}


def test_a_column_leads_to_its_files_and_their_counts_add_up(graph):
    found = graph.lineage("photo_labels.value", down=False)
    assert {"column:swipes.liked", "column:facts.swipes.liked", "files:files of swipes"} <= ids(found.up)
    (files,) = (node for node in found.up if node.kind == "files")
    assert files.n == 8
    assert "8 new rows" in files.detail
    named = [node.name for node in found.up if node.kind == "file"]
    assert named == [*(f"file{n}.csv ({n})" for n in (8, 7, 6, 5, 4)), "3 older files of swipes"]
    assert found.root.code == "sql/photo_labels.sql"
    assert len(found.root.digest) == 16


def test_options_stand_above_the_relations_that_they_set(graph):
    assert "option:min_swipes" in ids(graph.lineage("photo_labels", down=False).up)
    assert "relation:photo_labels" in ids(graph.lineage("min_swipes").down)
    (option,) = (node for node in graph.lineage("photo_labels", down=False).up if node.name == "min_swipes")
    assert option.detail == "1 in the last build"


def test_runs_sets_and_audits_stand_below_what_they_were_made_from(graph):
    down = ids(graph.lineage("photo_labels", up=False).down)
    assert {"runs:like_ratio by dlib_face", "training set:set v2", "audit:half_is_popular"} <= down
    assert "runs:photo_counts.n_likes by dlib_face" not in ids(graph.lineage("photo_labels", up=False, depth=1).down)
    assert "training set:set v2" in ids(graph.lineage("dlib_face", up=False).down)


def test_a_column_has_only_the_runs_that_use_it(graph):
    assert "runs:photo_counts.n_likes by dlib_face" in ids(graph.lineage("users.followers", up=False).down)
    assert "runs:photo_counts.n_likes by dlib_face" in ids(
        graph.lineage("photo_counts.n_likes", up=False, depth=1).down
    )
    assert "training set:set v2" in ids(graph.lineage("users.gender", up=False, depth=1).down)
    below = ids(graph.lineage("photo_labels.percentile", up=False).down)
    assert not any(one.startswith(("runs", "training")) for one in below)


def test_a_column_that_only_chooses_rows_makes_the_whole_relation_stale(graph):
    down = ids(graph.lineage("facts.swipes.ingested_at", up=False).down)
    assert {"relation:swipes", "relation:recipient_counts", "relation:photo_labels"} <= down


@pytest.mark.parametrize(
    ("name", "what", "remedy"),
    [
        ("photo_label", "'photo_label'", "features lineage photo_labels"),
        ("photo_label.value", "'photo_label'", "features lineage photo_labels"),
        ("photo_labels.valu", "no column 'valu'", "features lineage photo_labels.value"),
        ("facts.swipe", "There is no relation", "features lineage"),
        ("min_swipe", "'min_swipe'", "features lineage min_swipes"),
        ("", "There is no relation", 'features sql "show tables"'),
    ],
)
def test_an_unknown_name_is_answered_with_near_ones(graph, name, what, remedy):
    with pytest.raises(InputError, match=what) as refused:
        graph.lineage(name)
    assert refused.value.remedy.startswith(remedy)


def test_every_base_table_that_a_relation_reads_is_filled_by_something(graph):
    """Files or a command; and nothing in the tables of sources names what does not exist."""
    for node in list(graph.graph.nodes.values()):
        if node.kind == "table" and any(one.startswith("relation") for one in graph.graph.uses(node.id)):
            assert node.name in FILES or list(graph.graph.inputs(node.id)), node.name
    for table in (*FILES, *COMMANDS, *RECORDS):
        assert table in graph.columns
    for column in (one for columns in TARGETS.values() for one in columns):
        relation, _, name = column.partition(".")
        assert name in graph.columns[relation]


def test_commands_that_never_ran_are_left_out(graph):
    commands = {node.name for node in graph.lineage("photos", down=False).up if node.kind == "command"}
    assert commands == {"features build"}


def test_the_graph_has_every_relation_and_audit_and_no_circle(graph):
    nodes = graph.graph.nodes
    assert {f"relation:{name}" for name in sql.NAMES} <= set(nodes)
    assert {f"audit:{name}" for name in sql.audits()} <= set(nodes)
    for node in nodes:
        assert node not in graph.graph.above(node)
