"""Ingest in a process of its own, to be killed: `python ingest_child.py STORE FOLDER`."""

import sys
from pathlib import Path

from photogenic.ingest.tabular.load import ingest
from photogenic.warehouse import Database, Layout, Settings, Store


def main() -> None:
    db = Database(Layout(Path(sys.argv[1])), Settings("500MB", 2))
    folder = Path(sys.argv[2])
    print("ready", flush=True)
    ingest(Store(db), "photos", [folder / "photos.csv"], images=folder / "images")
    ingest(Store(db), "swipes", sorted(folder.glob("swipes-*.csv")))


if __name__ == "__main__":
    main()
