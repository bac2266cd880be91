"""Stores of released versions, from the statements in stores/.

    python -m tests.warehouse.released 0.2.0 > tests/warehouse/stores/0.2.0.sql

writes those of a release that is being made: the newest store there, brought up to date by this program.
"""

import sys
import tempfile
from pathlib import Path

import duckdb

from photogenic.sql import VIEWS
from photogenic.warehouse import Database, Layout, Settings, Store
from photogenic.warehouse.duckdb_store.migrations import SCHEMA_VERSION
from photogenic.warehouse.labels.build import build_labels

STORES = Path(__file__).with_name("stores")
SETTINGS = Settings(memory_limit="500MB", threads=1, lock_timeout_s=0)


def released(version: str, folder: Path) -> Database:
    """Make the store of a released version, with warehouse and snapshot only."""
    layout = Layout(folder / "store")
    layout.root.mkdir(parents=True)
    with duckdb.connect(layout.warehouse) as con:
        con.execute((STORES / f"{version}.sql").read_text())
        con.execute("checkpoint")
    layout.snapshot.write_bytes(layout.warehouse.read_bytes())
    return Database(layout, SETTINGS)


def statements(version: str, folder: Path) -> str:
    """Return the statements that make the store of a release."""
    newest = max((path.stem for path in STORES.glob("*.sql")), key=lambda name: [int(part) for part in name.split(".")])
    db = released(newest, folder)
    build_labels(Store(db), anew=True)
    lines = [
        f"-- A store as the release {version} left it: drawn people, photos and swipes."
        f" Version {SCHEMA_VERSION} of the base tables.",
        "create schema facts;",
    ]
    with duckdb.connect(db.layout.warehouse, read_only=True) as con:
        tables = "select schema_name, table_name, sql from duckdb_tables() where not temporary order by all"
        for schema, table, text in con.execute(tables).fetchall():
            lines.append(text)
            columns = con.execute(f"select * from {schema}.{table} limit 0").description
            row = " || ', ' || ".join(_literal(name, str(kind)) for name, kind, *_ in columns)
            rows = con.execute(f"select {row} as row from {schema}.{table} order by row").fetchall()
            if rows:
                lines += [f"insert into {schema}.{table} values", ",\n".join(f"({row})" for (row,) in rows) + ";"]
        views = con.execute("select view_name, sql, comment from duckdb_views() where not internal").fetchall()
    for name, text, comment in sorted(views, key=lambda view: VIEWS.index(view[0])):
        lines += [text, f"comment on view {name} is '{comment}';"]
    return "\n".join(lines)


def _literal(name: str, kind: str) -> str:
    """Return the expression for the literal of a column's value."""
    text = f'cast("{name}" as varchar)'
    if kind not in ("BIGINT", "INTEGER", "DOUBLE", "BOOLEAN"):
        text = f"chr(39) || replace({text}, chr(39), chr(39) || chr(39)) || chr(39)"
    return f"coalesce({text}, 'null')"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(statements(sys.argv[1], Path(scratch)))
