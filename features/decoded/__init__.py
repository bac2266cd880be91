"""Pictures that were decoded to one size: written once by an export, and read in place of decoding the photos again.

In: files that `features.export_pictures` wrote, in a folder or an object store. Out: pixels by the SHA-256 of the bytes
of a photo, for encoders and for fine-tuning; none for a photo that is not there.
"""

from __future__ import annotations

__all__: list[str] = []
