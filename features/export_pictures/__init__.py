"""Export the pictures of photos to a folder or an object store: as received, or decoded to one size.

In: photos of the snapshot, all or chosen ones. Out: files of pictures, an index, and a manifest (decoded/manifest.py).
`features.decoded` reads decoded pictures again.
"""

from __future__ import annotations

__all__: list[str] = []
