"""A head for a column, with inputs beside the vectors: on the pages, and in the API."""

from __future__ import annotations

import re
import shutil

import pytest

from photogenic import FeatureStore
from photogenic.models.predict import predict
from tests.app.serve.live_server import live_server
from tests.models.planted import train

TARGET = "photo_quality.brightness"


@pytest.fixture(scope="module")
def served(root, tmp_path_factory):
    """A server of a store with a head for the brightness of a photo."""
    own = tmp_path_factory.mktemp("own-target") / "store"
    shutil.copytree(root, own)
    with FeatureStore(own) as store:
        features = "photo_quality.contrast,users.followers"
        board = train(store, TARGET, ["dlib_face"], ["ridge"], "one_face", features=features)
        with live_server(own) as server:
            yield server, store, board.frame["run_id"][0]


def test_pictures_are_predicted_by_the_column_with_what_they_have_of_the_inputs(served, portrait, tmp_path):
    server, store, run_id = served
    photo_id, data = portrait
    path = tmp_path / "portrait.jpg"
    path.write_bytes(data)
    (expected,) = predict(store.store, [path], target=TARGET)
    answer = server.form("/api/v1/predict", [("a.jpg", data)], target=TARGET).json
    assert (answer["run_id"], answer["target"]) == (run_id, TARGET)
    assert answer["photos"][0]["prediction"] == pytest.approx(expected.prediction, abs=1e-4)
    assert answer["notes"] == [f"Run {run_id} reads users.followers, which files do not have: missing for all."]
    # The owner's followers are the only input of the photo that its file does not have.
    query = "select prediction from predictions where run_id = $r and photo_id = $p"
    stored = store.sql(query, {"r": run_id, "p": photo_id}).item()
    assert expected.prediction == pytest.approx(stored, abs=0.1)


def test_a_file_that_is_no_picture_has_its_status_without_an_encoder(served, tmp_path):
    _, store, _ = served
    board = train(store, TARGET, ["none"], ["ridge"], "all", features="photo_quality.contrast")
    (tmp_path / "x.jpg").write_bytes(b"not a picture")
    (one,) = predict(store.store, [tmp_path / "x.jpg"], run=board.frame["run_id"][0])
    assert (one.status, one.prediction) == ("not_an_image", None)


def test_an_unknown_target_is_refused_with_the_known_ones(served, portrait):
    server, _, _ = served
    for target, code in (("photo_quality.tilt", "not_ready"), ("brightness", "not_ready")):
        answer = server.form("/api/v1/predict", [("a.jpg", portrait[1])], target=target)
        assert answer.json["code"] == code
    assert "is not a target" in answer.json["message"]


def test_pages_show_the_column_in_its_unit_and_what_each_input_adds(served, portrait):
    server, _, _ = served
    page = server.get("/models").body.decode()
    assert "<th>printed</th>" not in page.partition(f"{TARGET}: mean")[2].partition("</table>")[0]
    assert "<th>printed</th>" in page.partition("Table 2")[2].partition("</table>")[0]
    assert f"{TARGET}: mean squared error on test" in page
    assert "What each input adds" in page
    assert "the whole vector (dlib_face)" in page
    assert TARGET in server.get(f"/photos/{portrait[0]}").body.decode()


def test_the_models_page_counts_runs_from_elsewhere_and_marks_the_promoted_one(served):
    server, store, run_id = served
    assert "from elsewhere" not in server.get("/models").body.decode()
    said = store.sql("select photo_id, prediction from predictions where run_id = $r", {"r": run_id})
    store.add_run("mine", said, target=TARGET, setup="one_face")
    store.promote_run(run_id)
    page = server.until("/models", lambda answer: b"promoted</small>" in answer.body).body.decode()
    assert re.search(r"\d trained heads?, and 1 run of predictions from elsewhere\.", page), re.findall(
        "<p class=.dim.>[^<]*", page
    )
    rows = re.findall(r'<tr><td class="text">([^<]*)</td><td class="text">([^<]*)</td>(.*?)</tr>', page, re.DOTALL)
    marked = {(encoder, head) for encoder, head, cells in rows if "promoted</small>" in cells}
    assert marked == {("dlib_face with photo_quality.contrast and users.followers", "ridge")}
    assert any(encoder == "ingested" and head == "mine" for encoder, head, _ in rows)
