"""A store beside a database of SQLite and a folder of files, with one source."""

import datetime as dt
import sqlite3

from photogenic.ingest.sync.source import SyncSource
from photogenic.ingest.sync.sync import sync
from photogenic.ingest.tabular.mapping_file import FileMapping, mapping_of
from photogenic.warehouse import Database, Layout, Settings, Store

NOW = dt.datetime(2024, 6, 1)
SWIPES = "select sender_id, recipient_id, liked, swiped_at, changed_at from swipes"


class SyncStore:
    """A store and its source.

    Attributes:
        source: the source; replace it to change its definition.
    """

    def __init__(self, folder, **source):
        self.folder = folder
        self.store = Store(Database(Layout(folder / "store"), Settings("500MB", 2)))
        self.database = folder / "app.db"
        given = {"name": "swipes", "kind": "swipes", "mapping": FileMapping(), "watermark": "changed_at"}
        given |= {"query": SWIPES, "given": (f"sqlite:{self.database}",)}
        self.source = SyncSource(**(given | source))

    def sync(self, **options):
        """Sync the source, and return its report, which has no error."""
        report = self.try_sync(**options)
        assert not report.error, report.error
        return report

    def try_sync(self, **options):
        [report] = sync(self.store, [self.source], now=options.pop("now", NOW), **options)
        return report

    def changed(self, **changes):
        """Change the definition of the source."""
        self.source = SyncSource(**({name: getattr(self.source, name) for name in self.source.__slots__} | changes))

    def rows(self, query):
        with self.store.database.read() as con:
            return con.execute(query).fetchall()

    def execute(self, statement, rows=None):
        con = sqlite3.connect(self.database)
        with con:
            con.execute("create table if not exists swipes (sender_id, recipient_id, liked, swiped_at, changed_at)")
            con.executemany(statement, rows) if rows is not None else con.execute(statement)
        con.close()

    def swipe(self, *rows):
        """Insert swipes of (sender, recipient, liked, changed_at)."""
        self.execute(
            "insert into swipes values (?, ?, ?, '2024-01-01 00:00:00', ?)", [(*row[:3], row[3]) for row in rows]
        )


def words(kind="swipes", **columns):
    return mapping_of(kind, columns)


def outcomes(report):
    """Numbers of rows read, new, corrected, retracted, known, refused."""
    return tuple(report.count(name) for name in ("read", "new", "corrected", "retracted", "known", "refused"))
