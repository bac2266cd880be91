"""Heavy libraries that load on first use, so that files can import them at the top and help stays fast.

from photogenic._lazy import duckdb, pl, torch

Each name is the module itself: `torch.zeros(3)` imports torch. A submodule that its library does not import is
imported by attribute access, e.g. `sklearn.svm.LinearSVC`.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = [
    "Image",
    "ImageDraw",
    "ImageFont",
    "ImageOps",
    "duckdb",
    "faiss",
    "jinja2",
    "matplotlib",
    "mediapipe",
    "nn",
    "open_clip",
    "pa",
    "pc",
    "pl",
    "platformdirs",
    "pq",
    "pyspark",
    "rich",
    "safetensors",
    "scipy",
    "sklearn",
    "sqlglot",
    "timm",
    "torch",
    "torchvision",
]


class _Lazy(ModuleType):
    """A module that is imported when one of its attributes is read or set."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__dict__["_loaded"] = None

    def _load(self) -> ModuleType:
        loaded: ModuleType | None = self.__dict__["_loaded"]
        if loaded is None:
            loaded = self.__dict__["_loaded"] = importlib.import_module(self.__name__)
        return loaded

    def __getattr__(self, name: str) -> Any:
        module = self._load()
        try:
            return getattr(module, name)
        except AttributeError:
            if name.startswith("__"):
                raise
            try:
                return importlib.import_module(f"{self.__name__}.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"{self.__name__}.{name}":
                    raise
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._load(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._load(), name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the module itself, so that functions sent to Spark's workers need nothing of this package."""
        return importlib.import_module, (self.__name__,)

    def __dir__(self) -> list[str]:
        return dir(self._load())


if TYPE_CHECKING:
    import duckdb
    import faiss
    import jinja2
    import matplotlib
    import matplotlib.axes
    import matplotlib.figure
    import matplotlib.lines
    import matplotlib.text
    import mediapipe
    import open_clip
    import open_clip.model
    import open_clip.tokenizer
    import platformdirs
    import polars as pl
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    import pyspark
    import rich
    import rich.cells
    import rich.console
    import rich.progress
    import safetensors
    import safetensors.numpy
    import safetensors.torch
    import scipy
    import sklearn
    import sqlglot
    import sqlglot.errors
    import sqlglot.expressions
    import sqlglot.lineage
    import sqlglot.optimizer
    import sqlglot.optimizer.qualify
    import timm
    import torch
    import torchvision
    from PIL import Image, ImageDraw, ImageFont, ImageOps
    from torch import nn
else:
    Image = _Lazy("PIL.Image")
    ImageDraw = _Lazy("PIL.ImageDraw")
    ImageFont = _Lazy("PIL.ImageFont")
    ImageOps = _Lazy("PIL.ImageOps")
    duckdb = _Lazy("duckdb")
    faiss = _Lazy("faiss")
    jinja2 = _Lazy("jinja2")
    matplotlib = _Lazy("matplotlib")
    mediapipe = _Lazy("mediapipe")
    nn = _Lazy("torch.nn")
    open_clip = _Lazy("open_clip")
    pa = _Lazy("pyarrow")
    pc = _Lazy("pyarrow.compute")
    pl = _Lazy("polars")
    platformdirs = _Lazy("platformdirs")
    pq = _Lazy("pyarrow.parquet")
    pyspark = _Lazy("pyspark")
    rich = _Lazy("rich")
    safetensors = _Lazy("safetensors")
    scipy = _Lazy("scipy")
    sklearn = _Lazy("sklearn")
    sqlglot = _Lazy("sqlglot")
    timm = _Lazy("timm")
    torch = _Lazy("torch")
    torchvision = _Lazy("torchvision")
