"""Requests for predictions that arrive while the networks run form one batch; each gets its own scores."""

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
    """A scorer whose network returns the number in the bytes of a picture, after a signal."""
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
        while not scorer.batches:  # the first batch runs before the other requests arrive
            await asyncio.sleep(0.01)
    scorer.may.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_requests_during_a_batch_form_the_next_batch(scorer):
    requests = [("a", pictures(n, n + 100)) for n in range(10)]
    answers = asyncio.run(asked(scorer, requests))
    assert [[one["prediction"] for one in answer] for answer in answers] == [[n, n + 100] for n in range(10)]
    assert scorer.batches == [("a", 2), ("a", 18)]
    assert (scorer.n_batches, scorer.n_pictures) == (2, 20)


def test_a_batch_has_one_run_and_a_limited_size(scorer):
    requests = [("a", pictures(1)), *(("b", pictures(*range(16))) for _ in range(5)), ("a", pictures(2))]
    answers = asyncio.run(asked(scorer, requests))
    assert [len(answer) for answer in answers] == [1, 16, 16, 16, 16, 16, 1]
    assert scorer.batches == [("a", 1), ("b", 64), ("b", 16), ("a", 1)] or scorer.batches == [
        ("a", 1),
        ("b", 64),
        ("a", 1),
        ("b", 16),
    ]


def test_a_failed_batch_fails_only_its_own_requests(scorer):
    requests = [("a", pictures(1)), ("broken", pictures(2)), ("broken", pictures(3)), ("a", pictures(4))]
    first, second, third, last = asyncio.run(asked(scorer, requests))
    assert isinstance(second, ApiError)
    assert isinstance(third, ApiError)
    assert second.code == "not_usable"
    assert (first[0]["prediction"], last[0]["prediction"]) == (1, 4)


def test_a_file_that_is_not_a_picture_is_not_scored(scorer):
    scorer.batches.append("nothing will come")
    (answer,) = asyncio.run(asked(scorer, [("a", pictures(1, status="truncated"))]))
    nothing = dict.fromkeys(("prediction", "low", "high", "run_id", "head", "encoder", "setup"))
    assert answer == [{"file": "1.jpg", **nothing, "status": "truncated"}]
    assert scorer.n_batches == 0
