"""Contents of the pages: exact numbers, charts of the whole result, table 1 as in the report, new data."""

import pytest

from photogenic import FeatureStore
from photogenic.models.evaluation.gender_table import gender_table
from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from tests.app.serve.live_server import live_server
from tests.warehouse.small import add_facts
from tests.warehouse.small import store as new_store


def asked(open_page, query):
    page = open_page("/sql")
    page.locator("#query").fill(query)
    with page.expect_response("**/api/v1/sql"):
        page.get_by_role("button", name="Run").click()
    page.locator("#said", has_text=" ms").wait_for()
    return page


def test_the_grid_shows_every_digit_and_distinguishes_nan_from_null(open_page):
    numbers = "9007199254740993::bigint, 170141183460469231731687303715884105727::hugeint, -9007199254740993::bigint"
    page = asked(open_page, f"select {numbers}, 'nan'::double, 'inf'::double, '-inf'::double, null")
    page.locator(".grid td").first.wait_for()
    assert page.locator(".grid td").all_inner_texts() == [
        "9,007,199,254,740,993",
        "170,141,183,460,469,231,731,687,303,715,884,105,727",
        "-9,007,199,254,740,993",
        "NaN",
        "Infinity",
        "-Infinity",
        "∅",
    ]


def test_a_chart_of_a_cut_result_uses_a_random_sample(open_page):
    page = asked(open_page, "select i, i * 2 as twice from range(100000) as t(i)")
    page.get_by_role("button", name="Bars").click()
    page.get_by_text("would be misleading").wait_for()
    assert page.locator("#answer svg").count() == 0
    page.get_by_role("button", name="Points").click()
    page.get_by_text("a random sample of 1,000 rows").wait_for()
    page.locator("#answer svg circle").first.wait_for()
    places = page.eval_on_selector_all("#answer svg circle", "all => all.map(one => Number(one.getAttribute('cx')))")
    width = page.eval_on_selector("#answer svg", "svg => svg.viewBox.baseVal.width")
    assert len(places) == 1000
    last_quarter = sum(place > 62 + 0.75 * (width - 76) for place in places)
    assert 180 < last_quarter < 320


def test_each_number_has_an_axis_of_its_own_with_its_name(open_page):
    query = (
        "select gender, avg(value) as ratio, count(*) as photos from photo_labels where gender is not null group by all"
    )
    page = asked(open_page, query)
    page.get_by_role("button", name="Bars").click()
    page.locator("#answer svg rect").first.wait_for()
    assert page.locator("#answer svg").count() == 2
    for number, name in enumerate(("ratio", "photos")):
        chart = page.locator("#answer svg").nth(number)
        assert name in chart.locator("text").all_text_contents()
        heights = chart.locator("rect").evaluate_all("all => all.map(one => Number(one.getAttribute('height')))")
        tops = chart.locator("rect").evaluate_all("all => all.map(one => Number(one.getAttribute('y')))")
        assert max(heights) > 60, "a number beside a larger one is not a hairline"
        assert min(tops) >= 10, "nothing is drawn past the last tick"
    ticks = page.locator("#answer svg").nth(1).locator("text").all_text_contents()
    assert not any("." in text for text in ticks if text.replace(".", "").isdigit()), "counts have whole ticks"
    page.select_option("[aria-label=y]", label="photos")
    assert page.locator("#answer svg").count() == 1


@pytest.mark.parametrize("window", ["latest", "every"])
def test_the_page_and_the_report_show_the_same_table_1(open_page, root, window):
    page = open_page(f"/breakdown?window={window}")
    with FeatureStore(root) as store:
        pairs = gender_table(store.database, window=window)
    shown = page.locator("table.heat td > div:not(.dim)").all_inner_texts()
    expected = {f"{p.like_ratio:.2f} {p.low:.2f} to {p.high:.2f} n = {p.n_swipes:,}" for p in pairs}
    assert {" ".join(text.split()) for text in shown} == expected
    assert page.locator(".scale i").count() == 20


def test_the_funnel_marks_its_branches(open_page):
    page = open_page("/breakdown")
    rows = page.locator("td.branch")
    assert rows.count() == 2
    assert rows.locator(".badge").count() == 1


def test_search_can_filter_by_popularity_within_gender(open_page, server, root):
    with FeatureStore(root) as store:
        query = (
            "with above as (from photo_labels qualify value > median(value) over (partition by source, gender)), "
            "shown as (select photo_id, max(source) as source from photo_labels group by photo_id) "
            "select photo_id from above join shown using (photo_id, source) join photos using (photo_id) "
            "where status = 'ok'"
        )
        expected = set(store.sql(query)["photo_id"])
    found = server.get("/api/v1/gallery?population=gender&popular=true&limit=500").json["photos"]
    assert {photo["photo_id"] for photo in found} == expected
    page = open_page("/?population=gender&by=percentile")
    assert "same gender" in page.locator(".head").inner_text()
    page = open_page(f"/photos/{found[0]['photo_id']}")
    assert "percentile among all photos" in page.locator("dl").inner_text().lower()
    assert f"percentile within {found[0]['gender']}" in page.locator("dl").inner_text().lower()


def test_a_waiting_page_is_reloaded_and_others_offer_a_reload(browser, tmp_path):
    db = new_store(tmp_path)
    add_facts(
        db, users=[("ann", "female"), ("bob", "male")], main_photos=[("ann", "p", 1)], swipes=[("bob", "ann", True, 2)]
    )
    with live_server(db.layout.root) as server:
        context = browser.new_context(base_url=server.url)
        waiting, other = context.new_page(), context.new_page()
        waiting.goto("/breakdown")
        assert "features build --store" in waiting.locator(".empty").inner_text()
        assert str(tmp_path) not in waiting.content()
        other.goto("/sql")
        build_labels(Store(db))
        waiting.locator("table.heat").wait_for(timeout=20_000)
        other.get_by_text("A newer snapshot is published").wait_for(timeout=20_000)
        other.get_by_role("button", name="Show it").click()
        other.locator("#newer").wait_for(state="detached")
        context.close()
