"""maintenance: back up, restore, check and repair a store, and erase people from it.

In: a store. Out: backups and restored stores, findings of the doctor with their remedies, and receipts of erased
people. It uses features; photogenic.store and app use it.
"""

from __future__ import annotations

__all__: list[str] = []
