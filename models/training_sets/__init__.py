"""Training sets with a name: rows of a relation, each with features as they were known at its instant, as files.

create.py makes a version, frozen.py reads one, versions.py lists, exports, verifies and removes them. The files are
those of warehouse/storage/training_set_files.py.
"""

from __future__ import annotations

__all__: list[str] = []
