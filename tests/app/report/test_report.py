"""The report: one self-contained file, complete or with missing parts."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image

from photogenic import FeatureStore
from photogenic.models.data.split_config import SplitConfig
from photogenic.models.heads.grid import Grid
from photogenic.models.heads.train_stack import Schedule
from photogenic.synthetic.swipes.world import make_world
from photogenic.warehouse import StoreError
from tests.models.planted import train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store whose photo ids contain markup."""
    world = make_world(tmp_path_factory.mktemp("world"), users=60, swipes=20_000, seed=2, picture_size=160)
    for path in (world.photos, world.main_photos):
        path.write_text(re.sub(r"\bp(\d{6})(?!\.jpg)", r"<i>p\1", path.read_text()))
    with FeatureStore(tmp_path_factory.mktemp("store") / "store") as store:
        store.ingest_users(world.users)
        store.ingest_photos(world.photos, images=world.images)
        store.ingest_main_photos(world.main_photos)
        store.ingest_swipes(*world.swipes)
        store.build(only="labels")
        yield store


CURVES = ("Table 2", "Which head wins", "Learning curves", "C curves")
HEADINGS = (*CURVES, "Calibration", "Figure 1", "Top and bottom", "Slices", "Map of")


def test_the_report_names_the_command_for_each_missing_part(store):
    page = store.report().read_text()
    assert "Table 1. Who likes whom" in page
    assert page.count("features train") >= 7
    assert page.count('class="missing"') == 11
    assert [path.name for path in (store.layout.reports / "report-figures").iterdir()] == ["table-1.png"]


def test_the_whole_report_is_one_file_with_its_pictures(store, tmp_path):
    store.build(encoders=["dlib_face"])
    grid = Grid(learning_rates=(1e-3,), penalties=(0.1,), schedule=Schedule(least_updates=100, evaluations=5))
    folds = SplitConfig(folds=3)  # every photo is a test photo, which is enough for each figure
    targets = ["like_ratio", "popular", "gender"]
    board = train(store, targets, ["dlib_face"], ["0fc", "svm"], "one_face", division=folds, grid=grid)
    slices = tmp_path / "slices.csv"
    users = store.sql("select user_id from users order by user_id")["user_id"].to_list()
    slices.write_text("user_id,half\n" + "\n".join(f"{one},{'ab'[at % 2]}" for at, one in enumerate(users)))
    path = store.report(slices=slices)
    page = path.read_text()
    assert path == store.layout.reports / "report.html"
    assert all(heading in page for heading in HEADINGS)
    assert "half: a (n =" in page
    assert 'class="missing"' not in page
    assert f"{board.frame.filter(target='like_ratio')['test'][0]:.4f}" in page
    (duel,) = [one for one in board.comparisons if one.target == "popular"]
    rival = duel.comparisons[-1]
    cells = [
        rival.encoder,
        rival.head,
        rival.n_photos,
        f"{rival.own:.4f}",
        f"{rival.other:.4f}",
        f"{rival.ratio[0]:.2f}",
    ]
    row = "".join(f"<td{' class=.text.' if at < 2 else ''}>{cell}</td>" for at, cell in enumerate(cells))
    assert re.search(row, page)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "&lt;i&gt;p" in page
    assert "<i>" not in page
    pictures = re.findall(r'jpeg;base64,([^"]+)"', page)
    assert len(pictures) > 20
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (168, 168))
    drawn = {each.name for each in (store.layout.reports / "report-figures").iterdir()}
    expected = "table-1 learning-curves c-curves calibration figure-1 top bottom gender-errors-dlib_face map map-photos"
    assert drawn == {
        f"{name}.png" for name in (*expected.split(), *(f"slices-{t}" for t in ("like_ratio", "popular", "gender")))
    }


def test_a_report_elsewhere_has_its_figures_beside_it_and_deletes_no_other_files(store, tmp_path):
    folder = tmp_path / "ours-figures"
    folder.mkdir()
    (folder / "mine.png").write_bytes(b"x")
    assert store.report(tmp_path / "ours.html") == tmp_path / "ours.html"
    assert {"mine.png", "table-1.png"} <= {each.name for each in folder.iterdir()}


def test_a_report_made_during_an_erase_is_deleted(store, monkeypatch):
    from photogenic.app.report import report

    write, receipts = report._write, store.layout.erased / "receipts"

    def erasing(*given):
        receipts.mkdir(parents=True, exist_ok=True)
        (receipts / "r.json").write_text("{}")
        return write(*given)

    monkeypatch.setattr(report, "_write", erasing)
    with pytest.raises(StoreError, match="People were erased"):
        store.report()
    assert list(store.layout.reports.iterdir()) == []


def test_a_report_needs_a_store(tmp_path):
    with pytest.raises(StoreError, match="no store"):
        FeatureStore(tmp_path / "none").report()
    assert not (tmp_path / "none").exists()


def test_a_report_needs_labels(tmp_path):
    (tmp_path / "users.csv").write_text("user_id,gender\nu1,f\n")
    with FeatureStore(tmp_path / "store") as store:
        store.ingest_users(tmp_path / "users.csv")
        with pytest.raises(StoreError, match="no labels yet"):
            store.report()
