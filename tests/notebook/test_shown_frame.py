"""Frames with thumbnails: whose pictures they show, how much of them, and that no value becomes markup."""

import re
import sys
import types
from html.parser import HTMLParser

import pandas as pd
import polars as pl
import pytest
from IPython.core.formatters import DisplayFormatter

from photogenic import FeatureStore, notebook
from photogenic.features.images.thumbnails import read_or_make
from photogenic.notebook import shown_frame
from photogenic.warehouse import InputError, StoreError


class Seen(HTMLParser):
    """The tags, pictures and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.pictures, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag == "img":
            self.pictures.append(dict(attrs))

    def handle_data(self, data):
        self.texts.append(data)


def test_each_photo_has_its_own_thumbnail(pictured):
    import base64

    frame = pictured.sql("select photo_id, user_id from photos order by photo_id limit 3")
    seen = Seen(pictured.show(frame)._repr_html_())
    digests = dict(pictured.sql("select photo_id, sha256 from photos").iter_rows())
    assert [one["alt"] for one in seen.pictures] == ["photo p000", "photo p001", "photo p002"]
    for picture, photo_id in zip(seen.pictures, frame["photo_id"], strict=True):
        data = base64.b64decode(picture["src"].removeprefix("data:image/jpeg;base64,"))
        assert data == read_or_make(pictured.layout, digests[photo_id], "thumb")[0]
    assert "3 rows" in seen.texts
    assert repr(pictured.show(frame)) == repr(frame)


def test_what_has_no_picture_says_why(pictured):
    frame = pl.DataFrame({"photo_id": ["p068", "p069", "elsewhere", None], "n": [1, 2, 3, 4]})
    seen = Seen(notebook.show(pictured, frame)._repr_html_())
    assert seen.pictures == []
    said = " ".join(seen.texts)
    assert re.search(r"no picture: \w+ p068", said)
    assert re.search(r"no picture: \w+ p069", said)
    assert "no photo of this store elsewhere 3 null 4" in said


@pytest.mark.parametrize("kind", ["pandas", "arrow"])
def test_other_frames_are_shown_too(pictured, kind):
    frame = pl.DataFrame({"photo_id": ["p001"], "near_photo_id": ["p002"], "n": [1.5]})
    given = frame.to_pandas() if kind == "pandas" else frame.to_arrow()
    assert [one["alt"] for one in Seen(pictured.show(given)._repr_html_()).pictures] == ["photo p001", "photo p002"]


def test_no_value_becomes_markup(pictured):
    evil = "<script>alert(1)</script>\"' onerror='x"
    frame = pl.DataFrame(
        {
            "photo_id": [evil, "p001"],
            evil: [evil, None],
            "list": [[evil], None],
            "struct": [{"a": evil}, None],
            "bytes": [b"<b>", None],
            "huge": ["x" * 10_000, None],
        },
        strict=False,
    )
    text = pictured.show(frame)._repr_html_()
    seen = Seen(text)
    assert "script" not in seen.tags
    assert set(seen.tags) <= {
        "style",
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
        "br",
        "img",
    }
    assert evil in seen.texts
    assert "x" * 1_000 not in text


def test_the_table_is_bounded(pictured, monkeypatch):
    ids = pictured.sql("select photo_id from photos order by photo_id")
    frame = pl.concat([ids] * 20).with_columns(**{f"c{n}": pl.lit(n) for n in range(60)})
    text = pictured.show(frame)._repr_html_()
    seen = Seen(text)
    assert (seen.tags.count("tr"), seen.tags.count("th")) == (21, 40)
    assert "1,400 rows, of which the first 20 are shown" in "".join(seen.texts)
    assert "40 of 61 columns are shown" in "".join(seen.texts)
    monkeypatch.setattr(shown_frame, "_MOST_BYTES", 3_000)
    seen = Seen(pictured.show(ids)._repr_html_())
    assert 0 < len(seen.pictures) < 20
    assert any("no room" in one for one in seen.texts)
    assert Seen(pictured.show(ids, rows=0)._repr_html_()).pictures == []


@pytest.mark.parametrize(
    ("frame", "rows", "why"),
    [
        (pl.DataFrame({"a": ["p001"]}), 20, "no column of photo ids: it has a"),
        (pl.DataFrame({"photo_id": [1]}), 20, "no column of photo ids"),
        (pl.DataFrame(), 20, "it has no columns"),
        ([1, 2], 20, "A list cannot be shown"),
        (pd.DataFrame({"photo_id": [1, "a", {}]}), 20, "cannot be read"),
        (pl.DataFrame({"photo_id": ["p001"]}), 501, "rows is 501"),
        (pl.DataFrame({"photo_id": ["p001"]}), -1, "rows is -1"),
    ],
)
def test_what_cannot_be_shown_is_refused(pictured, frame, rows, why):
    with pytest.raises(InputError, match=why):
        pictured.show(frame, rows=rows)


def test_a_store_that_is_gone_says_so(tmp_path):
    with FeatureStore(tmp_path / "none") as empty, pytest.raises(StoreError, match="There is no store"):
        empty.show(pl.DataFrame({"photo_id": ["p001"]}))._repr_html_()


@pytest.fixture
def formatter(monkeypatch):
    """The formatter of a running IPython."""
    shell = types.SimpleNamespace(display_formatter=DisplayFormatter())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    return shell.display_formatter


def test_frames_are_shown_with_thumbnails_while_that_is_switched_on(pictured, formatter, tmp_path):
    frame = pictured.sql("select photo_id from photos order by photo_id limit 2")
    other = pl.DataFrame({"a": [1]})

    def shown(value):
        return formatter.format(value)[0]["text/html"]

    assert "<img" not in shown(frame)
    notebook.enable(pictured, rows=1)
    assert shown(frame).count("<img") == 1
    assert shown(other) == other._repr_html_()
    with FeatureStore(tmp_path / "none") as gone:
        notebook.enable(gone)
        assert shown(frame) == frame._repr_html_()
    notebook.disable()
    notebook.disable()
    assert "<img" not in shown(frame)


def test_without_ipython_the_switch_says_what_to_call(pictured, monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with pytest.raises(InputError, match="No IPython runs"):
        notebook.enable(pictured)
