"""Sync in a process of its own, to be killed: `python sync_child.py FOLDER ROWS`, with pieces of that many rows."""

import sys

from photogenic import FeatureStore
from photogenic.ingest.sync import queries


def main() -> None:
    queries.PIECE_ROWS = int(sys.argv[2])
    with FeatureStore(f"{sys.argv[1]}/store", config=f"{sys.argv[1]}/photogenic.toml") as store:
        print("ready", flush=True)
        store.sync()


if __name__ == "__main__":
    main()
