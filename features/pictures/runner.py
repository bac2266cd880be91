"""Compute the features of decoded photos: ours in this process, those of the user in processes of their own."""

from __future__ import annotations

import queue
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.evaluate import Answer, Picture, evaluate
from photogenic.features.pictures.function_process import FunctionProcess, TimedOutError
from photogenic.warehouse.closing import Closing
from photogenic.warehouse.processes.child import ChildDiedError
from photogenic.warehouse.user_modules import PROJECT_MODULE, project_module

__all__ = ["Runner", "for_other_processes", "is_importable"]


class Runner(Closing):
    """Calls the functions of features. It is thread-safe. Close it, or use it in a `with`.

    Each thread that calls at the same time has a process of its own for functions of the user, which starts with its
    first call. A function that was defined in a notebook or a script, which no other process can import, is called
    in this process; nothing can stop it there.
    """

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[FunctionProcess] = queue.SimpleQueue()
        self._all: list[FunctionProcess] = []

    def __call__(self, feature: PictureFeature, pictures: Sequence[Picture]) -> list[Answer]:
        """Compute a feature of each picture; a failure is a status, and never an error."""
        if not self.uses_process(feature):
            return evaluate(feature, pictures)
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            process = self._new()
        try:
            return _answers(process, feature, pictures)
        finally:
            self._idle.put(process)

    def uses_process(self, feature: PictureFeature) -> bool:
        """Whether the function of a feature is called in a process of its own, which takes many pictures at once."""
        return feature.function is None or not (feature.is_ours or not is_importable(feature))

    def start(self) -> None:
        """Start a process if none waits for a call, so that it is ready when the first pictures are."""
        if self._idle.empty():
            process = self._new()
            process.start()
            self._idle.put(process)

    def _new(self) -> FunctionProcess:
        process = FunctionProcess()
        self._all.append(process)
        return process

    def close(self) -> None:
        """End the processes."""
        while self._all:
            self._all.pop().close()


def _answers(process: FunctionProcess, feature: PictureFeature, pictures: Sequence[Picture]) -> list[Answer]:
    """Answers of the process.

    Where one picture ended it, that one is computed once more alone, and so are those before and those after it. Where
    a list of a batch function ended it, each picture is computed alone.
    """
    if not pictures:
        return []
    try:
        return _whole(process(feature, pictures), feature)
    except TimedOutError as error:
        late: list[Answer] = [Answer.failed(feature, "timeout", str(error))]
        if len(pictures) == 1:
            return late
    except ChildDiedError:
        late = []
    if feature.is_batch:
        return [_alone(process, feature, picture) for picture in pictures]
    at = min(max(process.at, 0), len(pictures) - 1)
    return [
        *_answers(process, feature, pictures[:at]),
        *(late or [_alone(process, feature, pictures[at])]),
        *_answers(process, feature, pictures[at + 1 :]),
    ]


def _alone(process: FunctionProcess, feature: PictureFeature, picture: Picture) -> Answer:
    try:
        return _whole(process(feature, [picture]), feature)[0]
    except TimedOutError as error:
        return Answer.failed(feature, "timeout", str(error))
    except ChildDiedError as error:
        return Answer.failed(feature, "killed", f"the process of the function ended: {_without_paths(str(error))}")


def _whole(answers: Sequence[Answer], feature: PictureFeature) -> list[Answer]:
    """Answers with a value for every column; a process that does not find the function has none."""
    return [a if a.values else Answer.failed(feature, a.status, a.detail) for a in answers]


def _without_paths(text: str) -> str:
    return " ".join(word if "/" not in word else "..." for word in text.split())


def for_other_processes(features: Iterable[PictureFeature]) -> tuple[PictureFeature, ...]:
    """The same features without the functions of the user, which the other process calls in processes of their own."""
    return tuple(feature if feature.is_ours else replace(feature, function=None) for feature in features)


def is_importable(feature: PictureFeature) -> bool:
    """Whether another process can import the module of the function."""
    if feature.is_ours or feature.home == "__main__":
        return feature.is_ours
    if feature.home == PROJECT_MODULE:
        return project_module() is not None
    module = sys.modules.get(feature.home)
    spec = getattr(module, "__spec__", None)
    return spec is not None and spec.origin is not None and Path(spec.origin).is_file()
