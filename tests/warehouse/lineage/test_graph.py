"""Which nodes stand above and below one, how far, and with which edges."""

from photogenic.warehouse.lineage import Edge, Graph


def graph_of(*edges):
    graph = Graph()
    for source, target in edges:
        graph.link(graph.add("relation", source), graph.add("relation", target))
    return graph


def names(nodes):
    return [node.name for node in nodes]


def test_both_sides_of_a_node_nearest_first():
    found = graph_of(("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("x", "d")).lineage("relation:c")
    assert names(found.up) == ["b", "a"]
    assert names(found.down) == ["d"]
    assert set(found.edges) == {
        Edge(f"relation:{source}", f"relation:{target}") for source, target in ("ab", "bc", "ac", "cd")
    }
    assert found.depths == {"relation:c": 0, "relation:b": 1, "relation:a": 1, "relation:d": 1}


def test_a_depth_cuts_the_far_nodes_and_their_edges():
    found = graph_of(("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")).lineage("relation:c", depth=1)
    assert (names(found.up), names(found.down)) == (["b"], ["d"])
    assert len(found.edges) == 2


def test_one_side_alone():
    graph = graph_of(("a", "b"), ("b", "c"))
    assert graph.lineage("relation:b", down=False).down == ()
    assert names(graph.lineage("relation:b", up=False).down) == ["c"]


def test_an_edge_past_the_node_belongs_to_no_side():
    found = graph_of(("a", "b"), ("b", "c"), ("a", "c")).lineage("relation:b")
    assert Edge("relation:a", "relation:c") not in found.edges


def test_a_node_is_added_once_and_keeps_what_it_knows():
    graph = Graph()
    graph.add("encoder", "e", code="file.py")
    graph.add("encoder", "e", code="", detail="less")
    assert graph.nodes["encoder:e"].code == "file.py"


def test_records_name_direction_depth_and_inputs():
    records = graph_of(("a", "b"), ("b", "c")).lineage("relation:b").records()
    assert [(one["direction"], one["depth"], one["name"], one["inputs"]) for one in records] == [
        ("root", 0, "b", ["relation:a"]),
        ("up", 1, "a", []),
        ("down", 1, "c", ["relation:b"]),
    ]
