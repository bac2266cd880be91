"""Every number that an option takes is checked before any work: named in the refusal, with its range."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer._click.exceptions import UsageError
from typer.core import TyperOption

from photogenic import FeatureStore
from photogenic.app.cli.checked_command import Checked
from photogenic.app.demo.demo import run_demo
from photogenic.app.serve.http.server import serve
from photogenic.features.faces.settings import FaceSettings
from photogenic.ingest.config import CrawlSettings, Limits
from photogenic.models.crop import crop
from photogenic.models.data.split_config import SplitConfig
from photogenic.models.training_sets.options import TrainingSetOptions
from photogenic.warehouse import InputError
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.option_ranges import RANGES
from tests.app.program import COMMANDS
from tests.models.planted import finetune, train

ODD = (
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e308",
    "-1e308",
    "100000000000000000000",
    "1e-320",
    "",
    "3.5",
    "0x10",
    "١",
    "1_0",
)


def is_number(option):
    return re.search(r"\b(int|float)\b", str(option.type_descriptor.annotation)) is not None


NUMBERS = [
    (name, max(option.opts, key=len), option.name)
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, TyperOption) and is_number(option)
]
STORE = FeatureStore("no store is here")
NEEDED = {
    "login": ["--app-id", "x"],
    "similar": ["p1"],
    "predict": ["x.jpg"],
    "crop": ["x.jpg"],
    "sql": ["select 1"],
    "ingest predictions": ["x.csv", "--run", "mine"],
    "lineage": ["photos"],
    "listen": ["kafka://broker:9092/swipes", "--kind", "swipes"],
    "compare": ["a", "b"],
    "training-set create": ["mine"],
    "training-set show": ["mine"],
    "training-set export": ["mine", "folder"],
    "training-set remove": ["mine"],
    **{f"retract {kind}": ["x.csv"] for kind in ("users", "photos", "main-photos", "swipes")},
}


def test_there_are_numbers_and_each_has_a_range():
    assert len(NUMBERS) > 45
    assert {name for _, _, name in NUMBERS} == set(RANGES)


def test_every_command_checks():
    assert all(isinstance(command, Checked) for command in COMMANDS.values())


@pytest.mark.parametrize(("command", "option", "name"), NUMBERS)
def test_a_number_is_accepted_within_its_range_or_refused_by_name(command, option, name, monkeypatch):
    taken, leaf = [], COMMANDS[command]
    monkeypatch.setattr(leaf, "callback", lambda **values: taken.append(values[name]))
    for text in ODD:
        taken.clear()
        refused = refusal(leaf, [*NEEDED.get(command, []), option, text])
        if refused is None:
            assert taken[0] is None or taken[0] in RANGES[name]
        elif isinstance(refused, InputError):
            assert refused.what.startswith(f"{option} is ")
            assert refused.expected == str(RANGES[name])
            assert refused.remedy.startswith(f"{option} ")
        else:
            assert option in refused.format_message(), text


def refusal(command, line):
    """Return the PhotogenicError or the usage error; any other exception is raised."""
    try:
        command.main(line, standalone_mode=False)
    except (InputError, UsageError) as error:
        return error
    return None


@pytest.mark.parametrize("name", RANGES)
def test_ranges_hold_their_ends_and_nothing_beyond(name):
    known = RANGES[name]
    step = 1 if known.whole else 1e-9
    assert (known.least in known) != known.above
    assert (known.most in known) != known.below
    assert known.least - step not in known
    assert known.most * (1 + 1e-9) + step not in known
    assert known.like in known
    for odd in (float("nan"), float("inf"), float("-inf"), 1e308, 10**20, True, "1", None):
        assert odd not in known
    if known.whole:
        assert known.like + 0.5 not in known


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("seed", lambda value: train(STORE, seed=value)),
        ("seed", lambda value: finetune(STORE, seed=value)),
        ("batch_size", lambda value: finetune(STORE, batch_size=value)),
        ("learning_rate", lambda value: finetune(STORE, learning_rate=value)),
        ("iterations", lambda value: finetune(STORE, iterations=value)),
        ("folds", lambda value: SplitConfig(folds=value)),
        ("division_seed", lambda value: SplitConfig(division_seed=value)),
        ("smallest", lambda value: crop(STORE, ["x.jpg"], smallest=value)),
        ("recall", lambda value: STORE.build(recall=value)),
        ("index_memory", lambda value: STORE.plan(index_memory=value)),
        ("neighbours", lambda value: STORE.build(neighbours=value)),
        ("k", lambda value: STORE.similar("p1", k=value)),
        ("per_user", lambda value: STORE.similar("p1", per_user=value)),
        ("popularity", lambda value: STORE.similar("p1", popularity=value)),
        ("diverse", lambda value: STORE.similar("p1", diverse=value)),
        ("face_confidence", lambda value: FaceSettings(confidence=value)),
        ("min_swipes", lambda value: LabelOptions(min_swipes=value)),
        ("mad_threshold", lambda value: LabelOptions(mad_threshold=value)),
        ("rate", lambda value: Limits(rate=value)),
        ("window_s", lambda value: CrawlSettings(window_s=value)),
        ("users", lambda value: run_demo(Path("nowhere"), users=value)),
        ("seed", lambda value: run_demo(Path("nowhere"), seed=value)),
        ("audit_instants", lambda value: TrainingSetOptions(audit_instants=value)),
        ("division_seed", lambda value: TrainingSetOptions(division_seed=value)),
        ("version", lambda value: STORE.load_training_set("mine", value)),
        ("version", lambda value: STORE.describe_training_set("mine", value)),
        ("version", lambda value: STORE.export_training_set("mine", "folder", version=value)),
        ("version", lambda value: STORE.verify_training_set("mine", version=value)),
        ("version", lambda value: STORE.remove_training_set("mine", version=value)),
        ("port", lambda value: serve(STORE, port=value)),
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -(10**20), 1e308, 10**20, "3"])
def test_functions_refuse_what_the_command_line_refuses(name, call, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        call(value)
    assert error.value.what.startswith(f"-{'' if len(name) == 1 else '-'}{name.replace('_', '-')} is ")
    assert not any(tmp_path.iterdir())
