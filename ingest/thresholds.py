"""Thresholds of a night: how many rows may be refused, and how many must come.

    enforce("swipes", reports, Thresholds(max_refused="1%", least_rows=1000))     ThresholdError: exit code 3

Both count all files of one call. A file that was taken in before counts with the rows that it had then, so that the
same call again has the same result.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

from photogenic.warehouse.errors import InputError, ThresholdError
from photogenic.warehouse.option_help import Help
from photogenic.warehouse.option_ranges import check

if TYPE_CHECKING:
    from photogenic.ingest.sync.report import SyncReport
    from photogenic.ingest.tabular.report import IngestReport

__all__ = ["EXPECTED", "MaxRefused", "Thresholds", "enforce", "enforce_all"]

EXPECTED = frozenset({"erased", "superseded"})
"""Reasons that do not count as refused: the file is as it should be, and the store needs no such row."""

_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) *%")
_SHARE = re.compile(r"[01]\.[0-9]{1,18}")
_ROWS = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class MaxRefused:
    """The most rows that may be refused: a share of the rows read, or a number. One of the two is None."""

    share: Fraction | None = None
    rows: int | None = None

    @classmethod
    def of(cls, value: "MaxRefused | str | float") -> "MaxRefused":
        """Read `1%`, `0.01` or 100. A whole number is a number of rows, any other is a share.

        Raises:
            InputError: the text has another form.
        """
        if isinstance(value, MaxRefused):
            return value
        text = _text(value).strip()
        if percent := _PERCENT.fullmatch(text):
            share = Fraction(percent[1]) / 100
        elif _SHARE.fullmatch(text):
            share = Fraction(text)
        elif _ROWS.fullmatch(text):
            return cls(rows=int(text))
        else:
            raise _wrong(value)
        if share > 1:
            raise _wrong(value)
        return cls(share)

    def is_exceeded(self, n_refused: int, n_read: int) -> bool:
        """Whether more rows were refused. No rows are never too many."""
        return n_refused > (self.share * n_read if self.share is not None else self.rows or 0)

    def __str__(self) -> str:
        if self.share is None:
            return _rows(self.rows or 0)
        return f"{float(self.share * 100):g} %"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a night must bring. The good rows are taken in whether a threshold is met or not."""

    max_refused: Annotated[
        str | None,
        Help(
            "Most rows that may be refused, as a share of the rows of all files such as 1%, or as a number of rows. If "
            "more are, the command ends with exit code 3; the other rows are kept. Default: no limit.",
            metavar="SHARE",
        ),
    ] = None
    least_rows: Annotated[
        int | None,
        Help(
            "Least number of rows of all files that must come and not be refused, new or not. If fewer do, the command "
            "ends with exit code 3; the rows are kept. Default: no limit."
        ),
    ] = None

    def __post_init__(self) -> None:
        check(least_rows=self.least_rows)
        if self.max_refused is not None:
            MaxRefused.of(self.max_refused)

    @classmethod
    def of(cls, max_refused: str | float | None = None, least_rows: int | None = None) -> "Thresholds":
        """Make them from values of Python.

        Raises:
            InputError: a value is out of range.
        """
        if isinstance(max_refused, bool):
            raise _wrong(max_refused)
        return cls(None if max_refused is None else _text(max_refused), least_rows)


def enforce(kind: str, reports: Sequence["IngestReport"], thresholds: Thresholds) -> None:
    """Refuse a night that is not as it must be. The rows are in the store by then.

    Raises:
        ThresholdError: too many rows were refused, or too few came; it holds the reports.
    """
    n_read = sum(report.n_rows for report in reports)
    reasons: Counter[str] = Counter()
    for report in reports:
        reasons.update(report.refused_rows)
    n_came = n_read - reasons.total()
    wrong = Counter({reason: n for reason, n in reasons.items() if reason not in EXPECTED})
    found, expected = list[str](), list[str]()
    if thresholds.max_refused is not None:
        limit = MaxRefused.of(thresholds.max_refused)
        if limit.is_exceeded(wrong.total(), n_read):
            share = 100 * wrong.total() / n_read
            most = wrong.most_common(3)
            common = ", ".join(f"{reason} {n:,}" for reason, n in most)
            if len(most) < len(wrong):
                common += f", others {wrong.total() - sum(n for _, n in most):,}"
            were = "was" if wrong.total() == 1 else "were"
            found.append(f"{wrong.total():,} of {_rows(n_read)} of {kind} ({share:.3g} %) {were} refused: {common}")
            found[-1] += f", for example in {_example(wrong, reports)}."
            expected.append(f"at most {limit} refused (--max-refused)")
    if thresholds.least_rows is not None and n_came < thresholds.least_rows:
        found.append(f"{_rows(n_came)} of {kind} came and {'was' if n_came == 1 else 'were'} not refused.")
        expected.append(f"at least {_rows(thresholds.least_rows)} (--least-rows)")
    if found:
        found.append("What was not refused is in the store.")
        raise ThresholdError(" ".join(found), "; ".join(expected), _remedy(kind, wrong), reports)


def enforce_all(synced: Sequence["SyncReport"], thresholds: Thresholds) -> None:
    """Refuse a sync that is not as it must be, kind by kind. The rows are in the store, and the positions behind them.

    Raises:
        ThresholdError: too many rows of a kind were refused, or too few came; it holds the reports of all sources.
    """
    for kind in dict.fromkeys(report.kind for report in synced):
        reports = [one for report in synced if report.kind == kind for one in report.reports]
        try:
            enforce(kind, reports, thresholds)
        except ThresholdError as error:
            raise ThresholdError(error.what, error.expected, error.remedy, synced) from None


def _example(wrong: "Counter[str]", reports: Sequence["IngestReport"]) -> str:
    """A file with the most common reason. The rows themselves may be about people, so no message shows them."""
    [(reason, _)] = wrong.most_common(1)
    return next(report.source for report in reports if reason in report.refused_rows)


def _remedy(kind: str, wrong: "Counter[str]") -> str:
    """The query of the rows that were refused for the most common reason."""
    if not wrong:
        return "look for files that are missing or short, and load them"
    [(reason, _)] = wrong.most_common(1)
    where = f"kind = '{kind}' and reason = '{reason}'"
    return f'features sql "from rejects where {where} order by ingested_at desc, line limit 5"'


def _rows(n: int) -> str:
    return f"{n:,} row" if n == 1 else f"{n:,} rows"


def _text(value: str | float) -> str:
    """Return a limit as the command line takes it: a small share without an exponent."""
    if isinstance(value, bool):
        return ""
    text = str(value)
    return f"{value:.18f}" if isinstance(value, float) and "e-" in text else text


def _wrong(value: object) -> InputError:
    shown = str(value)
    shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
    return InputError(
        f"--max-refused is {shown!r}.",
        "a share from 0% to 100%, or a whole number of rows",
        "--max-refused 1%",
    )
