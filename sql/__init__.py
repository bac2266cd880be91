"""sql: how is it computed?

One file per relation, each a bare SELECT in the subset that DuckDB and Spark share, with its
contract in the header; `schema.sql` has the base tables, `audits/` the queries that must return
no rows, `ingest/` the checks on incoming rows, `migrations/` the steps from older stores.
warehouse/ runs these files. To find out what a number means, read the file of its relation.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["RELATIONS", "VIEWS", "audits", "migrations", "read", "schema"]

VIEWS = (
    "clock",
    "users",
    "photos",
    "main_photos",
    "swipes",
    "rejects",
    "faces",
    "embeddings",
    "neighbours",
    "near_duplicates",
    "duplicate_clusters",
    "runs",
    "predictions",
    "fetch_attempts",
    "observations",
    "crawl_targets",
    "builds",
    "commands",
    "checksums",
)
"""Views of ingested and recorded data as of the clock, in the order of their creation."""

RELATIONS = (
    "user_genders",
    "photo_owners",
    "recipient_timeline",
    "photo_periods",
    "swipe_counts",
    "recipient_counts",
    "sender_counts",
    "swipe_audit",
    "photo_counts",
    "like_ratio_prior",
    "like_ratios",
    "gender_breakdown",
    "posts",
    "follower_bounds",
    "follower_ratios",
    "photo_labels",
    "photo_setups",
    "population",
    "funnel",
)
"""What is computed from them: tables, in build order. A relation reads views and earlier relations only."""


def read(name: str) -> str:
    """The text of `sql/NAME.sql`; `name` may hold a folder, such as `audits/ratios_in_range`."""
    return files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def schema() -> str:
    """The statements that create the base tables of a new store."""
    return read("schema")


def migrations() -> tuple[int, ...]:
    """The versions that a step in migrations/ leads to, ascending and without a gap."""
    folder = files(__name__).joinpath("migrations")
    return tuple(sorted(int(f.name.removesuffix(".sql")) for f in folder.iterdir() if f.name.endswith(".sql")))


def audits() -> tuple[str, ...]:
    """The names of the audits, sorted."""
    folder = files(__name__).joinpath("audits")
    return tuple(sorted(f.name.removesuffix(".sql") for f in folder.iterdir() if f.name.endswith(".sql")))
