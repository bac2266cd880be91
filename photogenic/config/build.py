"""Put the options of a build together: the file below the arguments of the call.

[build] recall = 0.95 and store.build()                       recall 0.95
[build] recall = 0.95 and store.build(recall=0.99)            recall 0.99
[labels] min_swipes = 3 and store.build()                     min_swipes 3, the others as in the last build
[labels] min_swipes = 3 and store.build(labels={"window": "every"})      both
[labels] min_swipes = 3 and store.build(labels=LabelOptions(window="every"))    min_swipes 1: all options are given
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from photogenic.config.values import ConfigFile
from photogenic.features.build_options import NEEDED, BuildOptions, runs
from photogenic.features.faces.settings import FaceSettings
from photogenic.warehouse.labels.options import LabelOptions

__all__ = ["build_options"]


def build_options(config: ConfigFile, options: BuildOptions | None, changes: Mapping[str, Any]) -> BuildOptions:
    """Return the options of a build, those of labels as what they replace in the last build.

    Args:
        config: values of the file.
        options: options given as one object; its fields that are None are taken from the file.
        changes: options given one by one. `faces` and `labels` may be mappings of what they replace.

    Raises:
        InputError: a value is out of range.
        ConflictError: an option has no effect on the only step that runs.
    """
    given = dict(changes)
    if options is not None:
        own = {field.name: getattr(options, field.name) for field in fields(options)}
        given = {name: value for name, value in own.items() if value is not None} | given
    ignored = {name for step, names in NEEDED.items() if not runs(given.get("only"), step) for name in names}
    below = {name: value for name, value in config.build.items() if name not in ignored}
    return BuildOptions(
        **below
        | given
        | {"faces": _faces(config.faces, given.get("faces")), "labels": _labels(config.labels, given.get("labels"))}
    )


def _faces(below: Mapping[str, Any], given: FaceSettings | Mapping[str, Any] | None) -> FaceSettings | None:
    if isinstance(given, FaceSettings):
        return given
    chosen = {**below, **(given or {})}
    return FaceSettings(**chosen) if chosen else None


def _labels(
    below: Mapping[str, Any], given: LabelOptions | Mapping[str, Any] | None
) -> LabelOptions | Mapping[str, Any] | None:
    if isinstance(given, LabelOptions):
        return given
    return {**below, **(given or {})} or None
