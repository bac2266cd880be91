"""synthetic: which test data does a store need that has no real people?

In: a seed. Out: files of synthetic users, photos, swipes and drawn portraits with known rules, and a local
network that serves them. Uses ingest and warehouse; the demo in app and the tests use it.
"""

from __future__ import annotations

__all__: list[str] = []
