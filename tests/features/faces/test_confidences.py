"""Labels that need faces of a lower confidence than the stored ones are refused by every command."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.features.build_options import BuildOptions
from photogenic.features.faces.settings import FaceSettings
from photogenic.features.plan import plan
from photogenic.warehouse import InputError
from photogenic.warehouse.labels.options import LabelOptions
from tests.features.gallery import Gallery

LOW = r"--lenient-confidence 0.3 is below 0.5, .* faces\.\nExpected: 0.5 to 1 .*\nTry: .*0.5, or --face-confidence 0.3"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    return Gallery(tmp_path_factory.mktemp("confidences") / "store")


@pytest.mark.parametrize("door", ["build", "plan"])
@pytest.mark.parametrize("face_filter", ["off", "lenient", "strict"])
@pytest.mark.parametrize("engine", [None, "duckdb"])
def test_a_confidence_under_that_of_the_faces(gallery, door, face_filter, engine):
    with FeatureStore(gallery.layout.root) as store, pytest.raises(InputError, match=LOW):
        getattr(store, door)(labels=LabelOptions(face_filter=face_filter, lenient_confidence=0.3), engine=engine)


def test_spark_is_not_asked_first():
    with pytest.raises(InputError, match=r"--strict-confidence 0 is below 0\.5"):
        BuildOptions(labels=LabelOptions(strict_confidence=0.0), engine="spark", master="local[1]", facts="/nowhere")


def test_the_default_counts_as_asked_for_where_the_filter_goes_by_it():
    strict = FaceSettings(confidence=0.9)
    with pytest.raises(InputError, match=r"--lenient-confidence 0.5 is below 0.9"):
        BuildOptions(labels=LabelOptions(face_filter="lenient"), faces=strict)
    BuildOptions(labels=LabelOptions(), faces=strict)


def test_faces_that_are_kept_may_be_asked_for(gallery):
    low, labels = FaceSettings(confidence=0.3), LabelOptions(face_filter="lenient", lenient_confidence=0.3)
    plan(gallery.store, BuildOptions(labels=labels, faces=low))
    plan(gallery.store, BuildOptions(labels=LabelOptions(strict_confidence=0.5)))


def test_the_command_line(gallery):
    words = ["build", "--lenient-confidence", "0.2", "--store", str(gallery.layout.root)]
    done = CliRunner().invoke(program, words)
    assert done.exit_code == 1
    assert "--lenient-confidence 0.2 is below 0.5" in str(done.exception)
