"""JSON files of the store that say what lies beside them, with a digest of their own: a flipped bit is not believed.

write_atomically(path, sealed({"rows": 7}))
unsealed(path.read_bytes())                   {"rows": 7}
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["sealed", "unsealed"]

_SEAL = "manifest_sha256"


def sealed(facts: dict[str, Any]) -> bytes:
    """As JSON, the last entry a digest of the others."""
    return json.dumps({**facts, _SEAL: _digest(facts)}, indent=1).encode()


def unsealed(data: bytes) -> dict[str, Any]:
    """The facts. A manifest of a version that wrote no digest is taken as it is.

    Raises:
        ValueError: it is no JSON object, or not what was written.
    """
    facts = json.loads(data)
    if not isinstance(facts, dict):
        raise ValueError("it is no JSON object")
    seal = facts.pop(_SEAL, None)
    if seal is not None and seal != _digest(facts):
        raise ValueError("it is not what was written: its digest differs")
    if seal is None and facts:
        *others, (name, value) = facts.items()
        if value == _digest(dict(others)):
            raise ValueError(f"it is not what was written: its digest is called {name}")
    return facts


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
