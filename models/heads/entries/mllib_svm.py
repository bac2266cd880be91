"""`mllib_svm`: a linear SVM trained on Spark; models/heads/spark_svm.py has the computation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from photogenic.models.heads.base import FitData, FitSettings, Fitted, Head
from photogenic.models.heads.registry import register_head

if TYPE_CHECKING:
    from photogenic.models.data.array_types import Array
    from photogenic.models.heads.grid import Grid

__all__ = ["MllibSvm"]


@register_head("mllib_svm")
class MllibSvm(Head):
    """Linear SVM of MLlib, as in the likability project."""

    summary = "linear SVM by Spark, for popular, gender and other yes/no targets"
    losses = ("log_loss",)
    kind = "fc"
    place = 30
    needs_spark = True

    def tried(self, grid: Grid) -> dict[str, Any]:  # noqa: ARG002 - the grid is for layers
        from photogenic.models.heads import spark_svm

        return asdict(spark_svm.PUBLISHED)

    def check(self, settings: FitSettings) -> None:
        from photogenic.models.heads.spark_svm import check_master

        check_master(settings.master)

    def fit(self, data: FitData, settings: FitSettings) -> Fitted:
        from photogenic.models.heads.spark_svm import fit_mllib

        seed, progress = settings.seed, settings.progress
        return fit_mllib(data.samples, data.target, master=settings.master, seed=seed, progress=progress)

    def apply(self, arrays: Mapping[str, Array], X: Array) -> Array:
        from photogenic.models.heads.mlp import apply_head

        return apply_head(arrays, X)
