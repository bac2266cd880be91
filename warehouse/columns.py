"""Columns of relations by name, `relation.column`: targets and inputs of heads, columns of training sets, populations.

    refs = resolve(con, ["users.followers", "photos.*"])         checked; near names in the error
    values(con, refs, photo_ids, user_ids)                       one value per photo, NaN where it is missing

A relation joins by photo_id, else by user_id, which is the owner of the photo. It must have one row per key; of a
relation with validity intervals, the rows that hold at the moment of the store count.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import duckdb, pl
from photogenic.warehouse import InputError
from photogenic.warehouse.catalog import Catalog, Relation, catalog_of

__all__ = ["INTERVALS", "KEYS", "ColumnRef", "columns_of", "frame", "query", "resolve", "split_name", "values"]

KEYS = ("photo_id", "user_id")
"""Columns by which a relation joins photos, in the order of preference."""

INTERVALS = "[valid_from, valid_to)"
"""How the time rule of a relation with validity intervals begins."""

Array: TypeAlias = NDArray[np.floating[Any]]
Strings: TypeAlias = NDArray[np.str_]

_NUMBERS = ("bigint", "integer", "smallint", "tinyint", "hugeint", "double", "float", "real", "decimal")
_NAME = re.compile(r"(?P<relation>\w+)\.(?P<column>\w+|\*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """One column of a relation.

    Attributes:
        type: type in the header of the relation: boolean, bigint, double, integer, timestamp or varchar.
        key: column by which the relation joins photos: photo_id, or user_id for the owner.
        intervals: whether rows hold from valid_from to valid_to.
        comment: what the column holds.
    """

    relation: str
    column: str
    type: str
    key: Literal["photo_id", "user_id"]
    intervals: bool
    comment: str

    @property
    def name(self) -> str:
        """The name, `relation.column`."""
        return f"{self.relation}.{self.column}"

    @property
    def is_boolean(self) -> bool:
        """Whether its values are true or false."""
        return self.type == "boolean"

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.type in _NUMBERS


def split_name(name: str, option: str = "--features") -> tuple[str, str]:
    """Return relation and column of `relation.column` or `relation.*`.

    Raises:
        InputError: the name has another form.
    """
    found = _NAME.fullmatch(name.strip())
    if found is None:
        raise InputError(
            f"{option}: {name[:80]!r} is not a column of a relation.",
            "relation.column, or relation.* for all columns that are numbers or booleans",
            f"{option} photos.width",
        )
    return found["relation"], found["column"]


def resolve(
    con: duckdb.DuckDBPyConnection, names: Sequence[str], *, option: str = "--features", any_type: bool = False
) -> list[ColumnRef]:
    """Return the columns of these names, in their order and each once.

    Args:
        con: connection to a store.
        names: `relation.column`, or `relation.*` for every column that is no key and has a type that fits.
        option: option that named them, for errors.
        any_type: whether columns that are neither numbers nor booleans are allowed.

    Raises:
        InputError: a relation or column does not exist, its type does not fit, or the relation has neither photo_id
            nor user_id.
    """
    catalog = catalog_of(con)
    found: dict[str, ColumnRef] = {}
    for name in names:
        place, wanted = split_name(name, option)
        held = _relation(catalog, place, wanted, option)
        own = _columns(held, option)
        usual = [ref for ref in own if any_type or ref.is_number or ref.is_boolean]
        if wanted == "*":
            if not usual:
                raise InputError(
                    f"{option}: {place} has no column that is a number or a boolean.",
                    "such columns besides the keys",
                    f'features sql "from {place} limit 3", to see its columns',
                )
            found |= {ref.name: ref for ref in usual}
            continue
        named = {ref.column: ref for ref in own}
        if wanted in KEYS and wanted in {column.name for column in held.columns}:
            raise InputError(
                f"{option}: {place}.{wanted} is a key, and no value.",
                "a column that is a number or a boolean",
                f'features sql "from {place} limit 3", to see its columns',
            )
        if wanted not in named:
            raise _unknown(option, f"{place} has no column {wanted!r}.", named, wanted, place + ".{}")
        ref = named[wanted]
        if ref not in usual:
            raise InputError(
                f"{option}: {ref.name} is {_article(ref.type)}.",
                "a column that is a number (double, bigint, integer) or a boolean",
                "a relation of your own that turns it into a number or into true and false; "
                + (f"or {option} {usual[0].name}" if usual else "or another relation"),
            )
        found[ref.name] = ref
    return list(found.values())


def query(ref: ColumnRef, columns: Sequence[str]) -> str:
    """Return the query of the key and some columns of the relation of `ref`, of rows with a key that hold now."""
    picked = ", ".join(f'"{name}"' for name in (ref.key, *columns))
    holds = ""
    if ref.intervals:
        moment = "(select as_of from clock)"
        holds = f" and (valid_from is null or valid_from < {moment}) and (valid_to is null or {moment} <= valid_to)"
    return f'select {picked} from "{ref.relation}" where "{ref.key}" is not null{holds}'


def frame(con: duckdb.DuckDBPyConnection, ref: ColumnRef, columns: Sequence[str]) -> pl.DataFrame:
    """Return the key and some columns of the relation of `ref`, one row per key; rows without a key are left out.

    Raises:
        InputError: several rows have the same key.
        StoreError: the relation was not computed yet.
    """
    found: pl.DataFrame = con.sql(query(ref, columns)).pl()
    twice = found.filter(found[ref.key].is_duplicated())
    if len(twice):
        raise InputError(
            f"{ref.relation} has {twice[ref.key].n_unique():,} values of {ref.key} in more than one row, such as "
            f"{twice[ref.key][0]!r}.",
            f"one row per {ref.key}",
            f"a relation of your own that selects one row per {ref.key} from {ref.relation}",
        )
    return found


def values(
    con: duckdb.DuckDBPyConnection, refs: Sequence[ColumnRef], photo_ids: Strings, user_ids: Strings
) -> list[Array]:
    """Return the values of each column for photos, float64 (n,); a boolean is 0 or 1.

    NULL, infinity and not a number are NaN, as is the value of a photo without a row.

    Args:
        con: connection to a store.
        refs: columns that are numbers or booleans.
        photo_ids: photos.
        user_ids: owner of each photo.

    Raises:
        InputError: a relation has several rows of one key.
    """
    found: dict[str, Array] = {}
    for place in dict.fromkeys(ref.relation for ref in refs):
        own = [ref for ref in refs if ref.relation == place]
        asked = pl.DataFrame({own[0].key: photo_ids if own[0].key == "photo_id" else user_ids})
        held = frame(con, own[0], [ref.column for ref in own])
        joined = asked.join(held, on=own[0].key, how="left", maintain_order="left")
        for ref in own:
            column = joined[ref.column].cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
            column[~np.isfinite(column)] = np.nan
            found[ref.name] = column
    return [found[ref.name] for ref in refs]


def _relation(catalog: Catalog, name: str, wanted: str, option: str) -> Relation:
    if name in catalog.unbuilt:
        raise InputError(
            f"{option}: the relation {name} has no rows yet: {catalog.unbuilt[name]}.",
            "a relation that a build has computed",
            "features build",
        )
    if name not in catalog.names:
        raise _unknown(option, f"There is no relation {name!r}.", dict.fromkeys(catalog.names), name, "{}." + wanted)
    return catalog.relation(name)


def columns_of(held: Relation) -> list[ColumnRef]:
    """Return the columns of a relation that are numbers or booleans; none if it joins neither photos nor users."""
    if not {column.name for column in held.columns} & set(KEYS):
        return []
    return [ref for ref in _columns(held, "") if ref.is_number or ref.is_boolean]


def _columns(held: Relation, option: str) -> list[ColumnRef]:
    """Return the columns of a relation besides its keys.

    Raises:
        InputError: it has neither photo_id nor user_id.
    """
    named = {column.name for column in held.columns}
    key: Literal["photo_id", "user_id"] | None = None
    if "photo_id" in named:
        key = "photo_id"
    elif "user_id" in named:
        key = "user_id"
    if key is None:
        raise InputError(
            f"{option}: {held.name} has neither photo_id nor user_id.",
            "a relation with one row per photo or per user",
            f"a relation of your own that adds the key to {held.name}",
        )
    intervals = held.time.startswith(INTERVALS) and {"valid_from", "valid_to"} <= named
    return [
        ColumnRef(held.name, column.name, column.type, key, intervals, column.comment)
        for column in held.columns
        if column.name not in KEYS
    ]


def _unknown(option: str, what: str, known: Mapping[str, object], wanted: str, form: str) -> InputError:
    """Return the error of a name that does not exist; the remedy has the nearest one in its place in `form`."""
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
    some = near or sorted(known)[:8]
    return InputError(f"{option}: {what}", f"one of {', '.join(some)}", f"{option} {form.format(some[0])}")


def _article(kind: str) -> str:
    return "a text" if kind == "varchar" else "an instant" if kind == "timestamp" else f"of type {kind}"
