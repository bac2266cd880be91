"""Options of a search: one list for Python and every other door."""

from __future__ import annotations

from dataclasses import fields
from typing import get_type_hints

from photogenic.features.search.options import PhotoSelection, SearchArguments, SearchOptions


def test_keyword_arguments_are_the_fields() -> None:
    arguments = get_type_hints(SearchArguments)
    assert arguments == get_type_hints(SearchOptions)
    assert list(arguments) == [field.name for field in fields(SearchOptions)]


def test_only_what_changes_the_photos_that_match_is_read() -> None:
    assert SearchOptions(k=3, per_user=1, diverse=0.5).selection == PhotoSelection()
    assert SearchOptions(popularity=0.1, popularity_by="percentile").selection.popularity_by == "percentile"
    assert SearchOptions(popularity_by="percentile").selection == PhotoSelection()
