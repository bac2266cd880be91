"""Real logs and posts: Spark and DuckDB compute the same rows."""

import pytest

from photogenic import FeatureStore, sql
from photogenic.warehouse import Store
from photogenic.warehouse.spark.export import export
from tests.warehouse.parity import agree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SIZES = {"london": 237_048, "omi": 13_113, "instagram": 16_539}
"""Number of swipes, or of posts of the instagram data set."""


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.thorough) for name in ("london", "omi")), "instagram"]
)
def test_every_relation_is_equal(name, labelled, master, tmp_path):
    ours = labelled(name)
    export(Store(ours.database), str(tmp_path / "facts"))
    with FeatureStore(tmp_path / "store") as theirs:
        theirs.build(only="labels", engine="spark", master=master, facts=str(tmp_path / "facts"))
        agree(ours.database, theirs.database)
        seen = theirs.sql("select coalesce(sum(n_swipes), 0) from swipe_audit").item()
        assert (seen or theirs.sql("select count(*) from posts").item()) == SIZES[name]
        assert theirs.sql("select count(*) from photo_labels").item() > 100
        assert set(theirs.sql("select relation from checksums")["relation"]) == set(sql.RELATIONS)
