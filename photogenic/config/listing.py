"""List every setting with its value, and where the value comes from: `features config`.

Later ones win: default, last build, file, environment, command line. Secrets are not shown, only whether they are set.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

from photogenic._lazy import pl
from photogenic.config.file import PROJECT_VARIABLE, VARIABLE, named_on_command_line
from photogenic.config.schema import BUILD, CHECKS, SETTINGS
from photogenic.config.values import ConfigFile, FileSource
from photogenic.features.build_options import BuildOptions
from photogenic.features.faces.settings import FaceSettings
from photogenic.features.previous_build import last_labels
from photogenic.warehouse import Store
from photogenic.warehouse.labels.last_build import LastBuild
from photogenic.warehouse.labels.options import LabelOptions

__all__ = ["ORIGINS", "SECRETS", "settings_in_force"]

ORIGINS = ("default", "last build", "file", "environment", "command line")
"""Where a value comes from; later ones win."""

VARIABLES = {
    "device": "FEATURES_DEVICE",
    "gpu": "FEATURES_GPU",
    "weights": "FEATURES_WEIGHTS",
    "modules": "FEATURES_MODULES",
    "log_format": "FEATURES_LOG_FORMAT",
    "tokens": "FEATURES_TOKENS",
    "serve_token": "FEATURES_SERVE_TOKEN",
    "app_secret": "FEATURES_APP_SECRET",
}
"""Settings that only the environment has, and their variables."""

SECRETS = ("serve_token", "app_secret")


class Setting(NamedTuple):
    """One setting.

    Attributes:
        setting: name, as `section.key`.
        value: value, as the command line takes it; None: there is none.
        origin: one of `ORIGINS`.
        place: FILE:LINE, name of the variable, or id of the build; None for a default.
    """

    setting: str
    value: str | None
    origin: str = "default"
    place: str | None = None


def settings_in_force(store: Store, config: ConfigFile) -> pl.DataFrame:
    """Return one row per setting: setting, value, origin, place.

    Args:
        store: the open store; it need not exist.
        config: values of `photogenic.toml`.
    """
    last = last_labels(store.database)
    rows = [
        *_places(store, config),
        *_of_project(store, config),
        *_limits(store, config),
        *_of_build(config, last),
        *_of_labels(config, last),
    ]
    rows += [_file_or(config, "checks", name, None) for name in CHECKS]
    for (name, _), mapping in config.mappings.items():
        parts = [f"{ours}={theirs}" for ours, theirs in (*mapping.columns.items(), *mapping.units.items())]
        parts += [
            f"{column}:{word}={_shown(value) or ''}"
            for column, words in mapping.values.items()
            for word, value in words.items()
        ]
        rows.append(
            Setting(f"mappings.{name}", ", ".join(parts), "file", _place(config, f"mappings.{name}.columns", ""))
        )
    for n, source in enumerate(config.sources):
        rows.append(Setting(f"sources.{source.name}", _source(source), "file", _place(config, "sources", "", n)))
    for name, variable in VARIABLES.items():
        value = os.environ.get(variable) or None
        shown = "set, not shown" if value and name in SECRETS else value
        rows.append(Setting(name, shown, *(("environment", variable) if value else ())))
    return pl.DataFrame(rows, schema=dict.fromkeys(Setting._fields, pl.String), orient="row")


def _source(source: FileSource) -> str:
    """Return what a source is: its kind, the machines and files it reads from, and how."""
    parts = [f"{source.kind}: {', '.join(source.files)}"]
    if source.watermark is not None:
        parts.append(f"watermark {source.watermark}")
    if source.lookback is not None:
        parts.append(f"lookback {source.lookback}")
    if source.retract:
        parts.append("retract")
    if source.query is not None:
        parts.append(" ".join(source.query.split())[:200])
    return "; ".join(parts)


def _places(store: Store, config: ConfigFile) -> Iterator[Setting]:
    """Yield the file and the folder of the store."""
    root, variable = store.layout.root, os.environ.get("FEATURES_STORE")
    path = str(config.path) if config.path else None
    on_command_line, named_by = named_on_command_line(), config.project.named_by if config.project else ""
    if named_by == PROJECT_VARIABLE:
        yield Setting("config", path, "environment", PROJECT_VARIABLE)
    elif any(on_command_line) or named_by:
        yield Setting("config", path, "command line")
    elif os.environ.get(VARIABLE):
        yield Setting("config", path, "environment", VARIABLE)
    else:
        yield Setting("config", path)
    if variable and str(root) == os.path.normpath(variable):
        yield Setting("store", str(root), "environment", "FEATURES_STORE")
    elif config.store is not None and root == config.store:
        yield Setting("store", str(root), "file", _place(config, "", "store"))
    else:
        yield Setting("store", str(root), "default" if str(root) == "store" else "command line")


def _of_project(store: Store, config: ConfigFile) -> Iterator[Setting]:
    """Yield the project: its folder, name and id, whether its Python runs, and the parameters of its relations."""
    section, project = config.project, store.project
    if section is None or project is None:
        yield Setting("project", None)
        return
    origins = {"": ("default", None), PROJECT_VARIABLE: ("environment", PROJECT_VARIABLE)}
    yield Setting("project", str(section.folder), *origins.get(section.named_by, ("command line", None)))
    yield Setting("project.name", section.name, "file", _place(config, "project", "name"))
    yield Setting("project.id", section.project_id, "file", _place(config, "project", "id"))
    yield Setting("project.runs_code", _shown(project.may_run))
    for relation, values in config.parameters.items():
        for name, value in values.items():
            place = _place(config, f"parameters.{relation}", name)
            yield Setting(f"parameters.{relation}.{name}", _shown(value), "file", place)


def _limits(store: Store, config: ConfigFile) -> Iterator[Setting]:
    """Yield the limits of memory, threads and lock time, and the encoder of searches, in force in this process."""
    settings = store.database.settings
    others = settings.lock_timeout_s, settings.relation_timeout_s, settings.encoder
    for name, value in zip(SETTINGS, (settings.memory_limit, settings.threads, *others), strict=True):
        variable = f"FEATURES_{name.upper()}"
        if os.environ.get(variable):
            yield Setting(f"settings.{name}", _shown(value), "environment", variable)
        else:
            yield _file_or(config, "settings", name, value)


def _of_build(config: ConfigFile, last: LastBuild | None) -> Iterator[Setting]:
    """Yield the options of a build, other than those of labels."""
    defaults: dict[str, Any] = {name: getattr(BuildOptions(), name) for name in BUILD}
    for name, value in defaults.items():
        yield _file_or(config, "build", name, value)
    cluster = last.cluster if last is not None else None
    for name in ("engine", "master", "facts"):
        if last is None or cluster is None:
            yield Setting(f"build.{name}", "duckdb" if name == "engine" else None)
        else:
            value = "spark" if name == "engine" else getattr(cluster, name)
            yield Setting(f"build.{name}", value, "last build", last.build_id)
    for name, value in asdict(FaceSettings()).items():
        yield _file_or(config, "faces", name, value)


def _of_labels(config: ConfigFile, last: LastBuild | None) -> Iterator[Setting]:
    """Yield the options of labels: those of the last build stay until another one is given."""
    for name, value in asdict(last.options if last is not None else LabelOptions()).items():
        if last is not None and name not in config.labels:
            yield Setting(f"labels.{name}", _shown(value), "last build", last.build_id)
        else:
            yield _file_or(config, "labels", name, value)


def _file_or(config: ConfigFile, section: str, key: str, default: object) -> Setting:
    """Return a setting with the value of the file or, if it has none, the default."""
    values = getattr(config, section)
    if key not in values:
        return Setting(f"{section}.{key}", _shown(default))
    return Setting(f"{section}.{key}", _shown(values[key]), "file", _place(config, section, key))


def _place(config: ConfigFile, section: str, key: str, number: int = 0) -> str | None:
    """Return FILE:LINE of a key, with the whole path of the file."""
    if config.toml is None:
        return None
    line = config.toml.line_of(section, key, number)
    return f"{config.path}:{line}" if line else str(config.path)


def _shown(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.isoformat().removesuffix("T00:00:00")
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
