"""What the base tables are filled from: files of which kind, and which commands."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["COMMANDS", "FILES", "RECORDS", "TARGETS"]

FILES: Mapping[str, tuple[str, ...]] = {
    "facts.users": ("users",),
    "facts.photos": ("photos",),
    "facts.photo_files": ("photos",),
    "facts.main_photos": ("main_photos", "photos"),
    "facts.replaced_main_photos": ("main_photos", "photos"),
    "facts.retracted_main_photos": ("main_photos", "photos"),
    "facts.swipes": ("swipes",),
    "facts.replaced_swipes": ("swipes",),
    "facts.retracted_swipes": ("swipes",),
    "facts.rejects": ("users", "photos", "main_photos", "swipes"),
    "facts.ingests": ("users", "photos", "main_photos", "swipes"),
}
"""Base table -> kinds of files in `ingests` whose rows it has."""

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "facts.users": ("features crawl",),
    "facts.photos": ("features crawl",),
    "facts.photo_files": ("features fetch",),
    "facts.fetch_attempts": ("features fetch",),
    "facts.observations": ("features crawl",),
    "facts.crawl_targets": ("features crawl",),
    "facts.clock": ("features build",),
    "facts.builds": ("features build",),
    "facts.relation_state": ("features build",),
    "facts.near_duplicates": ("features build",),
    "facts.neighbours": ("features build",),
    "facts.own_relations": ("features build",),
    "facts.own_audits": ("features build",),
    "facts.project": ("features build",),
    "facts.faces": ("features build",),
    "facts.embeddings": ("features build",),
    "facts.source_positions": ("features sync", "features listen"),
    "facts.commands": ("every command that writes",),
    "facts.runs": ("features train",),
    "facts.predictions": ("features train", "features predict"),
    "facts.promoted_runs": ("features runs promote",),
    "facts.training_sets": ("features training-set create",),
}
"""Base table -> commands that write its rows without a file."""

RECORDS: Mapping[str, str] = {"facts.observations": "features crawl", "facts.fetch_attempts": "features fetch"}
"""Base table -> the command that records each of its uses there; without rows it never ran in a store."""

TARGETS: Mapping[str, tuple[str, ...]] = {
    "like_ratio": ("photo_labels.value", "photo_labels.weight"),
    "popular": ("photo_labels.popular",),
    "gender": ("photo_labels.gender",),
}
"""Target of this program -> columns that it is learned from. A target of the user's own is `relation.column`."""
