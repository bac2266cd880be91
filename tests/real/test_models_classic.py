"""Figures of scikit-learn's heads on 422 rated faces, over five divisions into train, dev and test.

pytest tests/real/test_models_classic.py -s        prints the figures in docs/results/tables.md
"""

import numpy as np
import polars as pl
import pytest

from photogenic.warehouse.labels.options import LabelOptions
from tests.models.planted import train

SEEDS = range(5)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def rows(rated):
    """Rows of the leaderboards of all divisions."""
    store, found = rated("omi"), []
    for seed in SEEDS:
        store.build(only="labels", labels=LabelOptions(split_seed=seed))
        found.append(train(store, ["like_ratio", "gender"], ["dlib_face"], ["ridge", "linear_svm", "logistic"]).frame)
    return pl.concat(found)


def test_ridge_makes_far_less_error_than_the_best_constant(rows):
    own = rows.filter(head="ridge")
    gain = own["baseline"].mean() / own["test"].mean()
    print(f"\nridge: mean test error {own['test'].mean():.4f}, {gain:.2f} x less than the constant's")
    assert len(own) == len(SEEDS)
    assert gain >= 2.3


@pytest.mark.parametrize("head", ["linear_svm", "logistic"])
def test_gender_is_predicted_from_faces(rows, head):
    own = rows.filter(head=head)
    accuracy = np.average(own["test"], weights=own["n_test"])
    print(f"\n{head}: accuracy {accuracy:.4f}")
    assert len(own) == len(SEEDS)
    assert accuracy >= 0.97
