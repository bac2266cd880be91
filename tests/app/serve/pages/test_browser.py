"""The pages in a browser, in the sizes of a desktop and of a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from photogenic.app.serve.pages.routes import PAGES
from tests.app.serve.conftest import DESKTOP, PHONE

at_every_size = pytest.mark.parametrize("open_page", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
"""For tests that depend on the size of the window. `make test-thorough` runs the others in the size of a phone too."""


def fits(page):
    """Return whether the page is not wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@at_every_size
@pytest.mark.parametrize("path", [*(path for _, path in PAGES), "/lineage/photo_labels", "photo", "/login", "/nothing"])
def test_pages_fit_the_window_and_are_accessible(open_page, portrait, path):
    page = open_page(f"/photos/{portrait[0]}" if path == "photo" else path)
    assert fits(page)
    found = Axe().run(page).response["violations"]
    serious = [
        (one["id"], node["html"][:150])
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    assert serious == []
    if path == "/nothing":
        assert any("404" in text for text in open_page.complaints)
        open_page.complaints.clear()


@at_every_size
@pytest.mark.parametrize("path", ["/", "/models", "photo"])
def test_a_long_name_does_not_widen_a_page(open_page, portrait, path):
    page = open_page(f"/photos/{portrait[0]}" if path == "photo" else path)
    name = "photo-of-somebody-" * 9
    assert page.evaluate(
        "name => { const all = document.querySelectorAll('.card .more, h1');"
        " all.forEach(one => { one.textContent = name; }); return all.length }",
        name,
    )
    assert fits(page)


@at_every_size
def test_the_gallery_loads_more_photos_when_scrolled(open_page, server):
    page = open_page("/?least=0")
    n_photos = server.get("/api/v1/gallery").json["n_photos"]
    assert n_photos > 60
    for _ in range(30):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(100)
        if page.locator(".card").count() == n_photos:
            break
    assert page.locator(".card").count() == n_photos
    assert page.locator("#more").count() == 0


def test_a_filter_takes_effect_at_once(open_page):
    page = open_page("/")
    with page.expect_navigation():
        page.select_option("select[name=gender]", "male")
    assert "gender=male" in page.url
    assert "split=" not in page.url
    assert all(text.endswith("male") for text in page.locator(".card .more").all_inner_texts())


def test_a_search_by_upload(open_page, portrait):
    photo_id, data = portrait
    page = open_page("/similar")
    page.select_option("[name=popular]", "")
    page.locator("[name=where]").fill("")
    page.set_input_files("#file", files=[{"name": "me.jpg", "mimeType": "image/jpeg", "buffer": data}])
    page.locator("#answer .card").first.wait_for()
    assert photo_id in page.locator("#answer .card .more").first.inner_text()
    page.get_by_text("Likely to be liked by").wait_for()
    assert page.locator("#preview").is_visible()


def test_a_search_by_photo_has_an_address(open_page, portrait):
    page = open_page("/similar")
    page.locator("[name=photo_id]").fill(portrait[0])
    page.locator("[name=photo_id]").press("Enter")
    page.locator("#answer .card").first.wait_for()
    assert page.url.endswith(f"?photo_id={portrait[0]}")


def test_a_query_shows_pictures_charts_and_has_an_address(open_page):
    page = open_page("/sql")
    page.locator("#query").fill("select photo_id, value from photo_labels order by value desc limit 5")
    page.locator("#query").press("Control+Enter")
    page.get_by_text("5 rows").wait_for()
    pictures = page.locator(".grid td img")
    assert pictures.count() == 5
    page.wait_for_function("[...document.querySelectorAll('.grid td img')].every(img => img.naturalWidth > 0)")
    page.get_by_role("button", name="Bars").click()
    assert page.locator("#answer svg rect").count() == 5
    page.goto(page.url)
    page.get_by_text("5 rows").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 6


def test_completion_by_keyboard(open_page):
    page = open_page("/sql")
    page.locator("#query").fill("")
    page.locator("#query").press_sequentially("from gender_br")
    page.get_by_role("option", name="gender_breakdown").wait_for()
    page.keyboard.press("Tab")
    assert page.locator("#query").input_value() == "from gender_breakdown"
    page.keyboard.press("Control+Enter")
    page.get_by_text("rows ·").wait_for()


def test_a_refused_query_shows_the_reason_and_a_remedy(open_page):
    page = open_page("/sql")
    page.locator("#query").fill("from photo_label")
    page.get_by_role("button", name="Run").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "There is no relation photo_label" in alert.inner_text()
    assert "photo_labels" in alert.inner_text()
    assert "features sql" not in alert.inner_text(), "a command for the shell is of no use on this page"
    assert "dictionary on this page" in alert.inner_text()
    assert any("400" in text for text in open_page.complaints)
    open_page.complaints.clear()


def test_a_running_query_can_be_stopped(open_page):
    page = open_page("/sql")
    page.locator("#query").fill("select count(*) from range(1000000000000) as a, range(1000000) as b")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for()


@at_every_size
def test_all_controls_are_reached_by_keyboard(open_page):
    page = open_page("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    names = []
    for _ in range(len(PAGES) + 2):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.textContent").strip())
    assert names[1 : 1 + len(PAGES)] == [name for name, _ in PAGES]


def test_an_address_of_the_api_can_be_tried(open_page):
    page = open_page("/api")
    page.get_by_text("Whether it answers").click()
    page.locator("details[open] button").click()
    page.locator("details[open] pre").wait_for()
    assert '"status": "ok"' in page.locator("details[open] pre").inner_text()


def test_the_graph_shows_its_relation_and_lights_the_lines_of_a_box(open_page):
    page = open_page("/lineage/photo_labels")
    root = page.locator("#graph [aria-current]")
    assert page.evaluate(
        "() => { const graph = document.getElementById('graph').getBoundingClientRect();"
        " const box = document.querySelector('#graph [aria-current] rect').getBoundingClientRect();"
        " return box.left >= graph.left && box.right <= graph.right"
        " && box.top >= graph.top && box.bottom <= graph.bottom }"
    ), "the relation of the page is in view"
    assert page.locator("#graph path.lit").count() == 0
    root.focus()
    assert page.locator("#graph path.lit").count() > 1
    page.locator("#graph a[aria-label='relation like_ratios']").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/lineage/like_ratios")
