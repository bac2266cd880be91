import datetime as dt

import pytest

from photogenic.warehouse import Database, Layout, Settings


@pytest.fixture(scope="session")
def swipes_db(tmp_path_factory):
    """A store of 5,000 swipes for queries."""
    db = Database(Layout(tmp_path_factory.mktemp("asked") / "store"), Settings("500MB", threads=1))
    with db.write("test") as con:
        con.execute(
            "insert into facts.swipes select 'sender-' || range, 'recipient-' || range % 7, range % 3 = 0,"
            " timestamp '2024-01-01' + interval (range) second, $1 from range(5000)",
            [dt.datetime(2024, 6, 1)],
        )
    return db
