import shutil
from pathlib import Path

import pytest

from photogenic import FeatureStore
from photogenic.app.serve.http.limits import Limits
from photogenic.models.heads.grid import Grid
from photogenic.models.heads.train_stack import Schedule
from photogenic.synthetic.swipes.world import make_world
from tests.app.serve.live_server import live_server
from tests.models.planted import train

CHROMIUM = Path("/usr/bin/chromium")
DESKTOP, PHONE = (1280, 900), (390, 844)
SMALL = Limits(upload_bytes=2_000_000, upload_pixels=10**6, uploads=3, sql_waiting=3)


def _make(folder):
    """A world, and a store with labels, faces, vectors and one head."""
    world = make_world(folder / "world", users=60, swipes=20_000, seed=2, picture_size=160)
    with FeatureStore(folder / "store") as store:
        store.ingest_users(world.users)
        store.ingest_photos(world.photos, images=world.images)
        store.ingest_main_photos(world.main_photos)
        store.ingest_swipes(*world.swipes)
        store.build(encoders=["dlib_face"], near_duplicates=True)
        grid = Grid(learning_rates=(1e-3,), penalties=(0.1,), schedule=Schedule(least_updates=100, evaluations=5))
        train(store, "like_ratio", ["dlib_face"], ["0fc"], "one_face", grid=grid)


@pytest.fixture(scope="session")
def root(tmp_path_factory, prepared):
    """A copy of the store with labels, faces, vectors and one head, for this process."""
    root = tmp_path_factory.mktemp("served") / "store"
    shutil.copytree(prepared("served", _make) / "store", root)
    return root


@pytest.fixture(scope="session")
def server(root):
    """A server with small limits, for all tests that do not change the store."""
    with live_server(root, limits=SMALL) as server:
        yield server


@pytest.fixture(scope="session")
def portrait(root):
    """Id and bytes of a photo with one face."""
    with FeatureStore(root) as store:
        photo_id, sha256 = store.sql(
            "select photo_id, sha256 from photo_setups inner join photos using (photo_id)"
            " where setup = 'one_face' order by photo_id limit 1"
        ).row(0)
        return photo_id, store.layout.photo(sha256).read_bytes()


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of Debian. Without it the browser tests are skipped.

    Playwright keeps an event loop running in this thread until it ends, so no test with its own event loop can run
    in between.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not on this machine: sudo apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(params=[DESKTOP, pytest.param(PHONE, marks=pytest.mark.thorough)], ids=["desktop", "phone"])
def open_page(request, browser, server):
    """Return a function that opens a page; fail if the browser logs a warning or an error."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, base_url=server.url)
    complaints = []
    context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))

    def opened(path, until="networkidle"):
        page = context.new_page()
        page.goto(path)
        page.wait_for_load_state(until)
        return page

    opened.complaints = complaints
    yield opened
    context.close()
    assert complaints == []
