"""The lineage page: places of boxes and lines, links, names that do not exist, and names that strangers wrote."""

import itertools
import random
import re

import pytest

from photogenic import sql
from photogenic.app.serve.pages.lineage_layout import HEIGHT, WIDTH, draw
from tests.app.serve.live_server import live_server
from tests.features.toy import database

PERSON = {"Accept": "text/html"}


def chain(seed, n=60):
    """A random graph without circles."""
    rng = random.Random(seed)
    nodes = [f"n{number}" for number in range(n)]
    edges = {(nodes[rng.randrange(target)], nodes[target]) for target in range(1, n) for _ in range(rng.randrange(4))}
    return nodes, sorted(edges)


@pytest.mark.parametrize("seed", range(5))
def test_boxes_do_not_overlap_and_lines_lead_to_the_right(seed):
    nodes, edges = chain(seed)
    drawing = draw(nodes, edges)
    places = {box.id: (box.x, box.y) for box in drawing.boxes}
    assert list(places) == nodes
    for source, target, _ in drawing.lines:
        assert places[source][0] + WIDTH < places[target][0]
    ordered = sorted(places.values())
    for (x, y), (other_x, other_y) in itertools.pairwise(ordered):
        assert x != other_x or other_y - y >= HEIGHT
    assert all(0 <= x <= drawing.width - WIDTH and 0 <= y <= drawing.height - HEIGHT for x, y in places.values())


@pytest.mark.parametrize("seed", range(5))
def test_left_out_lines_are_replaced_by_longer_ways(seed):
    nodes, edges = chain(seed)

    def reached(lines):
        below = {node: set() for node in nodes}
        for source in reversed(nodes):
            for one, target in lines:
                if one == source:
                    below[source] |= {target, *below[target]}
        return below

    lines = [(source, target) for source, target, _ in draw(nodes, edges).lines]
    assert set(lines) <= set(edges)
    assert reached(lines) == reached(edges)


def test_the_root_has_its_inputs_beside_it():
    edges = [("far", "near"), ("near", "root"), ("other", "root"), ("root", "use")]
    drawing = draw(["root", "far", "near", "other", "use"], edges, "root")
    x = {box.id: box.x for box in drawing.boxes}
    assert x["near"] == x["other"] == x["root"] - (x["use"] - x["root"])
    assert x["far"] < x["near"]


def test_a_drawing_of_one_node_and_of_none():
    assert len(draw(["a"], [], "a").boxes) == 1
    assert draw([], []).boxes == ()


def test_a_relation_has_its_graph_columns_and_code(server):
    text = server.get("/lineage/photo_labels", **PERSON).body.decode()
    for part in ("/lineage/like_ratios", "/lineage/photo_labels.value", "sql/photo_labels.sql", "half_is_popular"):
        assert part in text
    assert re.search(r'aria-current="true"[^>]*class="relation"', text)
    assert "files of swipes" in text


def test_a_column_leads_back_to_its_relation(server):
    text = server.get("/lineage/photo_labels.value", **PERSON).body.decode()
    assert 'A column of <a href="/lineage/photo_labels">' in text
    assert "like_ratios.like_ratio" in text


def test_every_link_of_the_graph_answers(server):
    text = server.get("/lineage/photo_labels", **PERSON).body.decode()
    links = set(re.findall(r'href="(/lineage/[^"]+)"', text))
    assert len(links) > 30
    for link in links:
        assert server.get(link, **PERSON).status == 200, link


def test_an_unknown_name_is_not_found_and_escaped(server):
    answer = server.get("/lineage/%3Cscript%3Ealert(1)", **PERSON)
    assert answer.status == 404
    assert "<script>alert" not in answer.body.decode()
    assert "photo_labels" in server.get("/lineage/photo_lables", **PERSON).body.decode()


def test_file_names_with_markup_are_escaped(tmp_path):
    db = database(tmp_path)
    name = "<img src=x onerror=alert(1)>.csv"
    with db.write("test") as con:
        con.execute(
            "insert into facts.ingests values ('id', 'users', $1, 'a', 1, 1, 0, 0, 0, 0, '{}', 0.1,"
            " timestamp '2024-01-01', 1)",
            [name],
        )
    with live_server(db.layout.root) as server:
        text = server.get("/lineage/users", **PERSON).body.decode()
    assert name not in text
    assert "&lt;img" in text


def test_the_dictionary_of_the_sql_page_links_to_the_lineage(server):
    text = server.get("/sql", **PERSON).body.decode()
    assert all(f'href="/lineage/{name}"' in text for name in sql.NAMES)


def test_the_api_has_nodes_edges_and_columns(server):
    answer = server.get("/api/v1/lineage/photo_labels?up=true&depth=1").json
    assert answer["root"] == "relation:photo_labels"
    assert {node["direction"] for node in answer["nodes"]} == {"root", "up"}
    known = {node["id"] for node in answer["nodes"]}
    assert all({edge["source"], edge["target"]} <= known for edge in answer["edges"])
    (value,) = (column for column in answer["columns"] if column["name"] == "value")
    assert value["columns"] == ["follower_ratios.ratio", "like_ratios.like_ratio"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/lineage/photo_lables", 404, "not_found"),
        ("/api/v1/lineage/photo_labels?depth=0", 400, "bad_request"),
        ("/api/v1/lineage/photo_labels?sideways=true", 400, "bad_request"),
    ],
)
def test_the_api_refuses_what_it_does_not_know(server, path, status, code):
    answer = server.get(path)
    assert (answer.status, answer.code) == (status, code)
