"""Metrics of the server in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["Family", "Metrics"]

_BOUNDS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Family(NamedTuple):
    """One metric with any number of values.

    Attributes:
        type: gauge or counter.
        values: labels and value.
    """

    name: str
    says: str
    type: str
    values: list[tuple[dict[str, str], float]]


class Metrics:
    """Counts and durations of answers by route and status."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._answers[method, route, status] += 1
        buckets = self._buckets.setdefault(route, [0] * (len(_BOUNDS_S) + 1))
        buckets[bisect_left(_BOUNDS_S, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]

    def text(self, gauges: Mapping[str, tuple[str, float]], families: Iterable[Family] = ()) -> str:
        """Return all metrics as text.

        Args:
            gauges: Current values: name -> (help, value).
            families: metrics whose values have labels.
        """
        lines = ["# HELP photogenic_requests_total Answers sent.", "# TYPE photogenic_requests_total counter"]
        for (method, route, status), n in sorted(self._answers.items()):
            lines.append(f'photogenic_requests_total{{method="{method}",route="{route}",status="{status}"}} {n}')
        name = "photogenic_request_seconds"
        lines += [f"# HELP {name} Time from the head of a request to its answer.", f"# TYPE {name} histogram"]
        for route, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, n in zip((*map(str, _BOUNDS_S), "+Inf"), buckets, strict=True):
                total += n
                lines.append(f'{name}_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'{name}_count{{route="{route}"}} {total}')
        for gauge, (says, value) in gauges.items():
            lines += [f"# HELP {gauge} {says}", f"# TYPE {gauge} gauge", f"{gauge} {value:.15g}"]
        for family in families:
            lines += [f"# HELP {family.name} {family.says}", f"# TYPE {family.name} {family.type}"]
            for labels, value in family.values:
                named = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
                lines.append(f"{family.name}{f'{{{named}}}' if named else ''} {value:.15g}")
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Escape the value of a label."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
