"""Record the time of each step per photo, so that `--plan` can estimate the time of the next build."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from photogenic import sql
from photogenic.warehouse import Database

__all__ = ["Rates", "last", "record"]


@dataclass(frozen=True, slots=True)
class Rates:
    """Measured rates of the latest builds that processed photos.

    Attributes:
        work_s: step (decode, faces, cut, each backbone) -> seconds of work per photo.
        wall_per_work: wall time per second of work, less than 1 on several cores.
    """

    work_s: Mapping[str, float] = field(default_factory=dict)
    wall_per_work: float = 1.0

    def seconds(self, counts: Mapping[str, int]) -> float | None:
        """Estimate the wall time in seconds for these photos by step; None where a step was never measured."""
        if any(n and step not in self.work_s for step, n in counts.items()):
            return None
        return self.wall_per_work * sum(n * self.work_s[step] for step, n in counts.items() if n)


def record(
    db: Database, started_at: dt.datetime, seconds: Mapping[str, float], counts: Mapping[str, int], wall_s: float
) -> None:
    """Record a build that processed photos in the relation `builds`.

    Args:
        db: the warehouse; the caller holds its lock.
        started_at: start of the build, UTC, naive.
        seconds: step -> seconds of work.
        counts: step -> photos.
        wall_s: wall time of the build in seconds.
    """
    steps = {step: [counts[step], round(spent, 6)] for step, spent in seconds.items()}
    stages = {"photos": {"wall_s": round(wall_s, 3), "steps": steps}}
    name = f"{started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    with db.write("features build") as con:
        con.execute(
            "insert into facts.builds values ($1, null, $2, $3, $4, $5, null)",
            [name, json.dumps({}), json.dumps(stages), started_at, dt.datetime.now(dt.UTC).replace(tzinfo=None)],
        )


def last(db: Database) -> Rates:
    """Read the latest rate of each step; steps that were never measured are absent."""
    work_s: dict[str, float] = {}
    wall_s = spent_s = 0.0
    for (text,) in db.rows(sql.read("features/photo_stages")):
        photos = json.loads(text)["photos"]
        work_s |= {step: spent / n for step, (n, spent) in photos["steps"].items() if n}
        wall_s, spent_s = photos["wall_s"], sum(spent for _, spent in photos["steps"].values())
    return Rates(work_s, wall_s / spent_s if spent_s else 1.0)
