"""docs/reference/python.md: methods and fields as tables, and directives of mkdocstrings that the site fills."""

from __future__ import annotations

import datetime as dt
import inspect
import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from docs._tools.markdown import NOTE, code, plain, table
from photogenic import FeatureStore
from photogenic.features.build_options import BuildOptions
from photogenic.features.compare.options import CompareOptions
from photogenic.ingest.config import CrawlSettings, Limits
from photogenic.ingest.streams.options import ListenOptions
from photogenic.models.options import FinetuneOptions, TrainOptions
from photogenic.models.own_runs.options import AddRunOptions
from photogenic.models.training_sets.options import TrainingSetOptions
from photogenic.warehouse.option_help import OptionField, option_fields

OPTIONS = {
    "build": ("Options of a build", BuildOptions, "`store.build(...)`, `store.plan(...)`"),
    "compare_encoders": ("Options of a comparison of encoders", CompareOptions, "`store.compare_encoders(...)`"),
    "train": ("Options of a training", TrainOptions, "`store.train(...)`"),
    "finetune": ("Options of a fine-tuning", FinetuneOptions, "`store.finetune(...)`"),
    "add_run": ("Options of a run of your own", AddRunOptions, "`store.add_run(...)`"),
    "create_training_set": (
        "Options of a training set",
        TrainingSetOptions,
        "`store.create_training_set(...)`",
    ),
    "crawl": ("Settings of a crawl", CrawlSettings, "`store.crawl(settings=...)`"),
    "listen": ("Options of a listener", ListenOptions, "`store.listen(uri, kind, options)`"),
    "fetch": ("Limits of downloads", Limits, "`store.fetch(limits=...)`"),
}

GROUPS = {
    "Data": (
        "init_project",
        *("ingest", "ingest_users", "ingest_photos", "ingest_main_photos", "ingest_swipes"),
        *("retract", "purge", "sync", "listen", "crawl", "fetch"),
    ),
    "Build": (
        "test_relations",
        "build",
        "plan",
        "label_change",
        "export",
        "export_pictures",
        "encoders",
        "remove_vectors",
    ),
    "Ask": (
        "sql",
        "stream",
        "joined",
        "show",
        "browse",
        "lineage",
        "at",
        "similar",
        "similar_many",
        "similar_stream",
        "similar_file",
        "compare_encoders",
        "embeddings",
        "text_vector",
        "training_set",
    ),
    "Model": (
        *("train", "finetune", "predict", "crop", "add_run"),
        *("runs", "show_run", "promote_run", "demote_run", "remove_run"),
        *("create_training_set", "load_training_set", "training_sets", "describe_training_set"),
        *("export_training_set", "verify_training_set", "remove_training_set"),
    ),
    "Report": ("report",),
    "Care": ("status", "check", "config", "doctor", "erase", "backup", "restore", "close"),
}
"""Methods in the order of the groups of commands. A test finds every public method here."""

SHOWN = {
    "The store": ("photogenic.store.FeatureStore", "photogenic.warehouse.duckdb_store.settings.Settings"),
    "What methods return": (
        "photogenic.features.vectors.training_set.TrainingSet",
        "photogenic.ingest.tabular.report.IngestReport",
        "photogenic.config.new_project.ProjectMade",
        "photogenic.features.build.BuildReport",
        "photogenic.features.plan.BuildPlan",
        "photogenic.warehouse.labels.last_build.LabelChange",
        "photogenic.ingest.streams.listen.ListenReport",
        "photogenic.ingest.download.fetch.FetchReport",
        "photogenic.ingest.instagram.crawl.CrawlReport",
        "photogenic.models.evaluation.leaderboard.Leaderboard",
        "photogenic.models.training_sets.create.Created",
        "photogenic.models.training_sets.frozen.NamedTrainingSet",
        "photogenic.models.training_sets.versions.Checked",
        "photogenic.models.predict.Scored",
        "photogenic.models.crop.Cropped",
        "photogenic.models.own_runs.add_run.AddedRun",
        "photogenic.models.runs.management.Removed",
        "photogenic.models.encoder_change.compare.EncoderComparison",
        "photogenic.features.vectors.removal.Removal",
        "photogenic.features.checks.Check",
        "photogenic.maintenance.doctor.finding.Finding",
        "photogenic.maintenance.erase.journal.Receipt",
        "photogenic.maintenance.backup.backup.BackupReport",
        "photogenic.maintenance.backup.restore.RestoreReport",
    ),
    "Encoders and heads of your own": (
        "photogenic.features.encoders.base.Backbone",
        "photogenic.features.encoders.base.Encoder",
        "photogenic.models.heads.base.Head",
    ),
    "Errors": ("photogenic.warehouse.errors.PhotogenicError",),
}
"""Objects that mkdocstrings describes on the site, under their headings."""

_INHERITED = {"photogenic.store.FeatureStore": "\n      inherited_members: true"}
"""Further options of objects: the methods of intake stand in the base class."""


def page(_: str) -> str:
    """Return the page."""
    parts = [
        NOTE,
        "# Python",
        "`FeatureStore` has the commands of the program as methods, under the same names.",
        "```py\nfrom photogenic import FeatureStore\n\n"
        'with FeatureStore("store") as store:\n'
        '    store.ingest_users("users.csv")\n'
        '    store.build(encoders=["dlib_face"])\n'
        '    print(store.sql("from gender_breakdown"))\n```',
        "[Quickstart](../quickstart.md) runs such a session. `import photogenic` loads no heavy library; each method "
        "loads what it needs.",
        "## Methods",
    ]
    for group, names in GROUPS.items():
        parts += [f"**{group}**", table(("method", "what it does"), map(_method, names))]
    parts += [
        "## Options",
        "`build`, `plan`, `train` and `finetune` take these fields as keyword arguments: "
        '`store.build(encoders=["dlib_face"], near_duplicates=True)`. They also take an object of the class first. '
        "`listen`, `crawl` and `fetch` take an object.",
    ]
    for title, kind, where in OPTIONS.values():
        nested = list(dict.fromkeys(_nested(kind)))
        parts += [f"### {title}", f"`{kind.__module__}.{kind.__name__}`, for {where}.", _fields(kind)]
        for name, below in nested:
            parts += [f"**`{name}`**: `{below.__module__}.{below.__name__}`", _fields(below)]
    parts += [
        "## In full",
        "The site of the documentation shows signatures, parameters and errors here. On a code host, read the "
        "docstrings in `photogenic/store.py` and `photogenic/_intake.py`.",
    ]
    for title, names in SHOWN.items():
        parts += [f"### {title}"]
        parts += [f"::: {name}\n    options:\n      heading_level: 4{_INHERITED.get(name, '')}" for name in names]
    return "\n\n".join(parts) + "\n"


def _method(name: str) -> tuple[str, str]:
    method = getattr(FeatureStore, name)
    text = inspect.getdoc(method) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return f"[`{name}`](#photogenic.store.FeatureStore.{name})", plain(first.split(" See `")[0])


def _nested(kind: type[Any]) -> Iterator[tuple[str, type[Any]]]:
    for field in option_fields(kind):
        if field.nested is not None:
            yield field.name, field.nested


def _fields(kind: type[Any]) -> str:
    rows = ((code(f.name), _type(f), _default(f), _meaning(f)) for f in option_fields(kind))
    return table(("field", "type", "default", "meaning"), rows)


def _meaning(field: OptionField) -> str:
    """Return the help of an option without what holds on the command line only."""
    if field.nested is not None:
        return f"An object of `{field.nested.__name__}`, whose fields stand below."
    return plain(field.help.text.replace("; may be given several times", ""))


def _type(field: OptionField) -> str:
    if field.nested is not None:
        return code(field.nested.__name__)
    return ", ".join(dict.fromkeys(_types(field.kind)))


def _types(kind: Any) -> Iterator[str]:
    if get_origin(kind) is Literal:
        yield from (code(f'"{word}"' if isinstance(word, str) else word) for word in get_args(kind))
    elif type(kind).__name__ in {"UnionType", "_UnionGenericAlias", "Union"}:
        for part in get_args(kind):
            yield from _types(part)
    elif kind is type(None):
        yield "`None`"
    elif get_args(kind):
        yield code(re.sub(r"(typing|collections\.abc)\.", "", str(kind)))
    else:
        yield code(getattr(kind, "__name__", str(kind)))


def _default(field: OptionField) -> str:
    value = field.default
    if field.nested is not None or value is None:
        return code("None") if value is None else ""
    if isinstance(value, dt.datetime):
        return code(value.date())
    return code(repr(value).replace("'", '"'))
