"""Export rows: streams of Arrow, written to a folder, an address of an object store, or a database.

options.py has the options, writer.py what a writer of one kind of target does. run.py writes the items of one export:
each is compared with what lies at the address, and is written if it differs.

    folder.py      Parquet and CSV: files and a manifest that names the valid ones; files.py encodes them
    delta.py       Delta Lake tables: one commit per item
    lance.py       Lance data sets
    postgres.py    tables of PostgreSQL
    feast.py       a Feast repository on top of files of folder.py
"""

from __future__ import annotations

__all__: list[str] = []
