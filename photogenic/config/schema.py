"""Check `photogenic.toml`: sections, keys, types and ranges. An error names the file, the line and the nearest key.

    store = "store"                      # folders and files start from the folder of this file

    [settings]                           # memory_limit, threads, lock_timeout, relation_timeout, encoder
    [build]                              # encoders, features, dtype, recall, ...: fields of BuildOptions
    [faces]                              # fields of FaceSettings
    [labels]                             # fields of LabelOptions
    [checks]                             # max_refused, least_rows, max_age
    [mappings.swipes.columns]            # ours = "theirs"; also values and units, as in a mapping file
    [[sources]]                          # name, kind, files or from, query, watermark, lookback, retract, mapping, ...
    [project]                            # name, id: the folder of the file is a project
    [parameters.RELATION]                # values of parameters of a relation of the project

Anybody may have written the file, so it names no Python module, no secret, and no machine to send work to. Its sources
may name machines to read rows from: `features config` shows them, and only `features sync` contacts them.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import math
import os
import re
import types
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin

from photogenic.config.checked_file import CheckedFile
from photogenic.config.source_tables import KINDS, check_sources
from photogenic.config.values import ConfigFile, FileSource, ProjectSection
from photogenic.features.build_options import BuildOptions
from photogenic.features.checks import parse_age
from photogenic.features.faces.settings import FaceSettings
from photogenic.ingest.tabular.mapping_file import FileMapping, mapping_from
from photogenic.ingest.tabular.schemas import Kind
from photogenic.ingest.thresholds import MaxRefused
from photogenic.warehouse.definitions.project import NAME
from photogenic.warehouse.duckdb_store.settings import Settings
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.option_help import OptionField, option_fields
from photogenic.warehouse.option_ranges import RANGES, size_of
from photogenic.warehouse.toml_file import read_toml, shown

__all__ = ["BUILD", "CHECKS", "KINDS", "PROJECT_ID", "SETTINGS", "check_file"]

BUILD = ("encoders", "features", "flip", "dtype", "recall", "index_memory", "neighbours", "near_duplicates")
"""Keys of `[build]`: the options of a build that describe its result, other than those of labels and faces."""

SETTINGS = ("memory_limit", "threads", "lock_timeout", "relation_timeout", "encoder")
CHECKS = ("max_refused", "least_rows", "max_age")
_SECTIONS = ("store", "settings", "build", "faces", "labels", "checks", "mappings", "sources", "project", "parameters")
_PROJECT = ("name", "id")

PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_PARAMETER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_MOST_TEXT = 1000


def check_file(path: Path) -> ConfigFile:
    """Read the file and check all of it.

    Raises:
        InputError: the file cannot be read, or something in it is not known or out of range.
    """
    toml = read_toml(path, "file")
    file = CheckedFile(toml)
    file.refuse_unknown("", toml.table, _SECTIONS)
    tables = {name: file.table(name) for name in _SECTIONS if name not in ("store", "sources")}
    project = _project(file, tables["project"]) if "project" in toml.table else None
    store = toml.table.get("store", "store" if project is not None else None)
    if store is not None:
        store = file.folder("", "store", store)
    sources = check_sources(file, toml.table.get("sources", []), tables["mappings"])
    build = {field.name: field for field in option_fields(BuildOptions) if field.name in BUILD}
    return ConfigFile(
        path=path.absolute(),
        store=store,
        settings=_settings(file, tables["settings"]),
        build=_options(file, "build", tables["build"], build),
        faces=_options(file, "faces", tables["faces"], _fields(FaceSettings), prefix="face_"),
        labels=_options(file, "labels", tables["labels"], _fields(LabelOptions)),
        checks=_checks(file, tables["checks"]),
        mappings=_mappings(file, tables["mappings"], sources),
        sources=sources,
        project=project,
        parameters=_parameters(file, tables["parameters"], project),
        toml=toml,
    )


def _fields(kind: type[Any]) -> dict[str, OptionField]:
    return {field.name: field for field in option_fields(kind)}


def _options(
    file: CheckedFile, section: str, table: Mapping[str, Any], known: Mapping[str, OptionField], *, prefix: str = ""
) -> dict[str, Any]:
    """Check the fields of an options class."""
    file.refuse_unknown(section, table, tuple(known))
    return {key: _value(file, section, known[key], value, RANGES.get(prefix + key)) for key, value in table.items()}


def _value(file: CheckedFile, section: str, field: OptionField, value: object, within: Any) -> Any:
    """Return the value of an option, as its class takes it."""
    parts = _alternatives(field.kind)
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    several = any(get_origin(part) is Sequence for part in parts)
    expected, found = "", value
    if words:
        expected = f"one of {', '.join(words)}"
        good = isinstance(value, str) and value in words
    elif bool in parts:
        expected, good = "true or false", isinstance(value, bool)
    elif dt.datetime in parts:
        expected, found = "a day or an instant, such as 2024-02-01", _instant(value)
        good = found is not None
    elif several:
        expected = 'a list of names, such as ["dlib_face"]'
        found = (value,) if isinstance(value, str) else value
        good = isinstance(found, (list, tuple)) and bool(found) and all(isinstance(one, str) and one for one in found)
        found = tuple(found) if good and isinstance(found, (list, tuple)) else found
    elif field.help.is_size:
        expected = 'a size, such as "4GB"'
        found = size_of(value) if isinstance(value, str) else value
        good = found is not None and found in within
    elif within is not None:
        expected, good = str(within), value in within
        found = float(value) if good and float in parts and isinstance(value, int) else value
    else:
        expected, good = "a text", isinstance(value, str) and bool(value)
    if not good:
        raise file.wrong(section, field.name, value, expected, f"{field.name} = {_example(field, words, within)}")
    return found


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _example(field: OptionField, words: Sequence[str], within: Any) -> str:
    """Return a value of the option as TOML has it."""
    if words:
        return f'"{words[0]}"'
    if field.help.is_size:
        return '"4GB"'
    if within is not None:
        return f"{within.like:g}"
    if isinstance(field.default, bool):
        return "true"
    if isinstance(field.default, dt.datetime):
        return f"{field.default:%Y-%m-%d}"
    return {"encoders": '["dlib_face"]', "features": '["photo_quality"]'}.get(field.name, '"TEXT"')


def _instant(value: object) -> dt.datetime | None:
    """Return the naive UTC instant of a TOML day or instant, or of an ISO 8601 text."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, dt.datetime):
        try:
            return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        except OverflowError:
            return None
    return dt.datetime(value.year, value.month, value.day) if isinstance(value, dt.date) else None


def _settings(file: CheckedFile, table: Mapping[str, Any]) -> dict[str, Any]:
    """Check memory, threads and lock time by the class that holds them."""
    file.refuse_unknown("settings", table, SETTINGS)
    defaults: dict[str, Any] = {"memory_limit": "1GB", "threads": 1, "lock_timeout": 60.0}
    defaults |= {"relation_timeout": 600.0, "encoder": None}
    examples = {"memory_limit": '"3GB"', "threads": "2", "lock_timeout": "60", "relation_timeout": "600"}
    examples["encoder"] = '"dlib_face"'
    for key, value in table.items():
        given = defaults | {key: value}
        wrong = isinstance(value, bool) or (key in ("memory_limit", "encoder")) != isinstance(value, str)
        try:
            if not wrong:
                Settings(*(given[name] for name in SETTINGS))
                continue
            expected = {"memory_limit": 'a size, such as "3GB"', "encoder": "a name"}.get(key, "a number")
        except InputError as error:
            expected = error.expected
        raise file.wrong("settings", key, value, expected, f"{key} = {examples[key]}")
    return dict(table)


def _checks(file: CheckedFile, table: Mapping[str, Any]) -> dict[str, Any]:
    """Check the limits of a night. They stay as they are written, as the options of the same name take them."""
    file.refuse_unknown("checks", table, CHECKS)
    for key, value in table.items():
        if key == "max_refused":
            good = isinstance(value, (str, int, float)) and _is_read(MaxRefused.of, value)
            expected, example = 'a share, such as "1%" or 0.01, or a number of rows, such as 100', '"1%"'
        elif key == "least_rows":
            good = isinstance(value, int) and not isinstance(value, bool) and value in RANGES["least_rows"]
            expected, example = "a whole number from 0", "1000"
        else:
            good = isinstance(value, str) and _is_read(parse_age, value)
            expected, example = 'a time with its unit, such as "26h", "90min" or "2d"', '"26h"'
        if not good:
            raise file.wrong("checks", key, value, expected, f"{key} = {example}")
    return dict(table)


def _is_read(read: Callable[[Any], object], value: object) -> bool:
    """Return whether the reader of an option takes the value."""
    try:
        read(value)
    except InputError:
        return False
    return True


def _mappings(
    file: CheckedFile, tables: Mapping[str, Any], sources: Sequence[FileSource]
) -> dict[tuple[str, str], FileMapping]:
    """Check each mapping for the kinds of rows that it is used for: that of its name, and those of its sources."""
    found = {}
    for name, table in tables.items():
        kinds = {name} & set(KINDS) | {source.kind for source in sources if source.mapping == name}
        if not kinds:
            near = difflib.get_close_matches(name, KINDS, 1) or KINDS[-1:]
            listed = f"one of {', '.join(KINDS)}, or the mapping of one of the [[sources]]"
            raise file.error(
                "mappings", name, f"no rows are read by [mappings.{name}].", listed, f"[mappings.{near[0]}]"
            )
        if not isinstance(table, dict):
            raise file.wrong(
                "mappings", name, table, f"a table: [mappings.{name}.columns]", f"[mappings.{name}.columns]"
            )
        sections = [section for section in table if file.toml.line_of(f"mappings.{name}.{section}", "")]
        where = file.toml.where(f"mappings.{name}" + (f".{sections[0]}" if sections else ""), "")
        for kind in sorted(kinds):
            found[name, kind] = mapping_from(table, cast(Kind, kind), f"{where}: mappings.{name}")
    return found


def _project(file: CheckedFile, table: Mapping[str, Any]) -> ProjectSection:
    """Check the section that makes a folder a project."""
    file.refuse_unknown("project", table, _PROJECT)
    name, identity = table.get("name"), table.get("id")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 60:
        remedy = f"name = {json.dumps(file.toml.path.absolute().parent.name[:60])}"
        raise file.wrong("project", "name", name, "a text of at most 60 characters", remedy)
    if not isinstance(identity, str) or PROJECT_ID.fullmatch(identity) is None:
        remedy = f'id = "{uuid.uuid4().hex[:16]}"'
        raise file.wrong("project", "id", identity, "8 to 64 letters, digits, - and _", remedy)
    return ProjectSection(identity, name, Path(os.path.realpath(file.toml.path)).parent)


def _parameters(
    file: CheckedFile, tables: Mapping[str, Any], project: ProjectSection | None
) -> dict[str, dict[str, bool | int | float | str | dt.date]]:
    """Check the tables `[parameters.RELATION]`. Whether a relation has such a parameter, its own header says."""
    found: dict[str, dict[str, bool | int | float | str | dt.date]] = {}
    for relation, table in tables.items():
        section = f"parameters.{relation}"
        if project is None:
            what = "[parameters] are for relations of a project, and this file has no section [project]."
            raise file.error(section, "", what, "name and id below [project]", "features init NAME makes a project")
        if not isinstance(table, dict):
            raise file.wrong("parameters", relation, table, f"a table: [{section}]", f"[{section}]")
        path = project.folder / "relations" / f"{relation}.sql"
        if NAME.fullmatch(relation) is None or not os.path.lexists(path):
            names = [entry.name.removesuffix(".sql") for entry in (project.folder / "relations").glob("*.sql")]
            near = difflib.get_close_matches(relation, names, 1)
            raise file.error(
                section,
                "",
                f"the project has no relation {shown(relation)}.",
                f"one of {', '.join(sorted(names)[:20])}" if names else "a file relations/NAME.sql",
                f"[parameters.{near[0]}]" if near else f"remove [{section}]",
            )
        found[relation] = {key: _parameter(file, section, key, value) for key, value in table.items()}
    return found


def _parameter(file: CheckedFile, section: str, key: str, value: object) -> bool | int | float | str | dt.date:
    """Return the value of a parameter; an instant is naive UTC."""
    if _PARAMETER.fullmatch(key) is None:
        what = f"{shown(key)} cannot be the name of a parameter."
        raise file.error(section, key, what, "lower-case letters, digits and _", f"rename it as in ${key.lower()}")
    if isinstance(value, dt.datetime) and (instant := _instant(value)) is not None:
        return instant
    if isinstance(value, (bool, dt.date)) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and len(value) <= _MOST_TEXT:
        return value
    expected = "a number, a text, true or false, a day or an instant"
    raise file.wrong(section, key, value, expected, f"{key} = 28")
