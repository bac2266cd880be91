"""Stores of released versions, from the statements in stores/."""

from pathlib import Path

import duckdb

from photogenic.warehouse import Database, Layout, Settings

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
