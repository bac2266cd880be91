"""Where the numbers of a store come from, up to the networks: the graph of the warehouse with the code of encoders.

lineage(store, "photo_labels.value")
lineage(store, "facts.swipes", down=True, depth=2)
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import duckdb
from photogenic.features.encoders.base import Encoder
from photogenic.features.encoders.registry import ENCODERS, encoder
from photogenic.features.faces.settings import FaceSettings
from photogenic.features.pictures.registry import picture_feature
from photogenic.features.pictures.values import StoredFeature, held_features
from photogenic.warehouse import EncoderError, Layout, PhotogenicError, Store
from photogenic.warehouse.definitions.project import CODE
from photogenic.warehouse.lineage import Edge, Graph, Lineage, Node
from photogenic.warehouse.lineage.store_graph import StoreGraph
from photogenic.warehouse.option_ranges import check
from photogenic.warehouse.user_modules import PROJECT_MODULE

__all__ = ["ColumnLine", "described", "lineage", "overview", "read_graph"]


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """One column of a relation, and what it is made from directly.

    Attributes:
        columns: columns of the relations that the SQL reads, as `relation.column`.
        rows: relations whose rows it counts or numbers.
        parameters: options in its expression.
    """

    name: str
    type: str
    comment: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    parameters: tuple[str, ...]


_DETECTORS = ("short", "full")


def lineage(store: Store, name: str, *, up: bool = False, down: bool = False, depth: int | None = None) -> Lineage:
    """Return what something is made from, and what is made from it.

    Args:
        store: the open store.
        name: a relation, `relation.column`, `facts.TABLE`, `facts.TABLE.COLUMN`, an encoder, or a label option.
        up: whether to return only what it is made from; together with `down` both.
        down: whether to return only what is made from it. Default: both.
        depth: largest number of steps; None: no limit.

    Raises:
        InputError: there is nothing of this name, or `depth` is out of range.
        StoreError: there is no store.
    """
    check(depth=depth)
    with store.database.read() as con:
        graph = read_graph(con, store.layout)
    return graph.lineage(name, up=up or not down, down=down or not up, depth=depth)


def described(
    store: Store, name: str, *, up: bool = False, down: bool = False, depth: int | None = None
) -> tuple[Lineage, list[ColumnLine]]:
    """Return the same as `lineage`, and the columns of the relation; none for anything else."""
    check(depth=depth)
    with store.database.read() as con:
        graph = read_graph(con, store.layout)
    found = graph.lineage(name, up=up or not down, down=down or not up, depth=depth)
    if found.root.kind != "relation":
        return found, []
    sources = graph.column_sources(found.root.name).values
    lines = [
        ColumnLine(
            column.name,
            column.type,
            column.comment,
            tuple(f"{relation}.{read}" for relation, read in sources[column.name].columns),
            sources[column.name].rows,
            sources[column.name].parameters,
        )
        for column in graph.catalog.relation(found.root.name).columns
    ]
    return found, lines


def overview(store: Store) -> tuple[Lineage, list[Node]]:
    """Return all relations with the steps between them, and all relations by name."""
    with store.database.read() as con:
        graph = read_graph(con, store.layout)
    names = [f"relation:{name}" for name in graph.catalog.names]
    nodes = [graph.graph.nodes[name] for name in names]
    edges = [Edge(source, name) for name in names for source in graph.graph.inputs(name) if source in names]
    first, *rest = nodes
    return Lineage(first, tuple(rest), (), tuple(edges), dict.fromkeys(names, 0)), sorted(
        nodes, key=lambda one: one.name
    )


def read_graph(con: duckdb.DuckDBPyConnection, layout: Layout) -> StoreGraph:
    """Read the graph of the store of a connection, with the code of detectors and encoders.

    Args:
        con: connection to the store.
        layout: paths of its files.
    """
    graph = Graph()
    for (name,) in con.execute("select encoder from facts.embeddings order by encoder").fetchall():
        code, detail, weights = _network(name, layout)
        graph.add("encoder", name, detail=detail, code=code, digest=weights[:16])
    read = StoreGraph.of(con, graph)
    for name, held in held_features(layout).items():
        _add_picture_feature(read, name, held)
    for model in _DETECTORS:
        settings = FaceSettings(model)  # type: ignore[arg-type]
        if (layout.faces / settings.digest).is_dir():
            detector = graph.add(
                "code",
                f"face detector {model}",
                detail=f"weights {settings.weights.file}, SHA-256 {settings.weights.sha256[:8]}",
                code="features/faces/detector.py",
                digest=settings.digest,
            )
            graph.link(detector, "table:facts.faces")
    return read


def _add_picture_feature(read: StoreGraph, name: str, held: StoredFeature) -> None:
    """Add the function of a picture feature, or its network, and what it takes."""
    graph, table = read.graph, f"table:facts.picture_{name}"
    if table not in graph.nodes:
        return
    code, uses_faces = "", held.input == "face"
    try:
        known = picture_feature(name)
    except PhotogenicError:
        where = "its code is not here"
    else:
        uses_faces, where = known.uses_faces, "one row per face" if known.input == "face" else "one row per photo"
        if known.function is not None:
            code = (
                f"{_file_of(known.home or known.function.__module__)}:{getattr(known.function, '__qualname__', name)}"
            )
        elif known.network is not None:
            code = _code_of(known.network)
    detail = f"{where}, version {held.version}: {held.n_photos:,} photos, {held.n_errors:,} failed"
    node = graph.add(
        "code", f"picture feature {name}", detail=detail, code=code, digest=held.digest[:16], n=held.n_photos
    )
    graph.link(node, table)
    if uses_faces:
        graph.link("table:facts.faces", table)


def _file_of(module: str) -> str:
    """Return the file of a module of the program or of the project, or the name of another module."""
    if module == PROJECT_MODULE:
        return CODE
    if module.startswith("photogenic."):
        return module.removeprefix("photogenic.").replace(".", "/") + ".py"
    return module


def _network(name: str, layout: Layout) -> tuple[str, str, str]:
    """Return the code of an encoder, what it is, and the SHA-256 of its weights if they are published."""
    if name.startswith("timm:"):
        return "timm", f"model {name.removeprefix('timm:')} of timm", ""
    try:
        known = ENCODERS.get(name) or encoder(name, layout.models)
    except EncoderError:
        return "", "no encoder of this name is registered here", ""
    weights = known.backbone.weights
    detail = f"layer {known.layer} of {known.backbone.name}"
    if weights is not None:
        detail += f", weights {weights.file}"
    return _code_of(known), detail, weights.sha256 if weights is not None else ""


def _code_of(known: Encoder) -> str:
    """Return the file and the class or function that builds the network of an encoder."""
    build: Callable[..., Any] = known.backbone.build
    given = build.args[:1] if isinstance(build, functools.partial) else ()
    function = inspect.unwrap(build.func if isinstance(build, functools.partial) else build)
    module = getattr(function, "__module__", "") or ""
    if module == "photogenic.features.encoders.published" and given:
        file, _, name = str(given[0]).partition(".")
        return f"features/encoders/networks/{file}.py:{name}"
    return f"{_file_of(module)}:{getattr(function, '__qualname__', type(function).__qualname__)}"
