"""features lineage: trees for people, one array of nodes for programs."""

import csv
import io
import json
import sys

import pytest
from typer.testing import CliRunner

from photogenic.app.cli import completion
from photogenic.app.cli.main import program
from photogenic.app.terminal.lineage_tree import tree_rows
from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.lineage import Graph
from tests.warehouse.small import add_facts, store


def found():
    graph = Graph()
    for source, target in (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")):
        graph.link(graph.add("relation", source), graph.add("relation", target))
    return graph.lineage("relation:d")


def test_a_node_has_one_line_and_is_named_where_it_would_stand_again():
    rows = tree_rows(found(), up=True)
    assert [row[0] for row in rows] == ["d", "├─ b", "│  └─ a", "└─ c", "   └─ …"]
    assert rows[-1][3] == "and a, which has a line of its own"


def test_the_other_side():
    graph = Graph()
    graph.link(graph.add("relation", "a"), graph.add("audit", "x", code="sql/audits/x.sql", digest="0123456789abcdef"))
    rows = tree_rows(graph.lineage("relation:a"), up=False)
    assert rows[1] == ("└─ x", "audit", "sql/audits/x.sql 01234567", "")


def test_plain_lines_where_the_output_has_no_others(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert all(row[0].isascii() for row in tree_rows(found(), up=True))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    db = store(tmp_path_factory.mktemp("lineage"))
    add_facts(db, users=[("ann", "female")], photos=[("pa", "ann")], main_photos=[("ann", "pa", 1)])
    build_labels(Store(db))
    return db.layout.root


def run(root, *arguments):
    return CliRunner().invoke(program, ["lineage", *arguments, "--store", str(root)])


def test_both_trees_by_default_and_one_if_asked(root):
    both = run(root, "like_ratios.like_ratio").stdout
    assert "What like_ratios.like_ratio is made from" in both
    assert "What is made from like_ratios.like_ratio" in both
    assert "sql/swipe_counts.sql" in both
    up = run(root, "like_ratios.like_ratio", "--up").stdout
    assert "What is made from" not in up
    assert "facts.swipes.liked" in up
    down = run(root, "like_ratios.like_ratio", "--down").stdout
    assert "photo_labels.popular" in down
    assert "facts.swipes" not in down


def test_json_is_one_array_whose_inputs_are_in_it(root):
    nodes = json.loads(run(root, "photo_labels", "--format", "json").stdout)
    assert nodes[0]["id"] == "relation:photo_labels"
    known = {node["id"] for node in nodes}
    assert len(known) == len(nodes)
    assert all(source in known for node in nodes for source in node["inputs"])
    assert {node["direction"] for node in nodes} == {"root", "up", "down"}
    rows = list(csv.DictReader(io.StringIO(run(root, "photo_labels", "--format", "csv").stdout)))
    assert [row["id"] for row in rows] == [node["id"] for node in nodes]


def test_a_depth_and_a_mistyped_name(root):
    nodes = json.loads(run(root, "photo_labels", "--up", "--depth", "1", "--format", "json").stdout)
    assert {node["depth"] for node in nodes} == {0, 1}
    refused = run(root, "photo_lables")
    assert refused.exit_code == 1
    assert "Try: features lineage photo_labels" in str(refused.exception) + refused.stderr
    refused = run(root, "photo_labels", "--depth", "0")
    assert refused.exit_code == 1
    assert "--depth is 0" in str(refused.exception) + refused.stderr


class Line:
    def __init__(self, root):
        self.params = {"store": str(root)}

    def get_parameter_source(self, _):
        return None


def test_names_are_completed_from_the_store(root):
    assert "photo_labels" in completion.lineage_names(Line(root), "photo_la")
    assert completion.lineage_names(Line(root), "photo_labels.") == [
        f"photo_labels.{name}"
        for name in ("gender", "percentile", "photo_id", "popular", "source", "user_id", "value", "weight")
    ]
    assert completion.lineage_names(Line(root.parent / "nowhere"), "p") == []
