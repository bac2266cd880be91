"""A process takes many pictures in one message, and each has its own status and its own time."""

from __future__ import annotations

import numpy as np
import pytest

from photogenic.features.pictures import function_process
from photogenic.features.pictures.definition import PhotoInfo
from photogenic.features.pictures.registry import picture_feature
from photogenic.features.pictures.runner import Runner
from photogenic.features.pictures.work import PictureWork

pytestmark = pytest.mark.usefixtures("own_module")


@pytest.fixture
def starts(monkeypatch):
    """One entry per process that starts."""
    seen = []
    plain = function_process.Child

    def counted(*arguments):
        seen.append(arguments)
        return plain(*arguments)

    monkeypatch.setattr(function_process, "Child", counted)
    return seen


def of_widths(*widths):
    return [(np.zeros((2, width, 3), np.uint8), PhotoInfo(width, 2)) for width in widths]


def test_a_failure_costs_its_own_picture_and_no_other(starts):
    with Runner() as run:
        answers = run(picture_feature("deadly"), of_widths(200, 101, 103, 201, 104, 202))
    assert [answer.status for answer in answers] == ["ok", "error", "killed", "ok", "timeout", "ok"]
    assert [answer.values for answer in answers if answer.status == "ok"] == [(200.0,), (201.0,), (202.0,)]
    assert answers[4].detail == "took longer than 1 s"
    # The picture that ends its process does so in the list and once more alone; the one that hangs does so once.
    assert len(starts) == 4


def test_the_time_of_a_list_is_that_of_each_picture(starts):
    with Runner() as run:
        answers = run(picture_feature("deadly"), of_widths(*[106] * 4))
    assert [answer.status for answer in answers] == ["ok"] * 4  # 1.2 s together, of 1 s for each
    assert len(starts) == 1


def test_pictures_of_any_size_use_one_process(starts, monkeypatch):
    monkeypatch.setattr(function_process, "_KEPT_BYTES", 3000)
    feature = picture_feature("redness")
    with Runner() as run:
        work = PictureWork({"redness": feature}, run)
        for at in range(40):
            pixels = np.full((1 + at * 7 % 40, 5 + at, 3), (at, 0, 0), np.uint8)
            work.add(f"{at:02}", ["redness"], pixels, (5 + at, 9), [])
        rows = work.finish()
    assert [(row.sha256, row.status, row.values) for row in rows] == [
        (f"{at:02}", "ok", (float(at),)) for at in range(40)
    ]
    assert len(starts) == 1
    assert work.counts == {"feature redness": 40}
