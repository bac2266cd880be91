"""Pages of a large store, and of a store that is being written."""

import subprocess
import sys
import textwrap

import polars as pl
import pytest

from photogenic import FeatureStore
from tests.app.serve.live_server import live_server
from tests.features.gallery import portrait as drawn
from tests.features.toy import database, put_photos

N = 100_000


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A store of 100,000 photos with four pictures."""
    db = database(tmp_path_factory.mktemp("many"))
    photos = pl.DataFrame({"n": range(N)}).select(
        photo_id=pl.format("p{}", "n"), gender=pl.lit("female"), n_swipes=pl.lit(1), n_likes=pl.col("n") % 2
    )
    put_photos(db, photos)
    pictures = {f"{seed:064x}": drawn(seed, size=100) for seed in range(4)}
    for sha256, data in pictures.items():
        path = db.layout.photo(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with db.write("test") as con:
        con.execute("update facts.photo_files set sha256 = format('{:064x}', hash(photo_id) % 4)")
    with live_server(db.layout.root) as server:
        yield server


def until(page, holds):
    """Wait until an expression is true. The content security policy of the pages forbids `wait_for_function`."""
    for _ in range(100):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(100)
    raise AssertionError(holds)


@pytest.fixture
def page(browser, many):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=many.url)
    yield context.new_page()
    context.close()


def test_a_long_gallery_keeps_a_limited_number_of_cards(page, many):
    page.goto("/?least=0")
    assert page.locator("#count").inner_text() == f"{N:,}"
    page.locator(".card").nth(59).wait_for(state="attached")
    for _ in range(40):
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(60)
    until(page, "document.getElementById('photos').lastElementChild.dataset.offset >= 1500")
    page.wait_for_timeout(300)
    assert page.locator("#photos .card").count() <= 1200
    assert page.locator("#photos .chunk").first.locator(".card").count() == 0
    last = page.locator("#photos .chunk").last
    offset = int(last.get_attribute("data-offset"))
    photos = many.get(f"/api/v1/gallery?least=0&offset={offset}&limit=60").json["photos"]
    shown = last.locator(".card").evaluate_all("cards => cards.map(card => card.getAttribute('href'))")
    assert shown == [f"/photos/{photo['photo_id']}" for photo in photos]
    height = page.evaluate("document.documentElement.scrollHeight")
    page.evaluate("scrollTo(0, 0)")
    until(page, "document.querySelectorAll('#photos .chunk')[0].childElementCount === 60")
    assert page.evaluate("document.documentElement.scrollHeight") == pytest.approx(height, rel=0.02)


def test_the_last_page_of_the_gallery_is_as_fast_as_the_first(many):
    answer = many.get(f"/api/v1/gallery?least=0&offset={N - 10}&limit=60").json
    assert len(answer["photos"]) == 10
    assert len({photo["photo_id"] for photo in answer["photos"]}) == 10


def test_a_card_with_the_focus_is_kept(page):
    page.goto("/?least=0")
    page.locator(".card").nth(3).focus()
    focused = page.evaluate("document.activeElement.href")
    for _ in range(12):
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(60)
    assert page.evaluate("document.activeElement.href") == focused


@pytest.fixture
def writer(root):
    """Another process that writes the store: 3 of 10 photos are done, and one more after each line of its stdin."""
    script = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from photogenic.warehouse import Layout, no_progress
        from photogenic.warehouse.storage.lock import locked
        from photogenic.warehouse.duckdb_store.live_status import report_live_status
        layout = Layout(Path({str(root)!r}))
        with locked(layout.lock, "features build", 0), report_live_status(layout, no_progress) as progress:
            with progress.stage("faces", 10, "photos") as advance:
                advance(3)
                print("there", flush=True)
                for _ in sys.stdin:
                    import time; time.sleep(0.6)
                    advance(1)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True, bufsize=1) as process:
        assert process.stdout.readline() == "there\n"
        yield process
        process.stdin.close()


def test_the_store_page_shows_the_progress_of_a_build(open_page, writer):
    page = open_page("/store", until="load")  # it asks every second, so on a busy machine the network is never idle
    bar = page.get_by_role("progressbar", name="faces")
    bar.wait_for()
    page.get_by_text("faces: 0 of 10 photos").or_(page.get_by_text("faces: 3 of 10 photos")).wait_for()
    writer.stdin.write("on\n")
    page.get_by_text("faces: 4 of 10 photos").wait_for()
    assert bar.get_attribute("value") == "4"
    writer.stdin.close()
    writer.wait()
    page.get_by_text("Being written now.").wait_for(state="detached")


def test_a_build_in_another_process_is_shown(root):
    held = textwrap.dedent(
        """
        import sys
        from photogenic.app.cli.main import main
        from photogenic.warehouse.labels import compute
        relation = compute.relation
        def wait(name):
            compute.relation = relation
            print("there", flush=True)
            sys.stdin.read()
            return relation(name)
        compute.relation = wait
        main()
        """
    )
    given = ["build", "--only", "labels", "--force", "--store", str(root)]
    with FeatureStore(root) as store:
        assert store.status()["underway"] == []
        with subprocess.Popen(
            [sys.executable, "-c", held, *given], stdin=-1, stdout=-1, stderr=-1, text=True
        ) as process:
            assert process.stdout.readline() == "there\n"
            seen = store.status()["underway"]
            process.communicate()
        assert process.returncode == 0
        assert {(stage["name"], stage["unit"]) for stage in seen} == {("labels", "relations")}
        assert max(stage["done"] for stage in seen) <= seen[0]["total"]
        assert store.status()["underway"] == []
