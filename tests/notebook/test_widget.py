"""The widget: what Python answers to the page, and what the page does with a mouse, a keyboard and a screen reader."""

import base64
import importlib
import json
import sys
from importlib.resources import files

import anywidget
import polars as pl
import pytest

from photogenic import notebook
from photogenic.notebook.widget import PhotoBrowser
from photogenic.warehouse import InputError, MissingPartError
from tests.notebook.conftest import CHROMIUM


def test_without_anywidget_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "photogenic.notebook.widget")
    with pytest.raises(MissingPartError, match=r"(?s)anywidget.*photogenic\[notebook\]"):
        importlib.import_module("photogenic.notebook.widget")


@pytest.fixture
def frame(pictured):
    return pictured.sql("select photo_id, user_id, 0.5 as value, status from photos order by photo_id")


@pytest.fixture
def widget(pictured, frame):
    made = pictured.browse(frame)
    yield made
    made.close()


def asked(widget, content):
    """Return what the widget sends for a message of the page."""
    sent = []
    widget.send = lambda message, buffers=None: sent.append((message, buffers))
    widget._handle_custom_msg(content, [])
    return sent


def test_the_page_gets_the_rows_that_it_asks_for(widget):
    ((message, jpegs),) = asked(widget, {"kind": "rows", "from": 60, "to": 70})
    assert (message["kind"], message["from"]) == ("rows", 60)
    assert [row["photo_id"] for row in message["rows"]] == [f"p{n:03}" for n in range(60, 70)]
    assert [row["picture"] for row in message["rows"]] == [*range(8), None, None]
    assert all(jpeg.startswith(b"\xff\xd8") for jpeg in jpegs)
    assert message["rows"][0]["captions"] == ["user_id p060", "value 0.5"]
    assert message["rows"][9]["absent"].startswith("no picture: ")


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "rows",
        {},
        {"kind": "rows"},
        {"kind": "other", "from": 0, "to": 1},
        {"kind": "rows", "from": -1, "to": 5},
        {"kind": "rows", "from": "0", "to": 5},
        {"kind": "rows", "from": True, "to": 5},
        {"kind": "rows", "from": 0.5, "to": 5},
    ],
)
def test_a_message_of_another_kind_has_no_answer(widget, content):
    assert asked(widget, content) == []


def test_an_answer_is_bounded(widget, pictured):
    ((message, _),) = asked(widget, {"kind": "rows", "from": 0, "to": 10**9})
    assert len(message["rows"]) == 70
    assert asked(widget, {"kind": "rows", "from": 1000, "to": 2000})[0][0]["rows"] == []
    assert asked(widget, {"kind": "rows", "from": 50, "to": 10})[0][0]["rows"] == []
    ids = pl.concat([pictured.sql("select photo_id from photos")] * 3)
    assert len(asked(pictured.browse(ids), {"kind": "rows", "from": 0, "to": 200})[0][0]["rows"]) == 120


def test_the_selection_is_a_frame(widget, frame):
    assert widget.selection.is_empty()
    assert widget.selection.schema == frame.schema
    widget.selected = [5, 2, 2, -1, 70, 10**6]
    assert widget.selected == [2, 5]
    assert widget.selection.equals(frame[[2, 5]])
    widget.select(range(3))
    assert widget.selection["photo_id"].to_list() == ["p000", "p001", "p002"]


def test_captions_are_columns_of_the_frame(pictured, frame):
    ((message, _),) = asked(pictured.browse(frame, captions="status"), {"kind": "rows", "from": 0, "to": 1})
    assert message["rows"][0]["captions"] == ["status ok"]
    with pytest.raises(InputError, match="no column nothing"):
        pictured.browse(frame, captions=["nothing"])
    with pytest.raises(InputError, match="no column of photo ids"):
        notebook.browse(pictured, frame.drop("photo_id"))


def test_the_browser_loads_files_of_the_package_only(widget):
    assert isinstance(widget, anywidget.AnyWidget)
    assert isinstance(widget, PhotoBrowser)
    for name in ("widget.js", "widget.css"):
        text = files("photogenic.notebook").joinpath(name).read_text()
        assert "http" not in text
        assert "import " not in text
        assert "@import" not in text
        assert "url(" not in text
    assert widget._esm == files("photogenic.notebook").joinpath("widget.js").read_text()


PAGE = """<!doctype html><html lang="en"><title>Browser</title><style>%s</style><main><div id="el" style="width: 640px">
</div></main><script type="module">
const source = %s;
const { default: widget } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
const state = %s, handlers = {};
window.model = {
  get: (name) => state[name],
  set(name, value) { state[name] = value; },
  async save_changes() { state.selected = await window.python("selected", state.selected); },
  on: (name, call) => (handlers[name] ??= []).push(call),
  off: (name, call) => { handlers[name] = handlers[name].filter((one) => one !== call); },
  async send(message) {
    const answer = await window.python("message", message);
    if (!answer) return;
    const buffers = answer.buffers.map((text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0)));
    const views = buffers.map((one) => new DataView(one.buffer));
    for (const call of handlers["msg:custom"] ?? []) call(answer.message, views);
  },
  fire(name, value) { state[name] = value; for (const call of handlers[`change:${name}`] ?? []) call(); },
};
window.end = widget.render({ model: window.model, el: document.getElementById("el") });
window.handlers = handlers;
</script></html>"""


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not on this machine: sudo apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, widget):
    """The page of the widget, connected to the widget in Python; no network."""
    context = browser.new_context(viewport={"width": 700, "height": 620}, offline=True)
    page, complaints, wanted = context.new_page(), [], []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def python(kind, value):
        if kind == "selected":
            widget.selected = value
            return widget.selected
        wanted.append((value["from"], value["to"]))
        ((message, buffers),) = asked(widget, value)
        return {"message": message, "buffers": [base64.b64encode(one).decode() for one in buffers]}

    page.expose_function("python", python)
    script = files("photogenic.notebook").joinpath("widget.js").read_text()
    style = files("photogenic.notebook").joinpath("widget.css").read_text()
    state = json.dumps({"n_rows": widget.n_rows, "selected": widget.selected})
    page.set_content(PAGE % (style, json.dumps(script), state))
    page.wait_for_selector(".cell img")
    page.wanted = wanted
    yield page
    context.close()
    assert complaints == []


def chosen(page, widget, ids):
    page.wait_for_function(f"document.querySelector('.status').textContent.includes(', {len(ids)} selected')")
    page.evaluate("window.model.save_changes()")
    assert widget.selection["photo_id"].to_list() == ids


def test_only_rows_near_the_view_are_asked_for_and_drawn(opened):
    assert opened.wanted == [(0, 60)]
    assert opened.locator(".cell").count() < 30
    opened.locator(".box").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    opened.wait_for_selector("[aria-posinset='70'] .id")
    assert opened.wanted == [(0, 60), (60, 70)]
    assert opened.locator("[aria-posinset='1']").count() == 0
    assert opened.locator("[aria-posinset='70'] .absent").inner_text().startswith("no picture")
    opened.locator(".box").evaluate("box => { box.scrollTop = 0; }")
    opened.wait_for_selector("[aria-posinset='1'] img")
    assert len(opened.wanted) == 2
    assert opened.locator("[aria-posinset='1'] img").evaluate("one => one.decode().then(() => one.naturalWidth)") == 240


def test_the_mouse_selects_and_extends(opened, widget):
    opened.locator("[aria-posinset='2']").click()
    opened.locator("[aria-posinset='4']").click()
    chosen(opened, widget, ["p001", "p003"])
    assert opened.locator("[aria-selected='true']").count() == 2
    opened.locator("[aria-posinset='4']").click()
    chosen(opened, widget, ["p001"])
    opened.locator("[aria-posinset='1']").click()
    opened.locator("[aria-posinset='3']").click(modifiers=["Shift"])
    chosen(opened, widget, ["p000", "p001", "p002"])
    opened.get_by_role("button", name="Clear selection").click()
    chosen(opened, widget, [])
    assert opened.get_by_role("button", name="Clear selection").is_disabled()


def test_the_keyboard_does_all_that_the_mouse_does(opened, widget):
    opened.get_by_role("listbox", name="Photos").focus()
    keys = opened.keyboard
    keys.press("ArrowRight")
    keys.press("Space")
    chosen(opened, widget, ["p001"])
    keys.press("Shift+ArrowRight")
    keys.press("Shift+ArrowRight")
    chosen(opened, widget, ["p001", "p002", "p003"])
    keys.press("Escape")
    chosen(opened, widget, [])
    keys.press("End")
    opened.wait_for_selector("[aria-posinset='70'] .id")
    keys.press("Space")
    chosen(opened, widget, ["p069"])
    active = opened.locator(".box").get_attribute("aria-activedescendant")
    assert opened.locator(f"#{active}").get_attribute("aria-posinset") == "70"
    keys.press("Home")
    keys.press("ArrowDown")
    active = opened.locator(".box").get_attribute("aria-activedescendant")
    assert opened.locator(f"#{active}").get_attribute("aria-posinset") == "5"
    keys.press("Control+a")
    chosen(opened, widget, [f"p{n:03}" for n in range(70)])


def test_python_selects_and_texts_are_no_markup(opened, widget):
    opened.evaluate("model.fire('selected', [0, 2])")
    assert opened.locator("[aria-selected='true']").count() == 2
    opened.evaluate(
        "handlers['msg:custom'][0]({kind: 'rows', from: 3, rows: [{photo_id: '<img src=x onerror=alert(1)>',"
        " captions: ['<b>a</b>'], absent: '<i>', picture: null}]}, [])"
    )
    opened.evaluate("window.scrollTo(0, 0)")
    assert opened.locator(".cell b, .cell i").count() == 0


def test_a_screen_reader_is_told_everything(opened):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(opened, options={"runOnly": ["wcag2a", "wcag2aa"]})
    assert found.violations_count == 0, found.generate_report()
    option = opened.get_by_role("option", name="p000")
    assert option.get_attribute("aria-setsize") == "70"
    assert opened.get_by_role("status").inner_text() == "70 photos, 0 selected"


def test_nothing_is_left_when_the_output_is_removed(opened):
    opened.evaluate("window.end()")
    assert opened.evaluate("Object.values(handlers).flat().length") == 0
