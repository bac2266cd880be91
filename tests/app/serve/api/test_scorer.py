"""Requests for predictions that come while the networks work are one batch; each gets what is its own."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from photogenic.app.serve.api.scorer import Scorer
from photogenic.app.serve.http.errors import ApiError
from photogenic.app.serve.http.uploads import Upload
from photogenic.warehouse import InputError, Layout


@dataclass
class Said:
    prediction: float
    low: float = 0.0
    high: float = 1.0
    status: str = "ok"


@pytest.fixture
def scorer(monkeypatch):
    """One whose network says the number that a picture's bytes are, once it may."""
    with ThreadPoolExecutor(1) as networks:
        made = Scorer(SimpleNamespace(layout=Layout(Path("store"))), networks)
        made.may, made.batches = threading.Event(), []

        def predict(run_id, pictures):
            made.batches.append((run_id, len(pictures)))
            assert made.may.wait(30)
            if run_id == "broken":
                raise InputError("no such head", "another", "features train")
            return [Said(float(picture.data)) for picture in pictures]

        monkeypatch.setattr(made, "_predict", predict)
        yield made
        made.may.set()


def pictures(*numbers, status="ok"):
    return [Upload(f"{number}.jpg", str(number).encode(), status, "") for number in numbers]


async def asked(scorer, requests):
    tasks = []
    for run_id, some in requests:
        tasks.append(asyncio.ensure_future(scorer.score([run_id], some)))
        await asyncio.sleep(0)
        while not scorer.batches:  # the first is at work before the others come
            await asyncio.sleep(0.01)
    scorer.may.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_what_comes_meanwhile_is_the_next_batch(scorer):
    requests = [("a", pictures(n, n + 100)) for n in range(10)]
    answers = asyncio.run(asked(scorer, requests))
    assert [[one["prediction"] for one in answer] for answer in answers] == [[n, n + 100] for n in range(10)]
    assert scorer.batches == [("a", 2), ("a", 18)]
    assert (scorer.n_batches, scorer.n_pictures) == (2, 20)


def test_a_batch_is_of_one_run_and_bounded(scorer):
    requests = [("a", pictures(1)), *(("b", pictures(*range(16))) for _ in range(5)), ("a", pictures(2))]
    answers = asyncio.run(asked(scorer, requests))
    assert [len(answer) for answer in answers] == [1, 16, 16, 16, 16, 16, 1]
    assert scorer.batches == [("a", 1), ("b", 64), ("b", 16), ("a", 1)] or scorer.batches == [
        ("a", 1),
        ("b", 64),
        ("a", 1),
        ("b", 16),
    ]


def test_one_that_fails_tells_those_who_wait_for_it_and_nobody_else(scorer):
    requests = [("a", pictures(1)), ("broken", pictures(2)), ("broken", pictures(3)), ("a", pictures(4))]
    first, second, third, last = asyncio.run(asked(scorer, requests))
    assert isinstance(second, ApiError)
    assert isinstance(third, ApiError)
    assert second.code == "not_usable"
    assert (first[0]["prediction"], last[0]["prediction"]) == (1, 4)


def test_what_is_no_picture_never_reaches_a_network(scorer):
    scorer.batches.append("nothing will come")
    (answer,) = asyncio.run(asked(scorer, [("a", pictures(1, status="truncated"))]))
    nothing = dict.fromkeys(("prediction", "low", "high", "run_id", "head", "encoder", "setup"))
    assert answer == [{"file": "1.jpg", **nothing, "status": "truncated"}]
    assert scorer.n_batches == 0
