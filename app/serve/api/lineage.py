"""The answer of /lineage: nodes, edges, and the columns of a relation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from photogenic.app.serve.http.errors import ApiError
from photogenic.features.lineage import described
from photogenic.warehouse import InputError, Store

__all__ = ["lineage_of"]


def lineage_of(store: Store, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lineage of a relation, a column, or another name that has one, as JSON can hold it.

    Raises:
        ApiError: there is nothing of this name.
    """
    try:
        found, columns = described(store, name, up=params["up"], down=params["down"], depth=params["depth"])
    except InputError as error:
        raise ApiError("not_found", f"{error.what} Expected: {error.expected}", error.remedy) from error
    nodes = [{key: value for key, value in one.items() if key != "inputs"} for one in found.records()]
    return {
        "root": found.root.id,
        "nodes": nodes,
        "edges": [asdict(edge) for edge in found.edges],
        "columns": [asdict(column) for column in columns],
    }
