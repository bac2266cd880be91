"""synthetic: what does a store look like that holds nobody real?

In: a seed. Out: files of made-up users, photos, swipes and drawn portraits with planted rules, and a local
network that serves them. Stands on ingest and warehouse; called by the demo of app and by tests.
"""

from __future__ import annotations

__all__: list[str] = []
