"""maintenance: how is a store kept sound?

In: a store. Out: backups and restores, findings of the doctor with their remedies, and stores from which
people were erased. Stands on features; called by the facade and by app.
"""

from __future__ import annotations

__all__: list[str] = []
