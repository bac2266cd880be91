"""`mllib_svm`: a linear SVM trained by Spark's MLlib, as in the likability project, and a faster search of its grid.

SVMWithSGD minimizes  reg / 2 |w|^2 + mean hinge loss  by full gradients in steps of `step` / sqrt(iteration), from
weights of 0 and an intercept of 1, which is penalized like a weight. It is not an estimator of Spark's pipelines, so a
loop here searches the grid of regularizations and steps, on the same folds as scikit-learn's SVM. A solver that
converges needs no step: each scikit-learn fit of the same objective, by regularization and fold, is one Spark task.
Both times are in the run: results->'seconds'.

Source: University project on likability (cross-validated; best were 1e-4 and 1). MLlib has no sample weights.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from photogenic._lazy import pyspark, sklearn
from photogenic.models.data.array_types import Array
from photogenic.models.data.samples import Samples, Standardisation
from photogenic.models.data.targets import Target
from photogenic.models.heads.base import Fitted, measured
from photogenic.models.heads.linear import fold_score, folds_by_user, linear_model, platt
from photogenic.warehouse import InputError, Progress, no_progress
from photogenic.warehouse.spark.session import Cluster, require_spark, run_on_spark, session

__all__ = ["MLLIB", "PUBLISHED", "SvmGrid", "check_master", "fit_mllib"]

MLLIB = "mllib_svm"

_SCORE = "average_precision"
"""Score of the folds, as for scikit-learn's SVM."""


@dataclass(frozen=True, slots=True)
class SvmGrid:
    """Grid to cross-validate.

    Attributes:
        regularisations: regularizations of the squared weights.
        steps: step sizes of the first iteration.
        iterations: largest number of iterations; MLlib stops earlier if the weights hardly change.
    """

    regularisations: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2)
    steps: tuple[float, ...] = (0.1, 1.0, 10.0)
    iterations: int = 100

    @property
    def cells(self) -> list[tuple[float, float]]:
        """Pairs of regularization and step."""
        return list(itertools.product(self.regularisations, self.steps))


PUBLISHED = SvmGrid()


@dataclass(frozen=True, slots=True)
class _Rows:
    """Standardized vectors, labels 0 or 1, weights for the score, and (inside, left out) rows of each fold."""

    X: Array
    y: Array
    weight: Array
    folds: list[tuple[Any, Any]]


def check_master(master: str | None) -> Cluster:
    """Return the Spark cluster for training.

    Args:
        master: Spark master URL. None: `local[*]`.

    Raises:
        InputError: it is a Spark Connect URL; Spark Connect has no RDDs.
        MissingPartError: pyspark or Java is missing.
    """
    cluster = Cluster(master or "local[*]")
    if cluster.connects:
        raise InputError(
            f"{MLLIB} needs RDDs, which Spark Connect does not have: {cluster.master}.",
            "a master that is not sc://",
            "--master 'local[*]', or --head linear_svm",
        )
    require_spark(cluster)
    return cluster


def fit_mllib(
    samples: Samples,
    target: Target,
    *,
    master: str | None = None,
    grid: SvmGrid | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Fitted:
    """Choose regularization and step on folds of train, then fit to all of train; on Spark.

    Args:
        samples: samples of one encoder and setup.
        target: binary target.
        master: Spark master URL. None: `local[*]`.
        grid: grid to try. None: `PUBLISHED`.
        seed: seed of scikit-learn's order of photos.
        progress: callback for progress updates.

    Raises:
        InputError: the master is a Spark Connect URL, or Spark fails, or train is too small for folds.
        MissingPartError: pyspark or Java is missing.
    """
    cluster, grid = check_master(master), grid or PUBLISHED
    train = samples.part("train")
    standardise = Standardisation.of(train.X)
    X, y = standardise(train.X).astype(np.float64), train.y.astype(np.float64)
    rows = _Rows(X, y, train.weight, folds_by_user(train, target))
    context = session(cluster).sparkContext
    started = time.perf_counter()
    curve, outside = run_on_spark(cluster, lambda: _by_mllib(context, rows, grid, progress))
    between = time.perf_counter()
    theirs = run_on_spark(cluster, lambda: _by_scikit_learn(context, rows, grid, seed))
    seconds = {"mllib": between - started, "scikit_learn": time.perf_counter() - between}
    best = max(range(len(curve)), key=lambda at: curve[at]["score"])
    regularisation, step = grid.cells[best]
    with _points(context, X, y) as everything:
        weights, shift = run_on_spark(
            cluster, lambda: _descend(everything, X.shape[1], regularisation, step, grid.iterations)
        )
    left_out = np.concatenate([out for _, out in rows.folds])
    slope, intercept = platt(outside[best], y[left_out])
    made = linear_model("sigmoid", slope * weights, slope * shift + intercept, standardise)
    chosen = {"regularisation": regularisation, "step": step, "folds": len(rows.folds), "chosen_by": _SCORE}
    results = {"penalty_curve": curve, "scikit_learn": theirs, "seconds": seconds}
    return measured(made, target, samples, {"seed": seed, **asdict(grid), **chosen}, results)


def _by_mllib(
    context: pyspark.SparkContext, rows: _Rows, grid: SvmGrid, progress: Progress
) -> tuple[list[dict[str, Any]], list[Array]]:
    """Fit every cell of the grid on every fold, one after the other; return scores, and margins of left-out photos."""
    scores: list[list[float]] = [[] for _ in grid.cells]
    said: list[list[Array]] = [[] for _ in grid.cells]
    dim = rows.X.shape[1]
    with progress.stage(MLLIB, len(rows.folds) * len(grid.cells), "fits") as advance:
        for inside, out in rows.folds:
            with _points(context, rows.X[inside], rows.y[inside]) as points:
                for at, (regularisation, step) in enumerate(grid.cells):
                    weights, shift = _descend(points, dim, regularisation, step, grid.iterations)
                    said[at].append(rows.X[out] @ weights + shift)
                    scores[at].append(fold_score(_SCORE, rows.y[out], said[at][-1], rows.weight[out]))
                    advance(1)
    curve = [
        {"regularisation": regularisation, "step": step, "score": float(np.mean(own)), "folds": own}
        for (regularisation, step), own in zip(grid.cells, scores, strict=True)
    ]
    return curve, [np.concatenate(own) for own in said]


def _by_scikit_learn(context: pyspark.SparkContext, rows: _Rows, grid: SvmGrid, seed: int) -> list[dict[str, Any]]:
    """Search the same objective with one scikit-learn fit per task: C = 1 / (n reg)."""
    held = context.broadcast((rows.X, rows.y, rows.weight, rows.folds))

    def fit(cell: tuple[float, int]) -> float:

        X, y, weight, folds = held.value
        inside, out = folds[cell[1]]
        svm = sklearn.svm.LinearSVC(
            C=1 / (len(inside) * cell[0]), loss="hinge", max_iter=2000, random_state=seed % 2**32
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
            svm.fit(X[inside], y[inside])
        return float(
            sklearn.metrics.average_precision_score(y[out], svm.decision_function(X[out]), sample_weight=weight[out])
        )

    cells = [(regularisation, fold) for regularisation in grid.regularisations for fold in range(len(rows.folds))]
    scores = np.reshape(context.parallelize(cells, len(cells)).map(fit).collect(), (-1, len(rows.folds)))
    held.destroy()
    return [
        {"regularisation": regularisation, "score": float(own.mean()), "folds": own.tolist()}
        for regularisation, own in zip(grid.regularisations, scores, strict=True)
    ]


@contextlib.contextmanager
def _points(context: pyspark.SparkContext, X: Array, y: Array) -> Iterator[pyspark.RDD[Any]]:
    """Yield LabeledPoints, cached by the workers during the block, in as many partitions as there are cores."""
    n_parts = max(context.defaultParallelism, 1)
    held = context.broadcast((X, y))

    def rows(part: int) -> Any:
        from pyspark.mllib.regression import LabeledPoint

        vectors, labels = held.value
        return [LabeledPoint(labels[at], vectors[at]) for at in range(part, len(labels), n_parts)]

    points = context.parallelize(range(n_parts), n_parts).flatMap(rows).cache()
    yield points
    points.unpersist()
    held.destroy()


def _descend(
    points: pyspark.RDD[Any], dim: int, regularisation: float, step: float, iterations: int
) -> tuple[Array, float]:
    """Return weights and intercept of SVMWithSGD.train, without its read of the first point, which starts a worker."""
    from pyspark.mllib.common import callMLlibFunc
    from pyspark.mllib.linalg import Vectors

    share, start, tolerance = 1.0, Vectors.dense(np.zeros(dim)), 0.001
    options = (iterations, step, regularisation, share, start, "l2", True, True, tolerance)
    weights, intercept = callMLlibFunc("trainSVMModelWithSGD", points, *options)
    return np.asarray(weights.toArray(), np.float64), float(intercept)
