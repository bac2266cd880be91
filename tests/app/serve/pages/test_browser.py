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
    page.select_option("[name=popular]", "false")
    page.locator("[name=where]").fill("")
    page.set_input_files("#file", files=[{"name": "me.jpg", "mimeType": "image/jpeg", "buffer": data}])
    page.locator("#answer .card").first.wait_for()
    assert photo_id in page.locator("#answer .card .more").first.inner_text()
    page.get_by_text("Likely to be liked by").wait_for()
    assert page.locator("#preview").is_visible()


def test_a_search_by_photo_has_an_address(open_page, portrait):
    page = open_page("/similar")
    page.locator("[name=photo_id]").fill(portrait[0])
    with page.expect_navigation():
        page.locator("[name=photo_id]").press("Enter")
    page.locator("#answer .card").first.wait_for()
    assert f"photo_id={portrait[0]}" in page.url
    assert "by dlib_face; exact" in page.locator(".how").inner_text()
    assert "Popular: above the median of all labels of the same source" in page.locator(".how").inner_text()


def test_every_choice_of_a_search_is_in_its_address(open_page, portrait):
    page = open_page(f"/similar?photo_id={portrait[0]}&where=")
    assert page.locator("[name=where]").input_value() == ""
    page.locator("[name=popularity]").fill("0.25")
    page.locator("[name=popular_within]").fill("gender")
    page.locator("[name=photo_id]").last.fill(portrait[0])
    with page.expect_navigation():
        page.select_option("[name=popular]", "false")
    with page.expect_navigation():
        page.locator("[name=other_users]").check()
    assert "popularity=0.25" in page.url
    assert "popular_within=gender" in page.url
    assert page.url.count("photo_id=") == 2
    assert page.locator("[name=other_users]").is_checked()
    assert page.locator("[name=popular]").input_value() == "false"
    assert page.locator("[name=photo_id]").count() == 3
    said = page.locator(".how").inner_text()
    assert "the labels of the same gender" in said
    assert "by score" in said
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


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


@at_every_size
def test_a_query_about_an_uploaded_picture(open_page, portrait):
    photo_id, data = portrait
    page = open_page("/sql")
    picture = page.locator("#picture")
    assert picture.is_hidden()
    page.locator("#query").fill(
        "select photo_id, distance, vectors.embedding from similar($upload, k := 2,"
        " encoder := 'dlib_face') join vectors_dlib_face as vectors using (photo_id) order by distance"
    )
    page.get_by_role("button", name="Run").click()
    page.get_by_text("The query needs a picture.").wait_for()
    name = "a-picture-of-somebody-" * 9 + ".jpg"
    page.set_input_files("#upload", files=[{"name": name, "mimeType": "image/jpeg", "buffer": data}])
    page.get_by_text("2 rows").wait_for()
    assert picture.inner_text() == f"$upload: {name}"
    assert page.locator(".grid td a").first.inner_text() == photo_id
    assert "text" in page.locator(".grid th").last.get_attribute("class"), "a vector is no number"
    assert page.locator("#files").is_hidden(), "a link cannot carry the picture"
    assert fits(page)


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
