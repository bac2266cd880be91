"""Table 1 with intervals equals the relation gender_breakdown, cell by cell."""

import numpy as np
import pytest

from photogenic.models.evaluation.gender_table import PUBLISHED_BREAKDOWN, gender_table
from tests.models.planted import planted


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The planted store, in which half of the senders are users with a gender."""
    made = planted(tmp_path_factory.mktemp("planted"))
    with made.database.write("test") as con:
        con.execute(
            "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
            " select distinct sender_id, case when hash(sender_id) % 2 = 0 then 'female' "
            "else 'male' end, null, null, timestamp '2024-01-01' from facts.swipes where hash(sender_id) % 3 > 0"
        )
    made.build(only="labels")
    return made


def test_cells_equal_the_relation(store):
    cells = store.sql("from gender_breakdown where time_window = 'latest'").to_dicts()
    pairs = gender_table(store.database)
    assert len(pairs) == len(cells) > 4
    for cell in cells:
        (pair,) = (p for p in pairs if (p.sender, p.recipient) == (cell["sender_gender"], cell["recipient_gender"]))
        assert (pair.n_recipients, pair.n_swipes) == (cell["n_recipients"], cell["n_swipes"])
        assert pair.like_ratio == pytest.approx(cell["like_ratio"])
        assert pair.mean == pytest.approx(cell["mean_like_ratio"])
        assert pair.low <= pair.like_ratio <= pair.high


def test_published_cells_come_first_with_the_published_figures(store):
    pairs = gender_table(store.database)
    assert [(p.sender, p.recipient) for p in pairs[:4]] == list(PUBLISHED_BREAKDOWN)
    assert [p.published for p in pairs[:5]] == [0.33, 0.24, 0.75, 0.31, None]


def test_the_interval_equals_a_bootstrap_over_recipients(store):
    """Compare with a direct bootstrap over the recipients of one cell."""
    (pair,) = (p for p in gender_table(store.database) if (p.sender, p.recipient) == ("male", "female"))
    rows = np.array(
        store.sql(
            "select count(*) filter (where liked), count(*) from swipes join users as s on sender_id = s.user_id "
            "join users as r on recipient_id = r.user_id where s.gender = 'male' and r.gender = 'female' "
            "group by recipient_id"
        ).rows()
    )
    rng = np.random.default_rng(3)
    draws = [rows[rng.integers(len(rows), size=len(rows))].sum(0) for _ in range(2000)]
    np.testing.assert_allclose([pair.low, pair.high], np.quantile([a / b for a, b in draws], [0.025, 0.975]), atol=0.02)
