"""Command line and Python say the same thing with the same words. tests/docs holds the documentation to both."""

import inspect
import re
from dataclasses import fields
from typing import is_typeddict

import pytest

from photogenic import FeatureStore
from photogenic.app.cli.command_table import COMMANDS as TABLE
from photogenic.app.demo.demo import run_demo
from photogenic.app.serve.http.server import serve
from photogenic.features.build_options import BuildOptions
from photogenic.features.compare.options import CompareOptions
from photogenic.features.export_pictures.options import PictureSelection
from photogenic.features.search.options import SearchOptions
from photogenic.ingest.config import CrawlSettings, Limits
from photogenic.ingest.options import IngestArguments
from photogenic.ingest.streams.options import ListenOptions
from photogenic.ingest.tabular.schemas import TABLES
from photogenic.models.data.targets import TARGETS
from photogenic.models.options import FinetuneOptions, TrainOptions
from photogenic.models.own_runs.options import AddRunArguments, AddRunOptions
from photogenic.models.training_sets.options import TrainingSetOptions
from photogenic.warehouse.export.options import ExportOptions
from photogenic.warehouse.option_help import option_fields
from tests.app.program import COMMANDS

NAMES = {
    "ingest predictions": "add_run",
    "runs list": "runs",
    "test": "test_relations",
    "compare": "compare_encoders",
    "vectors remove": "remove_vectors",
    **{f"runs {verb}": f"{verb}_run" for verb in ("show", "promote", "demote", "remove")},
}
"""Methods whose name is not that of the command."""

COMMON = {"config", "project", "store", "form", "help"}
"""Settings, where, how it is printed, and what it is: not the business of the function that a command calls."""

CALLS = {
    "init": FeatureStore.init_project,
    "demo": run_demo,
    "ingest users": FeatureStore.ingest_users,
    "ingest photos": FeatureStore.ingest_photos,
    "ingest main-photos": FeatureStore.ingest_main_photos,
    "ingest swipes": FeatureStore.ingest_swipes,
    "ingest predictions": FeatureStore.add_run,
    **{f"retract {kind.replace('_', '-')}": FeatureStore.retract for kind in TABLES},
    "crawl instagram": FeatureStore.crawl,
    "listen": FeatureStore.listen,
    "sync": FeatureStore.sync,
    "fetch": FeatureStore.fetch,
    "build": FeatureStore.build,
    "export": FeatureStore.export,
    "test": FeatureStore.test_relations,
    "sql": FeatureStore.sql,
    "lineage": FeatureStore.lineage,
    "similar": FeatureStore.similar,
    "compare": FeatureStore.compare_encoders,
    "vectors remove": FeatureStore.remove_vectors,
    "train": FeatureStore.train,
    "finetune": FeatureStore.finetune,
    "training-set create": FeatureStore.create_training_set,
    "training-set list": FeatureStore.training_sets,
    "training-set show": FeatureStore.describe_training_set,
    "training-set export": FeatureStore.export_training_set,
    "training-set verify": FeatureStore.verify_training_set,
    "training-set remove": FeatureStore.remove_training_set,
    "predict": FeatureStore.predict,
    "crop": FeatureStore.crop,
    "runs list": FeatureStore.runs,
    "runs show": FeatureStore.show_run,
    "runs promote": FeatureStore.promote_run,
    "runs demote": FeatureStore.demote_run,
    "runs remove": FeatureStore.remove_run,
    "report": FeatureStore.report,
    "serve": serve,
    "status": FeatureStore.status,
    "config": FeatureStore.config,
    "doctor": FeatureStore.doctor,
    "erase": FeatureStore.erase,
    "backup": FeatureStore.backup,
    "restore": FeatureStore.restore,
    "encoders": FeatureStore.encoders,
}
"""Each command and the method that it calls; `init`, `demo` and `serve` are no work on one open store."""

OTHERS = {"login", "tokens", "weights list", "weights add", "weights fetch"}
"""Commands about this machine, not about a store."""

ARGUMENTS = {
    "self",
    "store",
    "kind",
    "files",
    "names",
    "folder",
    "query",
    "uri",
    "user_ids",
    "data",
    "runs",
    "encoders",
    "what",
}
"""Given by their place, or by what a command opens."""

OPTIONS = {
    "build": BuildOptions,
    "export": ExportOptions,
    "similar": SearchOptions,
    "compare": CompareOptions,
    "train": TrainOptions,
    "listen": ListenOptions,
    "finetune": FinetuneOptions,
    "training-set create": TrainingSetOptions,
    "ingest predictions": AddRunOptions,
    **{f"ingest {kind.replace('_', '-')}": IngestArguments for kind in TABLES},
    **{f"retract {kind.replace('_', '-')}": IngestArguments for kind in TABLES},
}
"""The class whose fields a method takes as keyword arguments."""

OBJECTS = {"limits": Limits, "settings": CrawlSettings}
"""Parameters that are spelled out on the command line: one option per field."""

ONLY_IN_PYTHON = {
    "demo": {"root", "print_line", "progress"},
    "serve": {"print_line"},
    "lineage": {"name"},
    "sql": {"frames"},
    "compare": {"encoder_a", "encoder_b"},
    "ingest predictions": {"name"},
    "runs show": {"run"},
    "runs promote": {"run"},
    "runs demote": {"target"},
}
"""The last ones are given by their place, and the name of a run as `--run`."""

ONLY_ON_THE_COMMAND_LINE = {
    "build": {"label_defaults", "plan", "yes"},
    "erase": {"yes"},
    "export": {"query", *(field.name for field in fields(PictureSelection))},  # of export_pictures
    "listen": {"columns", "kind"},
    **{f"{verb} {kind.replace('_', '-')}": {"columns"} for verb in ("ingest", "retract") for kind in TABLES},
    "retract photos": {"columns", "purge", "yes"},
    "ingest predictions": {"columns", "run", "trained_on", "mapping", "values", "max_refused", "least_rows"},
    "runs remove": {"yes"},
    "vectors remove": {"yes"},
    "restore": {"yes"},
    "similar": {"from_file", "output", "strict"},
    "sql": {"file", "show", "output", "table"},
    "status": {"check", "max_age", "max_refused"},
    "training-set remove": {"yes"},
}
"""`features build --plan` calls FeatureStore.plan, which takes what FeatureStore.build takes, and `features status
--check` calls FeatureStore.check. What `--label-defaults` gives is `labels=LabelOptions()` in Python, where nobody is
asked, and `features retract photos --purge` calls FeatureStore.purge. `--map` gives the columns of `mapping`,
`--table` the files of `frames`."""


def options(command):
    return {p.name: p for p in COMMANDS[command].params if p.param_type_name == "option" and p.name not in COMMON}


def parameters(command):
    """What the method takes, objects spelled out, with defaults."""
    found = {}
    for name, parameter in inspect.signature(CALLS[command]).parameters.items():
        if name in ARGUMENTS | ONLY_IN_PYTHON.get(command, set()) or (name == "name" and "-set" in command):
            continue
        if name == "options":
            found |= spelled_out(OPTIONS[command])
        elif name in OBJECTS:
            found |= spelled_out(OBJECTS[name])
        elif parameter.kind is not parameter.VAR_KEYWORD:
            found[name] = parameter.default
    return found


def spelled_out(kind, prefix=""):
    found = {}
    if is_typeddict(kind):
        return dict.fromkeys(kind.__annotations__)  # what is not given is None
    for field in option_fields(kind):
        if field.nested is None:
            found[f"{prefix}{field.name}"] = field.default
        else:
            found |= spelled_out(field.nested, prefix + field.help.prefix)
    return found


def test_every_command_is_accounted_for():
    assert set(COMMANDS) == CALLS.keys() | OTHERS
    assert set(COMMANDS) == {name for name, entry in TABLE.items() if entry.module}


@pytest.mark.parametrize("command", CALLS)
def test_a_command_has_its_method_of_the_same_name(command):
    if command.startswith("training-set "):
        assert "training_set" in CALLS[command].__name__
    elif command not in {"init", "demo", "serve"}:
        name = NAMES.get(command) or command.replace(" ", "_").replace("-", "_")
        assert CALLS[command].__name__ == (name.partition("_")[0] if name.startswith(("crawl", "retract")) else name)


@pytest.mark.parametrize("command", CALLS)
def test_options_are_the_parameters_of_the_method(command):
    assert options(command).keys() - ONLY_ON_THE_COMMAND_LINE.get(command, set()) == parameters(command).keys()


def test_predictions_take_what_the_method_takes_besides_its_options():
    besides = ONLY_ON_THE_COMMAND_LINE["ingest predictions"] - {"columns", "run"}
    assert set(AddRunArguments.__annotations__) == besides


def test_a_purge_takes_what_a_retraction_takes():
    purge, retract = inspect.signature(FeatureStore.purge), inspect.signature(FeatureStore.retract)
    assert [*purge.parameters.values()] == [one for one in retract.parameters.values() if one.name != "kind"]


def test_functions_are_called_as_the_table_names_them():
    for name, entry in TABLE.items():
        if entry.module:
            assert COMMANDS[name].callback.__name__ == entry.function


def test_a_plan_takes_what_a_build_takes():
    plan, build = inspect.signature(FeatureStore.plan), inspect.signature(FeatureStore.build)
    assert plan.parameters == build.parameters


@pytest.mark.parametrize("command", CALLS)
def test_defaults_are_those_of_the_method(command):
    def bare(value):
        value = list(value) if isinstance(value, (list, tuple)) else [value]
        return None if value in ([None], [False], []) else value

    ours = {name: bare(option.default) for name, option in options(command).items()}
    ours = {name: default for name, default in ours.items() if name not in ONLY_ON_THE_COMMAND_LINE.get(command, ())}
    assert ours == {name: bare(default) for name, default in parameters(command).items()}


def test_options_are_called_as_their_parameters():
    for command in COMMANDS:
        for name, option in options(command).items():
            long = max(option.opts, key=len).lstrip("-").replace("-", "_")
            # A repeatable option is singular, a parameter that takes several is plural; --map gives the columns of
            # the parameter mapping; --for, --as and --from, kept by Python for itself, are sender, format, start.
            other = {"columns": "map", "sender": "for", "format": "as", "start": "from"}.get(name, name)
            assert long in {name, name.removesuffix("s"), other}, (command, name)


def test_every_option_has_a_line_of_help():
    for name, command in COMMANDS.items():
        assert command.help
        for parameter in command.params:
            assert parameter.help, (name, parameter.name)
            assert "[" not in parameter.help, "taken for markup, and not shown"


def test_choices_are_those_of_the_library():
    for name in TARGETS:
        assert name in options("train")["target"].help


def test_ingest_help_names_the_columns():
    for kind, table in TABLES.items():
        help_ = COMMANDS[f"ingest {kind.replace('_', '-')}"].help
        assert re.sub(r" \([^)]*\)", "", help_).endswith(f"\n\nColumns: {', '.join(table.names)}.")
