"""Helpers of the ingest tests: a small store, and files written from literal text."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb

from photogenic.ingest.tabular.load import ingest
from photogenic.ingest.tabular.report import IngestReport
from photogenic.warehouse import Database, Layout, Settings, Store

NOW = dt.datetime(2024, 6, 1, 12, 0)
SWIPES = "sender_id,recipient_id,liked,swiped_at\n"


class StoreWithFiles:
    """A store in `folder`, and input files beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = Database(Layout(folder / "store"), Settings("500MB", 2))
        self.store = Store(self.db)
        self.now = NOW

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def parquet(self, name: str, query: str) -> Path:
        path = self.folder / name
        with duckdb.connect() as con:
            con.execute(f"set timezone = 'UTC'; copy ({query}) to '{path}' (format parquet)")
        return path

    def take(self, kind: str, *files: Path | str, **options: Any) -> list[IngestReport]:
        self.now += dt.timedelta(hours=1)
        return ingest(self.store, kind, files, now=self.now, **options)

    def take_text(self, kind: str, text: str | bytes, name: str = "given.csv", **options: Any) -> IngestReport:
        [report] = self.take(kind, self.file(name, text), **options)
        return report

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.db.read() as con:
            return con.execute(query).fetchall()

    def swipes(self) -> list[tuple[Any, ...]]:
        return self.rows("select sender_id, recipient_id, liked, swiped_at from facts.swipes order by all")

    def rejects(self) -> list[tuple[Any, ...]]:
        return self.rows("select line, reason from facts.rejects order by all")
