"""Call the function of a feature, and check what it returns: an answer for each picture, never an error."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic.features.pictures.definition import PhotoInfo, PictureFeature

__all__ = ["Answer", "Picture", "evaluate"]

Picture = tuple[NDArray[np.uint8], PhotoInfo]

_MOST_TEXT = 4000
"""Most characters of a text in a column."""

_DETAIL = 300
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Answer:
    """The values of one picture.

    Attributes:
        status: ok; error: the function raised an exception; wrong_result: it returned something else than its columns;
            timeout; killed: its process ended.
        detail: the reason, without paths.
        values: one per column; all None unless the status is ok.
    """

    status: str
    detail: str
    values: tuple[Any, ...]

    @classmethod
    def failed(cls, feature: PictureFeature, status: str, detail: str) -> Answer:
        return cls(status, " ".join(detail.split())[:_DETAIL], (None,) * len(feature.columns))


class _WrongResult(Exception):  # noqa: N818  # becomes a status
    """The function returned something else than its columns."""


def _nothing(at: int) -> None:
    pass


def evaluate(
    feature: PictureFeature, pictures: Sequence[Picture], begin: Callable[[int], None] = _nothing
) -> list[Answer]:
    """Compute a feature of each picture. A list that a batch function fails on is computed picture by picture.

    Args:
        feature: the feature.
        pictures: pixels with what else is known.
        begin: called with the place of each picture before a function that takes one picture.
    """
    if not feature.is_batch:
        answers = []
        for at, picture in enumerate(pictures):
            begin(at)
            answers += _guarded(feature, [picture])
        return answers
    answers = _guarded(feature, pictures)
    if len(pictures) > 1 and any(answer.status != "ok" for answer in answers):
        return [_guarded(feature, [picture])[0] for picture in pictures]
    return answers


def _guarded(feature: PictureFeature, pictures: Sequence[Picture]) -> list[Answer]:
    try:
        return [Answer("ok", "", _values(feature, result)) for result in _call(feature, pictures)]
    except _WrongResult as wrong:
        failed = Answer.failed(feature, "wrong_result", str(wrong))
    except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        failed = Answer.failed(feature, "error", _reason(error))
    except BaseException as error:
        if isinstance(error, MemoryError):
            error.__traceback__ = None  # it holds the memory
        failed = Answer.failed(feature, "error", _reason(error))
    return [failed] * len(pictures)


def _call(feature: PictureFeature, pictures: Sequence[Picture]) -> list[Any]:
    assert feature.function is not None
    pictures = [(_read_only(pixels), photo) for pixels, photo in pictures]
    if not feature.is_batch:
        arguments: tuple[Any, ...] = pictures[0] if feature.takes_photo else pictures[0][:1]
        with np.errstate(all="ignore"):
            return [feature.function(*arguments)]
    lists = [list(some) for some in zip(*pictures, strict=True)]
    with np.errstate(all="ignore"):
        results = feature.function(*lists[: 1 + feature.takes_photo])
    if not isinstance(results, Sequence) or isinstance(results, str) or len(results) != len(pictures):
        n = f"{len(results)} results" if isinstance(results, Sequence) else type(results).__name__
        raise _WrongResult(f"returned {n} for a list of {len(pictures)} pictures")
    return list(results)


def _read_only(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A view that cannot be written to: other features and networks use the same pixels."""
    view = pixels.view()
    view.flags.writeable = False
    return view


def _values(feature: PictureFeature, result: object) -> tuple[Any, ...]:
    if not isinstance(result, Mapping):
        raise _WrongResult(f"returned {type(result).__name__}, not a mapping with a value for each column")
    names = set(feature.types)
    for problem, wrong in (("lacks", names - set(result)), ("has no declared column", set(result) - names)):
        if wrong:
            raise _WrongResult(f"the result {problem} {', '.join(sorted(map(str, wrong)))}"[:_DETAIL])
    return tuple(_value(column.name, column.type, result[column.name]) for column in feature.columns)


def _value(name: str, kind: str, value: object) -> Any:
    if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0:
        value = value.item()
    elif hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a tensor of one value
    if value is None:
        return None
    if kind == "double" and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    if kind == "bigint" and isinstance(value, int) and not isinstance(value, bool):
        if -_INT64 <= value < _INT64:
            return value
        raise _WrongResult(f"{name} is outside of 64 bits")
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "varchar" and isinstance(value, str):
        if (
            len(value) > _MOST_TEXT
            or "\0" in value
            or value.encode("utf-8", "replace") != value.encode("utf-8", "surrogatepass")
        ):
            raise _WrongResult(f"{name} has more than {_MOST_TEXT} characters, or some that are not text")
        return str(value)
    raise _WrongResult(f"{name} is of type {type(value).__name__}, and is declared as {kind}")


def _reason(error: BaseException) -> str:
    """Class and text of an error with the line of the function, without the path of its file."""
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    frames = traceback.extract_tb(error.__traceback__)
    where = f", line {frames[-1].lineno} of {frames[-1].name}" if frames else ""
    words = [word if "/" not in word and "\\" not in word else "..." for word in text.split()]
    return " ".join(words)[: _DETAIL - len(where)] + where
