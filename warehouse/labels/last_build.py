"""The last build of the labels: its options stay until they are changed, and a change is counted.

    given                                  options of the next build
    None                                   those of the last build
    {"min_swipes": 3}                      those of the last build, with this one replaced
    LabelOptions(min_swipes=3)             these, as a whole

The first build begins with the defaults.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.labels.options import LabelOptions, changed_options
from photogenic.warehouse.moment import Moment
from photogenic.warehouse.spark.session import Cluster

__all__ = ["LabelChange", "LastBuild", "changed_labels", "last_build", "next_options"]


@dataclass(frozen=True, slots=True)
class LastBuild:
    """What the build that computed the current labels recorded.

    Attributes:
        moment: its clock.
        cluster: the Spark cluster that computed them; None: DuckDB did.
    """

    build_id: str
    moment: Moment
    options: LabelOptions
    cluster: Cluster | None


@dataclass(frozen=True, slots=True)
class LabelChange:
    """A change of the label options, and what becomes of the labels.

    Attributes:
        options: options with another value: name -> the value before and after.
        n_labels: number of labels before.
        n_lost, n_new: number of labels that disappear or appear; None: it was not computed.
        n_changed: number of labels that get another value or weight.
        n_flipped: number of labels that cross the median.
    """

    options: dict[str, tuple[object, object]]
    n_labels: int
    n_lost: int | None = None
    n_new: int | None = None
    n_changed: int | None = None
    n_flipped: int | None = None

    def __str__(self) -> str:
        pairs = ", ".join(f"{name} {_shown(old)} -> {_shown(new)}" for name, (old, new) in self.options.items())
        if self.n_lost is None:
            return f"Label options: {pairs}. The effect on the {_labels(self.n_labels)} is not known before the build."
        return (
            f"Label options: {pairs}. {_labels(self.n_labels)} before: {self.n_lost:,} vanish, {self.n_new:,} appear, "
            f"{self.n_changed:,} change value or weight, {self.n_flipped:,} cross the median."
        )

    @classmethod
    def between(cls, before: LabelOptions, after: LabelOptions, *, n_labels: int) -> LabelChange | None:
        """Compare two sets of options; None: they are equal, or there are no labels that could change."""
        old, new = asdict(before), asdict(after)
        changed = {name: (old[name], new[name]) for name in old if old[name] != new[name]}
        return cls(changed, n_labels) if changed and n_labels else None

    def counted(self, n_new: int, n_lost: int, n_changed: int, n_flipped: int) -> LabelChange:
        """Return the same change with its effect."""
        return replace(self, n_new=n_new, n_lost=n_lost, n_changed=n_changed, n_flipped=n_flipped)


def last_build(con: duckdb.DuckDBPyConnection) -> LastBuild | None:
    """Return the last build that computed labels; None: there was none."""
    query = "select build_id, as_of, known_at, options from facts.builds order by rowid desc"
    for build_id, as_of, known_at, recorded in con.execute(query).fetchall():
        values = json.loads(recorded)
        if "labels" in values:
            cluster = Cluster(**values["cluster"]) if "cluster" in values else None
            return LastBuild(build_id, Moment.of(as_of, known_at), _options(values["labels"]), cluster)
    return None


def next_options(given: LabelOptions | Mapping[str, Any] | None, last: LastBuild | None) -> LabelOptions:
    """Return the options of the next build.

    Args:
        given: all options, or those to replace by name; None: none is replaced.
        last: the last build; None: there was none.

    Raises:
        InputError: an option is unknown, or its value is out of range.
    """
    if isinstance(given, LabelOptions):
        return given
    return changed_options(last.options if last is not None else LabelOptions(), given or {})


def changed_labels(con: duckdb.DuckDBPyConnection) -> tuple[int, int, int, int]:
    """Compare `photo_labels` with `past_photo_labels`: numbers of new, lost, changed and flipped labels."""
    ((n_new, n_lost, n_changed, n_flipped),) = con.execute(sql.read("plan/changed_labels")).fetchall()
    return n_new, n_lost, n_changed, n_flipped


def _options(values: dict[str, Any]) -> LabelOptions:
    """Return recorded options. Those that an older version did not have are at their defaults."""
    known = {field.name for field in fields(LabelOptions)}
    values["earliest_post"] = dt.datetime.fromisoformat(values["earliest_post"])
    return LabelOptions(**{name: value for name, value in values.items() if name in known})


def _shown(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat().removesuffix("T00:00:00")
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _labels(n: int) -> str:
    return f"{n:,} label" if n == 1 else f"{n:,} labels"
