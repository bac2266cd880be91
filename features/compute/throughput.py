"""What each step cost per photo when photos were last looked at, so that `--plan` can say how long it will take."""

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
    """Of one build that looked at photos.

    Attributes:
        work_s: decode, faces, cut, each backbone -> seconds of work a photo.
        wall_per_work: seconds that passed for each second of work: less than 1 where several cores worked.
    """

    work_s: Mapping[str, float] = field(default_factory=dict)
    wall_per_work: float = 1.0

    def seconds(self, counts: Mapping[str, int]) -> float | None:
        """How long so many photos through each step would take; None where a step was never measured."""
        if any(n and step not in self.work_s for step, n in counts.items()):
            return None
        return self.wall_per_work * sum(n * self.work_s[step] for step, n in counts.items() if n)


def record(
    db: Database, started_at: dt.datetime, seconds: Mapping[str, float], counts: Mapping[str, int], wall_s: float
) -> None:
    """Put a build that looked at photos on record, in the relation `builds`.

    Args:
        db: the warehouse, its lock held.
        started_at: UTC, naive.
        seconds: of work, by step.
        counts: photos, by step.
        wall_s: seconds that passed.
    """
    steps = {step: [counts[step], round(spent, 6)] for step, spent in seconds.items()}
    stages = {"photos": {"wall_s": round(wall_s, 3), "steps": steps}}
    name = f"{started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    with db.write("features build") as con:
        con.execute(
            "insert into facts.builds values ($1, null, $2, $3, $4, $5)",
            [name, json.dumps({}), json.dumps(stages), started_at, dt.datetime.now(dt.UTC).replace(tzinfo=None)],
        )


def last(db: Database) -> Rates:
    """What each step cost when it was last done; nothing of steps that never were."""
    work_s: dict[str, float] = {}
    wall_s = spent_s = 0.0
    with db.read() as con:
        rows = con.execute(sql.read("features/photo_stages")).fetchall()
    for (text,) in rows:
        photos = json.loads(text)["photos"]
        work_s |= {step: spent / n for step, (n, spent) in photos["steps"].items() if n}
        wall_s, spent_s = photos["wall_s"], sum(spent for _, spent in photos["steps"].values())
    return Rates(work_s, wall_s / spent_s if spent_s else 1.0)
