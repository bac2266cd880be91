"""What a build goes by where it is not told: who computed labels last, and with which options."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Literal, get_args

from photogenic.warehouse import Database, InputError
from photogenic.warehouse.labels.build import last_cluster
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.spark.session import Cluster

if TYPE_CHECKING:
    from photogenic.features.faces.detector import FaceSettings

__all__ = ["Engine", "check_confidences", "chosen_cluster", "former_choices"]

Engine = Literal["duckdb", "spark"]


def former_choices(db: Database) -> tuple[dt.datetime | None, LabelOptions]:
    """Of the last label build: a step that is about pictures leaves them as they are."""
    with db.read() as con:
        rows = con.execute("select as_of, options from facts.builds order by rowid desc").fetchall()
    for as_of, recorded in rows:
        values = json.loads(recorded).get("labels")
        if values is None:
            continue
        values["earliest_post"] = dt.datetime.fromisoformat(values["earliest_post"])
        return as_of, LabelOptions(**values)
    return None, LabelOptions()


def check_confidences(options: LabelOptions, faces: FaceSettings | None) -> None:
    """Refuse labels that ask for faces below those that are kept: they would get other faces than they ask for.

    Raises:
        InputError: a confidence that was chosen, or that the filter goes by, is lower than the least face's.
    """
    from photogenic.features.faces.detector import FaceSettings

    least = (faces or FaceSettings()).confidence
    for kind in ("lenient", "strict"):
        name = f"{kind}_confidence"
        asked = getattr(options, name)
        chosen = options.face_filter == kind or asked != getattr(LabelOptions(), name)
        if chosen and asked < least:
            option = f"--{kind}-confidence"
            raise InputError(
                f"{option} {asked:g} is below {least:g}, the confidence from which on faces are kept.",
                f"{least:g} to 1 with --face-confidence {least:g}",
                f"{option} {least:g}" + (f", or --face-confidence {asked:g} as well" if 0 < asked < 1 else ""),
            )


def chosen_cluster(
    db: Database, *, engine: Engine | None, master: str | None, facts: str | None, labels: bool = True
) -> Cluster | None:
    """The Spark that computes; None: DuckDB does. Its `facts` are None where it only looks at photos.

    Args:
        db: the store.
        engine: as given; None: the one of the last build.
        master: of Spark, as given.
        facts: as given.
        labels: whether labels are asked for: these need facts.

    Raises:
        InputError: an engine that does not exist, a master or facts for another one, or no facts for Spark's labels.
    """
    if engine not in (None, *get_args(Engine)):
        raise InputError(f"There is no engine {engine!r}.", "duckdb or spark", "features build --engine duckdb")
    if engine != "spark" and (master is not None or facts is not None):
        raise InputError(
            "Only Spark has a master and facts of its own.", "--engine spark beside them", "--engine spark"
        )
    former = None
    if engine != "duckdb" and db.layout.snapshot.exists():
        with db.read() as con:
            former = last_cluster(con)
    if engine != "spark":
        return former
    facts = facts or (former.facts if former else None)
    if facts is None and labels:
        raise InputError(
            "Spark was told no facts to compute labels from.",
            "the folder or address that `features export` wrote",
            "features export FOLDER, then features build --engine spark --facts FOLDER",
        )
    return Cluster(master or (former.master if former else "local[*]"), facts)
