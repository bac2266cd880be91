"""sql: how is it computed?

One file per relation, each a bare SELECT in the subset that DuckDB and Spark share, with its
contract in the header; `schema.sql` has the base tables, `audits/` the queries that must return
no rows, `ingest/` the checks on incoming rows, `migrations/` the steps from older stores.
warehouse/ runs these files. To find out what a number means, read the file of its relation.
"""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    NAMES: tuple[str, ...]
    RELATIONS: tuple[str, ...]

__all__ = ["NAMES", "RELATIONS", "VIEWS", "VIEWS_OF_LABELS", "audits", "migrations", "read", "schema"]

VIEWS = (
    "clock",
    "users",
    "deleted_users",
    "user_versions",
    "photos",
    "deleted_photos",
    "main_photos",
    "swipes",
    "ingests",
    "source_positions",
    "rejects",
    "faces",
    "photo_quality",
    "photo_persons",
    "embeddings",
    "neighbours",
    "near_duplicates",
    "duplicate_clusters",
    "runs",
    "predictions",
    "training_sets",
    "own_relations",
    "fetch_attempts",
    "observations",
    "crawl_targets",
    "builds",
    "commands",
    "checksums",
)
"""Views of ingested and recorded data as of the clock, in the order of their creation."""

VIEWS_OF_LABELS = ("photo_swipes",)
"""Views that read computed relations too. A label build creates them."""


def read(name: str) -> str:
    """The text of `sql/NAME.sql`; `name` may hold a folder, such as `audits/ratios_in_range`."""
    return files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def schema() -> str:
    """The statements that create the base tables of a new store."""
    return read("schema")


def migrations() -> tuple[int, ...]:
    """The versions that a step in migrations/ leads to, ascending and without a gap."""
    return tuple(sorted(map(int, _names("migrations"))))


def audits() -> tuple[str, ...]:
    """The names of the audits, sorted."""
    return tuple(sorted(_names("audits")))


def __getattr__(name: str) -> tuple[str, ...]:
    """Return `RELATIONS`, the computed relations in build order, which the headers give, or `NAMES`, all relations."""
    if name not in ("NAMES", "RELATIONS"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    relations = globals()["RELATIONS"] = _build_order()
    names = globals()["NAMES"] = (*VIEWS, *relations, *VIEWS_OF_LABELS)
    return names if name == "NAMES" else relations


def _build_order() -> tuple[str, ...]:
    """Sort every file of this folder that is neither a view nor the schema: what a relation reads comes before it."""
    computed = sorted(_names(".") - {*VIEWS, *VIEWS_OF_LABELS, "schema"})
    order: TopologicalSorter[str] = TopologicalSorter()
    for name in computed:
        header = re.search(r"^-- reads: +(.+)$", read(name), re.MULTILINE)
        order.add(name, *sorted(set(header[1].split(", ")) & set(computed)) if header else ())
    return tuple(order.static_order())


def _names(folder: str) -> set[str]:
    """The names of the SQL files in a folder of this one."""
    return {f.name.removesuffix(".sql") for f in files(__name__).joinpath(folder).iterdir() if f.name.endswith(".sql")}
