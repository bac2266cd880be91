"""A store that an older version built, and that this version has migrated and not built again."""

from __future__ import annotations

import polars as pl
import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.app.serve.snapshot import Snapshot
from photogenic.models.evaluation.gender_table import gender_table
from photogenic.warehouse import StoreError
from tests.features.toy import SETTINGS, put_photos

OLDER = {
    "a relation is new": "drop table gender_changes",
    "a column is new": "alter table swipe_counts drop column sender_group",
}


@pytest.fixture(params=OLDER)
def older(request, tmp_path):
    """A store without a relation, or a column of one, that table 1 reads."""
    store = FeatureStore(tmp_path / "store", settings=SETTINGS)
    put_photos(
        store.database,
        pl.DataFrame({"photo_id": ["p1", "p2"], "gender": ["female", "male"], "n_swipes": [9, 8], "n_likes": [3, 5]}),
    )
    assert len(gender_table(store.database))
    with store.database.write("test") as con:
        con.execute("drop view photo_swipes")
        con.execute(OLDER[request.param])
        con.execute("delete from facts.relation_state where relation in ('gender_changes', 'swipe_counts')")
    return store


def test_readers_name_the_build(older):
    snapshot = Snapshot(older.database)
    for read in (
        lambda: gender_table(older.database),
        older.report,
        lambda: snapshot.query("select sender_group from swipe_counts cross join gender_changes"),
    ):
        with pytest.raises(StoreError, match="computed by an older version") as error:
            read()
        assert error.value.remedy == "features build --only labels"
    done = CliRunner().invoke(program, ["report", "--store", str(older.layout.root)])
    assert done.exit_code == 1
    assert isinstance(done.exception, (StoreError, SystemExit))


def test_what_does_not_read_it_works_and_a_build_brings_it(older):
    assert older.sql("select count(*) from photo_labels").item() == 2
    assert older.status()["relations"]["photo_labels"] == 2
    assert older.runs().is_empty()
    older.build(only="labels")
    assert len(gender_table(older.database))
    assert older.sql("select count(*) from photo_swipes").item() == 17


def test_a_mistake_in_a_query_of_a_current_store_stays_one(tmp_path):
    store = FeatureStore(tmp_path / "store", settings=SETTINGS)
    put_photos(store.database, pl.DataFrame({"photo_id": ["p1"], "gender": ["male"], "n_swipes": [3], "n_likes": [1]}))
    with pytest.raises(Exception, match="Table with name nowhere does not exist"), store.database.read() as con:
        con.execute("from nowhere")
