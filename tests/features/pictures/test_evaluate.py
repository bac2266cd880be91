"""Every result and every failure of a function is an answer with a status."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch

from photogenic.features.pictures.definition import PhotoInfo, PictureColumn, PictureFeature
from photogenic.features.pictures.evaluate import evaluate

PICTURE = (np.full((4, 6, 3), 7, np.uint8), PhotoInfo(6, 4))


def made(function, kind="double", *, batch=False):
    return PictureFeature("f", "photo", (PictureColumn("x", kind, "y"),), 1, "s", function, "code", is_batch=batch)


def one(function, kind="double"):
    (answer,) = evaluate(made(function, kind), [PICTURE])
    return answer


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("double", 1, 1.0),
        ("double", np.float32(0.5), 0.5),
        ("double", np.array(0.5), 0.5),
        ("double", torch.tensor(0.5), 0.5),
        ("double", math.nan, None),
        ("double", -math.inf, None),
        ("double", 10**400, None),
        ("double", None, None),
        ("bigint", np.int16(3), 3),
        ("bigint", -(2**63), -(2**63)),
        ("boolean", np.bool_(True), True),
        ("varchar", "é ☃", "é ☃"),
        ("varchar", np.str_("text"), "text"),
        ("varchar", None, None),
    ],
)
def test_values_become_those_of_their_type(kind, value, stored):
    answer = one(lambda _: {"x": value}, kind)
    assert (answer.status, answer.detail, answer.values) == ("ok", "", (stored,))
    assert type(answer.values[0]) is type(stored)


@pytest.mark.parametrize(
    ("kind", "result", "detail"),
    [
        ("double", {"y": 1}, "lacks x"),
        ("double", {"x": 1, "y": 1}, "has no declared column y"),
        ("double", [1], "not a mapping"),
        ("double", None, "not a mapping"),
        ("double", {"x": "1"}, "is of type str, and is declared as double"),
        ("double", {"x": True}, "is of type bool"),
        ("double", {"x": np.zeros(2)}, "is of type ndarray"),
        ("double", {"x": 1j}, "is of type complex"),
        ("bigint", {"x": 1.0}, "is of type float"),
        ("bigint", {"x": 2**63}, "outside of 64 bits"),
        ("boolean", {"x": 1}, "is of type int"),
        ("varchar", {"x": "a\0b"}, "not text"),
        ("varchar", {"x": "\ud800"}, "not text"),
        ("varchar", {"x": "a" * 4001}, "4000 characters"),
    ],
)
def test_a_wrong_result_is_a_status(kind, result, detail):
    answer = one(lambda _: result, kind)
    assert (answer.status, answer.values) == ("wrong_result", (None,))
    assert detail in answer.detail


def test_errors_are_statuses_without_paths():
    def fails(_):
        raise OSError(2, "No such file", "/home/ann/secret.txt")

    def recurses(x):
        return recurses(x)

    answer = one(fails)
    assert answer.status == "error"
    assert answer.detail.startswith("FileNotFoundError: [Errno 2] No such file: ...")
    assert "secret" not in answer.detail
    assert answer.detail.endswith("of fails")
    assert one(lambda _: sys.exit(3)).status == "error"
    assert one(recurses).detail.startswith("RecursionError")
    assert one(lambda _: bytearray(1 << 62)).detail.startswith(("MemoryError", "OverflowError"))
    assert len(one(lambda _: {}["z" * 5000]).detail) <= 300


def test_pixels_cannot_be_changed_for_the_next_function():
    def inverts(pixels):
        pixels[:] = 255 - pixels
        return {"x": 1}

    answer = one(inverts)
    assert "read-only" in answer.detail
    assert PICTURE[0].flags.writeable
    assert (PICTURE[0] == 7).all()


def test_a_list_that_fails_is_computed_one_by_one():
    calls = []

    def means(pictures):
        calls.append(len(pictures))
        return [{"x": 1 / (p.mean() - 7)} if p.mean() != 7 else {"x": 1 / 0} for p in pictures]

    bright = (PICTURE[0] + 2, PICTURE[1])
    found = evaluate(made(means, batch=True), [bright, PICTURE, bright])
    assert [answer.status for answer in found] == ["ok", "error", "ok"]
    assert calls == [3, 1, 1, 1]
    assert [a.status for a in evaluate(made(lambda p: p[:1], batch=True), [bright, bright])] == ["wrong_result"] * 2
    assert evaluate(made(lambda p: 3, batch=True), [bright])[0].detail == "returned int for a list of 1 pictures"
