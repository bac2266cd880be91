"""A crawl in a process of its own, to be killed: python -m tests.ingest.instagram.crawl_child FOLDER API NAMES."""

from __future__ import annotations

import sys
from pathlib import Path

from photogenic.ingest.config import CrawlSettings
from photogenic.ingest.instagram.crawl import crawl
from photogenic.ingest.instagram.token_store import Vault
from photogenic.warehouse import Database, Layout, Settings, Store

if __name__ == "__main__":
    folder, api, names = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    db = Database(Layout(folder / "store"), Settings(memory_limit="500MB", threads=1, lock_timeout_s=5))
    settings = CrawlSettings(api=api, budget=10_000, page_posts=5, merge_every_s=0.3)
    crawl(Store(db), usernames=names.read_text().split(), vault=Vault(folder / "vault"), settings=settings)
