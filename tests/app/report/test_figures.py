"""Figures: selection of photos, numbers, and SVG and PNG output."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from photogenic.app.report.figures import (
    calibration,
    contact_sheets,
    curves,
    drawing,
    gender_heatmap,
    maps,
    photo_selection,
    run_selection,
)
from photogenic.app.report.figures.head_comparison import MOST, head_comparisons
from photogenic.models.evaluation.gender_table import Pair
from photogenic.models.evaluation.leaderboard import Cell, Row, Table


def photo(n, prediction, **known):
    usual = {"photo_id": f"p{n:03}", "user_id": f"u{n}", "gender": "female", "source": "swipes", "like_ratio": 0.5}
    return usual | {"weight": 10.0, "popular": True, "prediction": prediction, "sha256": f"{n:02x}"} | known


def run(run_id="r", target="like_ratio", encoder="e", head="0fc", dev=0.1, setup="one_face", **given):
    metric = given.pop("metric", "mse" if target == "like_ratio" else "accuracy")
    results, chosen = given.pop("results", {}), {"division": "8:1:1", "most_epochs": 10.0, "most_updates": 40}
    return {
        **{"run_id": run_id, "target": target, "encoder": encoder, "head": head, "dev": dev, "setup": setup},
        **{"metric": metric, "test": dev, "n_test": 40},
        "hyperparameters": json.dumps(chosen | given),
        "results": json.dumps(results),
    }


def test_rows_of_figure_1_have_consecutive_photos_without_repeats():
    ranked = [photo(n, 1 - n / 200) for n in range(200)]
    rows = photo_selection.quantiles(ranked)
    assert [round(row.share, 1) for row in rows] == [0.9, 0.7, 0.5, 0.3, 0.1]
    for row in rows:
        places = [ranked.index(one) for one in row.photos]
        assert places == list(range(places[0], places[0] + photo_selection.COLUMNS))
        assert abs(1 - (places[3] + 0.5) / 200 - row.share) < 0.01
        assert (row.low, row.high) == (row.photos[-1]["prediction"], row.photos[0]["prediction"])
    few = photo_selection.quantiles(ranked[:12])
    shown = [one["photo_id"] for row in few for one in row.photos]
    assert [len(row.photos) for row in few] == [2] * 5
    assert len(set(shown)) == len(shown)
    assert photo_selection.quantiles(ranked[:4]) == []


def test_top_and_bottom_do_not_overlap():
    ranked = [photo(n, 1 - n / 300) for n in range(300)]
    ends = photo_selection.extremes(ranked)
    assert [one["photo_id"] for one in ends.top] == [f"p{n:03}" for n in range(25)]
    assert [one["photo_id"] for one in ends.further] == [f"p{n:03}" for n in range(25, 100)]
    assert [one["photo_id"] for one in ends.bottom] == [f"p{n:03}" for n in range(299, 274, -1)]
    few = photo_selection.extremes(ranked[:9])
    assert (len(few.top), len(few.further), len(few.bottom)) == (4, 0, 4)
    middle = photo_selection.extremes(ranked[:80])
    ids = [one["photo_id"] for part in (middle.top, middle.further, middle.bottom) for one in part]
    assert (len(middle.further), len(set(ids))) == (30, len(ids))


def test_the_worst_gender_errors_are_those_with_the_highest_log_loss():
    genders = ["female", "male"] * 10
    said = [photo(n, 0.05 + 0.045 * n, gender=gender) for n, gender in enumerate(genders)]
    lost = photo(90, 0.0, gender="female", sha256=None)
    found = photo_selection.mistakes([*said, lost, photo(91, 0.0, gender=None)])
    loss = {
        one["photo_id"]: -np.log(one["prediction"] if one["gender"] == "female" else 1 - one["prediction"])
        for one in said
    }
    assert [one["photo_id"] for one in found.photos] == sorted(loss, key=loss.get, reverse=True)[
        : photo_selection.WORST
    ]
    assert [one["loss"] for one in found.photos] == pytest.approx(
        sorted(loss.values(), reverse=True)[: photo_selection.WORST]
    )
    assert (found.n_photos, found.n_wrong) == (21, sum(value > np.log(2) for value in loss.values()) + 1)
    assert photo_selection.caption(found.photos[0]) == ["female", "P(female) 0.050", "wrong, loss 3.00"]


def test_the_best_run_on_dev_has_one_face_and_the_published_split_first():
    rows = [
        run("all", setup="all", dev=0.001),
        run("folds", dev=0.01, division="5 folds"),
        run("worse", dev=0.03),
        run("best", dev=0.02, encoder="f"),
        run("gender", target="gender", dev=0.9),
        run("better gender", target="gender", dev=0.95, head="1fc"),
    ]
    runs = run_selection.ordered(rows)
    assert run_selection.best_run(runs, "like_ratio")["run_id"] == "best"
    assert run_selection.best_run(runs, "popular", "gender")["run_id"] == "better gender"
    assert run_selection.best_run(runs, "popular") is None
    chosen = run_selection.by_encoder(runs, "like_ratio")
    assert {name: [own["run_id"] for own in found] for name, found in chosen.items()} == {"e": ["worse"], "f": ["best"]}


def test_bins_have_equal_size_and_a_weighted_mean():
    rng = np.random.default_rng(0)
    said = rng.random(120)
    rows = [
        photo(n, p, like_ratio=float(y), weight=float(w), user_id=f"u{n // 2}")
        for n, (p, y, w) in enumerate(zip(said, rng.random(120), rng.integers(1, 50, 120), strict=True))
    ]
    found = calibration.bins(calibration.with_labels("like_ratio", rows))
    assert [one.n_photos for one in found] == [12] * 10
    lowest = sorted(rows, key=lambda one: one["prediction"])[:12]
    total = sum(one["weight"] for one in lowest)
    assert found[0].observed[0] == pytest.approx(sum(one["weight"] * one["like_ratio"] for one in lowest) / total)
    assert all(one.observed[1] < one.observed[0] < one.observed[2] for one in found)


def test_calibrated_probabilities_are_within_the_intervals_and_overconfident_ones_are_not():
    rng = np.random.default_rng(1)
    p = rng.random(4_000)
    women = rng.random(4_000) < p
    rows = [photo(n, float(x), gender="female" if w else "male") for n, (x, w) in enumerate(zip(p, women, strict=True))]
    rows.append(photo(5_000, 0.3, gender=None))
    of = calibration.with_labels("gender", rows)
    assert len(of.y) == 4_000
    inside = [low <= one.predicted <= high for one in calibration.bins(of) for _, low, high in [one.observed]]
    assert sum(inside) >= 8
    boast = [row | {"prediction": 0.5 + np.sign(row["prediction"] - 0.5) * 0.49} for row in rows]
    outside = [
        low <= one.predicted <= high
        for one in calibration.bins(calibration.with_labels("gender", boast))
        for _, low, high in [one.observed]
    ]
    assert sum(outside) <= 2


def test_coverage_of_bounds_has_an_interval_over_users():
    rows = [photo(n, 0.5, like_ratio=0.5 + (0.3 if n < 40 else 0.05), user_id=f"u{n // 4}") for n in range(200)]
    share, low, high = calibration.coverage(calibration.with_labels("like_ratio", rows), 0.1)
    assert share == 0.8
    assert 0.65 < low < 0.8 < high < 0.95


def test_learning_curves_count_epochs_and_mark_the_kept_evaluation():
    results = {"curve": [[4, 0.3], [8, 0.1], [12, 0.2]], "train_curve": [[4, 0.25], [8, 0.15], [12, 0.05]]}
    runs = run_selection.ordered(
        [run("a", results=results), run("b", head="kernel"), run("c", head="1fc", results={"folds": [results] * 2})]
    )
    figure = curves.learning_curves(runs)
    (panel,) = figure.axes
    drawn = [(line.get_linestyle(), list(line.get_xdata()), list(line.get_ydata())) for line in panel.get_lines()]
    assert (":", [1, 2, 3], [0.25, 0.15, 0.05]) in drawn
    assert ("-", [1, 2, 3], [0.3, 0.1, 0.2]) in drawn
    assert [(x, y) for style, x, y in drawn if style == "None"] == [([2], [0.1])] * 3
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("epochs", "like ratio: mean squared error")
    assert curves.learning_curves(runs[1:2]) is None


def test_c_curves_have_a_panel_per_encoder_with_folds_and_choice():
    points = [{"C": c, "score": s, "folds": [s - 0.1, s, s + 0.1]} for c, s in ((1e-6, 0.5), (1e-3, 0.8), (1e5, 0.6))]
    rows = [
        run(name, "popular", encoder=name, head="linear_svm", C=1e-3, results={"penalty_curve": points})
        for name in ("alexnet_fc7", "alexnet_fc6")
    ]
    figure = curves.penalty_curves(run_selection.ordered(rows))
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["alexnet_fc6", "alexnet_fc7"]
    for panel in figure.axes:
        curve, chosen = panel.get_lines()
        assert list(curve.get_ydata()) == pytest.approx([0.5, 0.8, 0.6])
        assert list(chosen.get_xdata()) == [1e-3, 1e-3]
        assert panel.get_xscale() == "log"
    assert "$" not in drawing.svg(figure, "C curves"), "math text is not rendered in SVG"
    assert curves.penalty_curves(run_selection.ordered([run(head="ridge")])) is None


def test_slices_are_drawn_and_groups_with_large_errors_are_named():
    rng = np.random.default_rng(2)
    rows = [
        photo(n, 0.5, gender=gender, like_ratio=0.5 + rng.normal() * (0.05 if gender == "male" else 0.25))
        for n, gender in enumerate(["male", "female"] * 100)
    ]
    one = run_selection.ordered([run()])[0]
    figure, warnings = calibration.slices(one, calibration.with_labels("like_ratio", rows), None)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "gender: female (n = 100)",
        "gender: male (n = 100)",
    ]
    (warning,) = warnings
    assert "gender is female (100 photos)" in warning
    assert calibration.slices(one, calibration.with_labels("like_ratio", rows[::2]), None) is None


def test_similar_vectors_are_near_each_other_on_the_map():
    rng = np.random.default_rng(3)
    kinds = np.repeat([0, 1, 2], 20)
    X = (np.eye(3)[kinds] @ rng.normal(size=(3, 40)) * 5 + rng.normal(size=(60, 40))).astype(np.float32)
    places = maps.laid_out(X)
    np.testing.assert_array_equal(places, maps.laid_out(X))
    assert (places.min(), places.max()) == (0, 1)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(60) * 9
    assert np.mean(kinds[distances.argmin(1)] == kinds) > 0.95
    cells = maps.crowd(places, 8, 5)
    assert len({(column, row) for _, column, row in cells}) == len(cells) > 10
    assert maps.laid_out(X[:5]) is None


def test_an_svg_can_be_embedded_in_any_page():
    pair = Pair("female", "male", 3, 40, 0.25, 0.1, 0.4, 0.3, 0.24)
    figure = gender_heatmap.heat_map([pair])
    text = drawing.svg(figure, '<who> likes & "whom"')
    assert text.startswith("<svg ")
    assert 'aria-label="&lt;who&gt; likes &amp; &quot;whom&quot;"' in text
    assert not re.search(r"style=|<style|<metadata|xmlns:|ns\d:|href=\"(?!#)", text.replace("data:image/png", "#"))
    assert "currentColor" in text
    assert drawing.INK not in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    assert all(f"#{one}" in text for one in ids)
    with Image.open(io.BytesIO(drawing.png(figure))) as picture:
        assert picture.format == "PNG"


def test_names_with_formulas_or_markup_are_drawn_unchanged():
    figure = maps.embedding_maps({"$x_1</svg><b>\x00": (np.random.default_rng(0).random((12, 2)), [0.5] * 11 + [None])})
    text = drawing.svg(figure, "map")
    assert "$x_1&lt;/svg&gt;&lt;b&gt;  (n = 12)" in text


def test_sheets_are_as_wide_as_their_photos_and_broken_pictures_are_left_out(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (400, 300), "red").save(path)
    square = contact_sheets.square(path)
    assert square.size == (contact_sheets.SIDE, contact_sheets.SIDE)
    with Image.open(
        io.BytesIO(contact_sheets.sheet("A title", [contact_sheets.Line("row", [(square, ["x"])] * 9)]))
    ) as picture:
        assert picture.width >= 9 * contact_sheets.SIDE
        assert picture.convert("RGB").getpixel((20, 100))[0] > 200
    path.write_bytes(b"no picture")
    assert contact_sheets.square(path) is None


def test_the_best_head_on_dev_is_compared_with_others_on_the_same_photos():
    rng = np.random.default_rng(0)
    labels = rng.uniform(0.3, 0.7, 200)

    def said(off):
        return [photo(n, y + off * (-1) ** n, like_ratio=y) for n, y in enumerate(labels)]

    rows_of_run = {"best": said(0.1), "twice": said(0.2), "same": said(-0.1), "none": []}
    runs = run_selection.ordered(
        [
            *(run(name, dev=dev, head=name) for name, dev in (("twice", 0.2), ("best", 0.01), ("same", 0.02))),
            run("none", dev=0.3, head="none"),
            run("another", dev=0.001, setup="all"),
            run("divided", dev=0.001, division="3:1"),
        ]
    )
    (found,) = head_comparisons(runs, lambda one: rows_of_run[one["run_id"]])
    assert found["title"] == "Like ratio, 1BBOX: dev prefers e best"
    assert found["left_out"] == 1
    same, twice = found["rows"]
    assert (same["head"], same["ratio"], same["verdict"]) == ("same", "1.00", "undecided")
    assert (twice["head"], twice["ratio"], twice["interval"], twice["verdict"]) == (
        "twice",
        "0.25",
        "0.25 to 0.25",
        "less",
    )
    assert (twice["own"], twice["other"], twice["n_photos"]) == ("0.0100", "0.0400", "200")
    many = run_selection.ordered([run(f"r{n:02}", dev=0.1 + n / 1000, head=f"h{n:02}") for n in range(MOST + 4)])
    (found,) = head_comparisons(many, lambda one: rows_of_run["best"])
    assert [row["head"] for row in found["rows"]] == [f"h{n:02}" for n in range(1, MOST + 1)]
    assert found["left_out"] == 3
    assert head_comparisons(many[:1], lambda one: rows_of_run["best"]) == []
    strangers = [photo(n, 0.5, photo_id=f"q{n}") for n in range(9)]  # photos of a store that was changed later
    assert head_comparisons(many[:2], lambda one: rows_of_run["best"] if one["run_id"] == "r00" else strangers) == []


def test_equal_best_results_are_tied_and_every_cell_has_its_n():
    rows = [Row("e", str(n), (None, Cell(value, 0.7, 1.0, n=9)), (None, None)) for n, value in enumerate((1, 1, 0.5))]
    shown = run_selection.table(Table("Table 3", "gender", "accuracy", rows, (None, None)))
    assert [(row["cells"][0]["best"], row["cells"][0]["tied"], row["cells"][0]["n"]) for row in shown["rows"]] == [
        (False, True, "9"),
        (False, True, "9"),
        (False, False, "9"),
    ]
    alone = run_selection.table(Table("Table 3", "gender", "accuracy", rows[1:], (None, None)))
    assert [(row["cells"][0]["best"], row["cells"][0]["tied"]) for row in alone["rows"]] == [
        (True, False),
        (False, False),
    ]
