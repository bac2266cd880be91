"""The best crop by a head with a known rule (bright pictures are liked): faces stay inside, and results are correct."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.features.encoders.base import Backbone, Encoder
from photogenic.features.encoders.registry import ENCODERS
from photogenic.features.faces.crop_windows import candidates
from photogenic.features.faces.detector import Detector, FaceSettings
from photogenic.models import crop as cropping
from photogenic.models.crop import crop
from photogenic.models.heads.model import Model, ensemble
from photogenic.models.predict import predict
from photogenic.models.runs import run_store
from photogenic.models.runs.run_store import Run
from photogenic.warehouse import InputError
from tests.features.gallery import portrait

pytestmark = pytest.mark.slow


class Mean(torch.nn.Module):
    def forward(self, x):
        return {"mean": x.mean((1, 2, 3))[:, None]}


class Sharp(torch.nn.Module):
    """A network that computes the differences of neighboring pixels, which change if a picture is reduced twice."""

    def forward(self, x):
        return {"mean": (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))[:, None]}


def linear(weight):
    arrays = {"output.weight": np.array([weight], "f4"), "output.bias": np.array(0, "f4")}
    return Model("fc", "identity", arrays | {"mean": np.zeros(1, "f4"), "scale": np.ones(1, "f4")})


def put_run(store, run_id, name, model):
    digests = {part: ENCODERS[part].digest(FaceSettings().digest) for part in name.split("+")}
    run = Run(
        run_id, "like_ratio", "all", name, "0fc", "mse", 0.1, 0.1, 0.2, 10, 2, 2, model.dim, model.kind, model.link,
        digests, "", {}, {"conformal": {"radius": 0.1}},
    )  # fmt: skip
    return run_store.save(store.layout, run, model)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with heads on the brightness of whole photos, of faces, and of both."""
    store = FeatureStore(tmp_path_factory.mktemp("crop") / "store")
    for name, kind, crop_rule, size in (("bright", "photo", "centre", 32), ("bright_face", "face", "dlib", 150)):
        backbone = Backbone(name, kind, size, crop_rule, (0, 0, 0), (255, 255, 255), lambda _: Mean())
        ENCODERS[name] = Encoder(name, backbone, "mean", 1, "l2", "none", "nobody")
    made = [
        put_run(store, "whole", "bright", linear(1)),
        put_run(store, "face", "bright_face", linear(1)),
        put_run(store, "both", "bright+bright_face", ensemble([(linear(1), [0]), (linear(1), [1])])),
    ]

    rows = pl.DataFrame(
        schema={"run_id": pl.String, "photo_id": pl.String, "split": pl.String, "prediction": pl.Float64}
    )
    run_store.record(
        store.database, [replace(run, dev=dev) for run, dev in zip(made, (0.3, 0.1, 0.2), strict=True)], rows
    )
    return store


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def lit(width=300, height=200, at=(170, 40, 290, 160)):
    """Return dark noise with a bright square."""
    pixels = np.random.default_rng(0).integers(0, 60, (height, width, 3)).astype(np.uint8)
    pixels[at[1] : at[3], at[0] : at[2]] += 180
    return pixels


def test_the_best_crop_is_the_brightest_one(store, tmp_path):
    pixels = lit()
    path = saved(tmp_path / "lit.png", pixels)
    (found,) = crop(store, [path], run="whole")
    boxes = candidates(300, 200, (1, 1))
    means = [pixels[b.y0 : b.y1, b.x0 : b.x1].mean() / 255 for b in boxes]
    best = boxes[int(np.argmax(means))]
    assert (found.x0, found.y0, found.x1, found.y1) == best
    assert found.crop_prediction == pytest.approx(max(means), abs=0.01)
    middle = pixels[:, 50:250].mean() / 255
    assert found.prediction == pytest.approx(middle, abs=0.01)
    assert (found.n_candidates, found.status, found.output) == (len(boxes), "ok", None)
    assert found.prediction == pytest.approx(predict(store, [path], run="whole")[0].prediction, abs=1e-6)


@pytest.mark.parametrize("form", ["png", "jpg"])
def test_the_best_crop_has_the_best_prediction_of_all_crops_as_files(store, tmp_path, monkeypatch, form):
    """The photo is reduced while decoding; some of its crops are small enough not to be reduced."""
    backbone = Backbone("sharp", "photo", 48, "centre", (0, 0, 0), (255, 255, 255), lambda _: Sharp())
    monkeypatch.setitem(ENCODERS, "sharp", Encoder("sharp", backbone, "mean", 1, "l2", "none", "nobody"))
    put_run(store, "sharp", "sharp", linear(8))
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8)).resize(
        (1880, 1410), Image.Resampling.BICUBIC
    )
    path = saved(tmp_path / "photo.jpg", np.asarray(coarse) // 2 + rng.integers(0, 128, (1410, 1880, 3), np.uint8))
    (found,) = crop(store, [path], run="sharp", smallest=0.9, output=tmp_path / f"best.{form}")
    boxes = candidates(1880, 1410, (1, 1), smallest=0.9)
    with Image.open(path) as photo:
        files = [tmp_path / f"{at}.{'bmp' if form == 'png' else form}" for at in range(len(boxes))]
        for file, box in zip(files, boxes, strict=True):
            photo.crop(box).save(file, quality=95)
    said = [one.prediction for one in predict(store, files, run="sharp")]
    chosen = boxes.index((found.x0, found.y0, found.x1, found.y1))
    assert len(boxes) > 8
    assert said[chosen] >= max(said) - 0.02 * (max(said) - min(said))
    assert found.crop_prediction == pytest.approx(said[chosen], abs=0.004 if form == "jpg" else 1e-6)


def test_a_smaller_smallest_crop_never_lowers_the_score(store, tmp_path):
    path = saved(tmp_path / "lit.png", lit())
    scores = [crop(store, [path], run="whole", smallest=s)[0].crop_prediction for s in (1.0, 0.8, 0.5, 0.3)]
    assert scores == sorted(scores)


def test_a_crop_does_not_cut_a_face_for_a_brighter_place(store, tmp_path):
    face = np.asarray(Image.open(io.BytesIO(portrait(3))).resize((200, 200)))
    pixels = np.full((200, 500, 3), 255, np.uint8)
    pixels[:, :200] = face // 3 * 2
    path = saved(tmp_path / "face.png", pixels)
    with Detector(FaceSettings()) as detector:
        (seen,) = detector(pixels)
    free = candidates(500, 200, (1, 1))
    assert any(box.x0 >= 200 for box in free)
    (found,) = crop(store, [path], run="whole")
    assert found.x0 <= seen.x0
    assert found.x1 >= min(seen.x1, 500)
    assert found.y0 <= max(seen.y0, 0)
    assert found.n_candidates < len(free)


def test_the_written_file_is_the_crop_of_the_upright_original(store, tmp_path):
    """The photo is rotated by EXIF and large enough to be reduced while decoding; the file has no camera metadata."""
    pixels = np.kron(lit(), np.ones((8, 8, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    path = saved(tmp_path / "lit.jpg", np.rot90(pixels), exif=exif, quality=95)
    (found,) = crop(store, [path], run="whole", aspect="4:5", output=tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        written = np.asarray(image)
        assert not image.getexif()
    assert written.shape == (found.y1 - found.y0, found.x1 - found.x0, 3)
    assert written.shape[1] / written.shape[0] == pytest.approx(0.8, abs=0.01)
    expected = pixels[found.y0 : found.y1, found.x0 : found.x1].astype(float)
    assert np.abs(written - expected).mean() < 6
    (again,) = predict(store, [tmp_path / "out.png"], run="whole")
    assert again.prediction == pytest.approx(found.crop_prediction, abs=0.02)
    assert found.output == str(tmp_path / "out.png")


def test_a_face_encoder_gives_the_same_vector_for_every_crop(store, tmp_path):
    path = tmp_path / "p.jpg"
    path.write_bytes(portrait(4))
    (both,), (whole,) = crop(store, [path], run="both"), crop(store, [path], run="whole")
    assert (both.x0, both.y0, both.x1, both.y1) == (whole.x0, whole.y0, whole.x1, whole.y1)
    assert both.crop_prediction - both.prediction == pytest.approx(
        (whole.crop_prediction - whole.prediction) / 2, abs=1e-4
    )


def test_photos_without_a_crop_have_a_status_with_the_reason(store, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    saved(tmp_path / "dark.png", lit())
    (tmp_path / "group.jpg").write_bytes(portrait(5, people=2))
    two = np.asarray(Image.open(io.BytesIO(portrait(3))))
    wide = saved(tmp_path / "wide.png", np.hstack([two, two]))
    named = [tmp_path / "none.jpg", tmp_path / "text.jpg", tmp_path / "dark.png", tmp_path / "group.jpg"]
    found = crop(store, named, run="both")
    assert [one.status for one in found] == ["missing", "not_an_image", "no_face", "several_faces"]
    assert all(one.x0 is one.crop_prediction is one.output is None for one in found)
    (apart,) = crop(store, [wide], run="whole", output=tmp_path / "out.jpg")
    assert (apart.status, apart.x0) == ("faces_do_not_fit", None)
    assert apart.prediction is not None
    assert not (tmp_path / "out.jpg").exists()


def test_without_a_run_the_best_head_on_whole_photos_is_used(store):
    (only,) = cropping._choose_runs(store, "like_ratio", FaceSettings())
    assert only == "both"


def test_invalid_arguments_are_refused(store, tmp_path):
    path = saved(tmp_path / "lit.png", lit())
    (tmp_path / "b").mkdir()
    twin = saved(tmp_path / "b" / "lit.png", lit())
    for options, says in (
        ({"run": "face"}, "computed from the face alone"),
        ({"target": "gender"}, "cannot be chosen by gender"),
        ({"target": "popular"}, "No head for popular on an encoder of whole photos"),
        ({"aspect": "4x5"}, "'4x5' is not a valid shape"),
        ({"aspect": "1:0"}, "is not a valid shape"),
        ({"smallest": 0.0}, "--smallest is 0.0"),
        ({"output": path}, "would replace"),
        ({"output": tmp_path / "x.tiff"}, "is not a picture file"),
    ):
        with pytest.raises(InputError, match=says):
            crop(store, [path], **options)
    with pytest.raises(InputError, match="Several crops would go to"):
        crop(store, [path, twin], run="whole", output=tmp_path / "out")


def test_on_the_command_line(store, tmp_path):
    saved(tmp_path / "a.png", lit())
    saved(tmp_path / "b.png", lit(200, 300, (40, 170, 160, 290)))
    arguments = ["crop", str(tmp_path), "--run", "whole", "--output", str(tmp_path / "out"), "--format", "json"]
    done = CliRunner().invoke(program, [*arguments, "--store", str(store.layout.root)])
    assert done.exit_code == 0, done.exception
    rows = json.loads(done.stdout)
    assert [row["output"] for row in rows] == [str(tmp_path / "out" / f"{name}-crop.jpg") for name in "ab"]
    assert rows[0].keys() >= {"path", "x0", "y0", "x1", "y1", "prediction", "crop_prediction", "status"}
    for row in rows:
        with Image.open(row["output"]) as image:
            assert image.size == (row["x1"] - row["x0"], row["y1"] - row["y0"])
            assert image.size[0] == image.size[1]
