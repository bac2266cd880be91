"""Check whether a store is fit for use: `features status --check`, which a nightly job runs after the build.

Each check is one comparison with its remedy. All are measured on the published snapshot, and nothing is written.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from photogenic.features.health import Health, measure
from photogenic.features.status import picture_features
from photogenic.ingest.thresholds import MaxRefused
from photogenic.warehouse import InputError, Store

__all__ = ["Check", "check", "parse_age"]

_AGE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) *(s|min|m|h|d)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_OLDEST = dt.timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: what was checked.
        ok: whether it is as it must be.
        value: what was found.
        threshold: what it must be.
        remedy: what to do; empty if it is ok.
    """

    name: str
    ok: bool
    value: str
    threshold: str
    remedy: str = ""


def check(
    store: Store,
    *,
    max_age: str | dt.timedelta | None = None,
    max_refused: str | float | None = None,
    now: dt.datetime | None = None,
) -> list[Check]:
    """Check labels, vectors, indices, features, the last build and the last files.

    Args:
        store: the open store.
        max_age: greatest age of the newest data that the labels were computed from. Default: no limit.
        max_refused: most rows of the last files of each kind that may be refused. Default: no limit.
        now: the current time, UTC. Default: by the clock of the machine.

    Raises:
        InputError: an argument is out of range.
        StoreError: there is no store.
    """
    age = None if max_age is None else parse_age(max_age)
    limit = None if max_refused is None else MaxRefused.of(max_refused)
    health = measure(store)
    moment = now or dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return [*_checks(health, picture_features(store), age, limit, moment)]


def parse_age(value: str | dt.timedelta) -> dt.timedelta:
    """Read `26h`, `90min`, `2d`.

    Raises:
        InputError: the text has another form.
    """
    found = value if isinstance(value, dt.timedelta) else None
    if isinstance(value, str) and (match := _AGE.fullmatch(value.strip())):
        seconds = float(match[1]) * _UNITS[match[2]]
        found = dt.timedelta(seconds=seconds) if seconds <= _OLDEST.total_seconds() else None
    if found is None or not dt.timedelta() <= found <= _OLDEST:
        shown = str(value)
        raise InputError(
            f"--max-age is {shown[:40]!r}.", "a time with its unit: s, min, h or d, up to 36500d", "--max-age 26h"
        )
    return found


def _checks(
    health: Health,
    features: dict[str, Any],
    max_age: dt.timedelta | None,
    max_refused: MaxRefused | None,
    now: dt.datetime,
) -> Iterator[Check]:
    yield _labels(health)
    if max_age is not None:
        yield _age(health, max_age, now)
    moment = health.moment
    yield _result("labels of", not moment.is_limited, str(moment), "everything", "features build")
    for name, vectors in health.vectors.items():
        n = vectors.n_missing
        remedy = f"features build --encoder {name}"
        yield _result(f"vectors {name}", n == 0, f"{n:,} missing", "0 missing", remedy)
        yield _result(f"index {name}", vectors.index == "current", vectors.index, "current", "features build")
    for name, why in health.own.items():
        what, remedy = f"relation {name}", f"features sql \"from own_relations where relation = '{name}'\""
        if name.startswith("audit "):
            what, remedy = name, "features build, which says what it found"
        yield _result(what, why is None, why or "computed", "computed", remedy)
    for name, made in features.items():
        yield _result(f"feature {name}", made["code"] == "here", f"code {made['code']}", "code here", made["remedy"])
    yield _last_build(health)
    if max_refused is not None:
        for kind, last in health.refusals.items():
            n = last.reasons.total()
            share = 100 * n / last.n_read if last.n_read else 0.0
            [(reason, _)] = last.reasons.most_common(1) or [("", 0)]
            where = f"kind = '{kind}' and reason = '{reason}'"
            yield _result(
                f"refused {kind}",
                not max_refused.is_exceeded(n, last.n_read),
                f"{n:,} of {last.n_read:,} rows ({share:.3g} %)",
                f"at most {max_refused}",
                f'features sql "from rejects where {where} order by ingested_at desc, line limit 5"',
            )


def _labels(health: Health) -> Check:
    if health.built_at is None:
        value = "never built"
    else:
        value = f"{', '.join(health.changed)} changed since" if health.changed else "up to date"
    return _result("labels", not health.labels_stale, value, "up to date", "features build")


def _age(health: Health, most: dt.timedelta, now: dt.datetime) -> Check:
    """The age of the newest data in the labels, which grows also in a night in which nothing comes."""
    newest = health.newest_at or health.built_at
    if health.built_at is None or newest is None:
        value, ok = "never built", False
    else:
        age = max(now - newest, dt.timedelta())
        value, ok = _words(age), age <= most
    remedy = "features ingest the files of the night, then features build"
    return _result("age of labels", ok, value, f"at most {_words(most)}", remedy)


def _last_build(health: Health) -> Check:
    last = health.last_build
    if last is None:
        return _result("last build", False, "never", "done", "features build")
    value = last.result if last.error is None else f"{last.result}: {last.error}"
    return _result("last build", last.result in ("done", "running"), value, "done", "features build")


def _result(name: str, ok: bool, value: str, threshold: str, remedy: str) -> Check:
    return Check(name, ok, value, threshold, "" if ok else remedy)


def _words(age: dt.timedelta) -> str:
    seconds = age.total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 360_000 else f"{seconds / 86_400:.1f} days"
