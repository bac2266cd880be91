"""A small store with own relations, for tests of named training sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from photogenic.models.training_sets.create import Created, create
from photogenic.models.training_sets.frozen import NamedTrainingSet, load
from photogenic.models.training_sets.options import from_values
from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from tests.warehouse.definitions.own import sql_file, within
from tests.warehouse.small import add_facts
from tests.warehouse.small import store as empty

INTERVALS = "[valid_from, valid_to)"

SPELLS = """
with counted as (
    select
        recipient_id as user_id,
        swiped_at as valid_from,
        count(*) over (partition by recipient_id order by swiped_at range unbounded preceding) as n_before
    from swipes
),
distinct_spells as (
    select distinct user_id, valid_from, n_before
    from counted
)
select
    cast(user_id as varchar) as user_id, -- who received them
    cast(valid_from as timestamp) as valid_from, -- inclusive
    cast(lead(valid_from) over (partition by user_id order by valid_from) as timestamp) as valid_to, -- exclusive
    cast(n_before as bigint) as n_before -- swipes received until then
from distinct_spells
"""
"""Swipes received so far, as intervals. It tells the truth: nothing later changes it."""

LEAK = SPELLS.replace("order by swiped_at range unbounded preceding", "")
"""The same, but of all swipes that were ever received."""

RAW = """
select
    cast(user_id as varchar) as user_id, -- the user
    cast(valid_from as timestamp) as valid_from, -- inclusive
    cast(valid_to as timestamp) as valid_to, -- exclusive
    cast(n as bigint) as n -- a number
from (values
    ('u1', timestamp '2024-01-01', timestamp '2024-01-03', 1),
    ('u1', timestamp '2024-01-02', cast(null as timestamp), 2)
) as rows (user_id, valid_from, valid_to, n)
"""
"""Two intervals of u1 that overlap."""


def spells(name: str = "spells", select: str = SPELLS, reads: str = "swipes") -> str:
    return sql_file(name, select, reads=reads, grain="user_id, valid_from", time=INTERVALS)


def constant(select: str, reads: str, grain: str = "user_id", name: str = "fixed") -> str:
    return sql_file(name, select, reads=reads, grain=grain, time="constant")


def make(folder: Path, relations: dict[str, str] | None = None, *, n: int = 30, **facts: Any) -> Store:
    """`n` users with two photos each, and swipes; user i changes the main photo at hour 10."""
    db = empty(folder)
    given: dict[str, Any] = {
        "users": [(f"u{i}", "female" if i % 2 else "male", i) for i in range(n)],
        "photos": [(f"p{i}-{k}", f"u{i}") for i in range(n) for k in range(2)],
        "main_photos": [(f"u{i}", f"p{i}-{k}", 10 * k + i % 3) for i in range(n) for k in range(2)],
        "swipes": [
            (f"u{(i * 7 + j) % n}", f"u{i}", (i + j) % 3 == 0, 1 + (j * 5) % 40) for i in range(n) for j in range(1, 12)
        ],
    }
    add_facts(db, **{**given, **facts})
    store = within(db, relations or {})
    build_labels(store)
    return store


def made(store: Store, name: str = "may", **options: Any) -> Created:
    """Create a set; by default of photo periods with the followers of their owners as target."""
    values = {"target": "users.followers", "features": "spells.n_before", "at": "valid_from", **options}
    return create(store, name, from_values(values))


def rows(store: Store, name: str = "may") -> list[dict[str, Any]]:
    return opened(store, name).frame().sort("instant", "user_id").to_dicts()


def opened(store: Store, name: str = "may", version: int | None = None) -> NamedTrainingSet:
    return load(store, name, version)
