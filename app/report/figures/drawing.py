"""Figures of panels in one style, as SVG in the text color of the page around it, or as PNG on white.

The colors can be distinguished by color-blind people (after Okabe & Ito), and have contrast to white and to black. Ink
becomes `currentColor` in SVG. No global state of matplotlib is used, so that threads can draw at the same time.

Source: Okabe & Ito 2008, Color Universal Design.
"""

from __future__ import annotations

import io
import threading
from typing import Any
from xml.etree import ElementTree

from photogenic._lazy import matplotlib

__all__ = ["COLORS", "DIM", "INK", "LINE", "MARKERS", "RAMP", "key", "panels", "png", "svg", "titled"]

INK, DIM, LINE = "#1f2328", "#62676e", "#d9dbdd"
COLORS = ("#1f7fb8", "#d06a0b", "#12946f", "#b5599c", "#8a7a12", "#6f74c9")
MARKERS = ("o", "s", "^", "D", "v", "P")
RAMP = "cividis"
"""Color map from low to high, uniform for color-blind people and in gray."""

_FONT = 9.0
_PAGE_WIDTH, _WIDEST = 11.4, 5.0
"""Width of a page, and largest width of a panel, in inches."""
_PAGE = {INK: 1.0, DIM: 0.68, LINE: 0.2}
"""Color of ink -> its opacity on a page."""
_DRAWING = threading.Lock()
"""Lock for saving, because the settings of file formats are global in matplotlib."""


def panels(
    rows: int, columns: int, *, width: float | None = None, height: float = 2.5, **shared: Any
) -> tuple[matplotlib.figure.Figure, list[list[matplotlib.axes.Axes]]]:
    """Make a figure of `rows` x `columns` panels.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        width: Width of a panel in inches. Default: the columns fill a page, up to a largest width.
        height: Height of a panel in inches.
        shared: Options sharex and sharey of matplotlib.
    """
    width = min(_PAGE_WIDTH / columns, _WIDEST) if width is None else width
    figure = matplotlib.figure.Figure(figsize=(width * columns, height * rows + 0.35), layout="constrained")
    made = figure.subplots(rows, columns, squeeze=False, **shared)
    for axes in made.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(LINE)
        axes.tick_params(colors=DIM, labelsize=_FONT - 1, length=0)
        axes.grid(color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        for axis in (axes.xaxis, axes.yaxis):
            axis.label.set(fontsize=_FONT, color=DIM)
    return figure, made.tolist()


def titled(panel: matplotlib.axes.Axes, title: str) -> None:
    """Set the title above the panel, aligned left."""
    panel.set_title(title, fontsize=_FONT + 0.5, fontweight="bold", color=INK, loc="left")


def key(figure: matplotlib.figure.Figure, entries: list[tuple[str, dict[str, Any]]]) -> None:
    """Draw one legend above all panels; entries are (name, properties of the line)."""
    lines = [matplotlib.lines.Line2D([], [], **({"color": INK} | looks)) for _, looks in entries]
    names = [name for name, _ in entries]
    figure.legend(
        lines,
        names,
        loc="outside upper left",
        ncols=min(6, len(names)),
        frameon=False,
        fontsize=_FONT,
        labelcolor=INK,
        handlelength=1.6,
        columnspacing=1.4,
    )


def svg(figure: matplotlib.figure.Figure, says: str) -> str:
    """Return an `<svg>` to embed in a page, without styles and without ids that could collide with others.

    Args:
        figure: Figure made by `panels`.
        says: Description of the figure for screen readers.
    """
    root = ElementTree.fromstring(_saved(figure, "svg", salt=says).decode())  # noqa: S314  written by matplotlib
    for parent in list(root.iter()):
        for child in list(parent):
            if _name(child) in ("metadata", "style"):
                parent.remove(child)
    parts = list(root.iter())
    linked = {
        value.removeprefix("url(").strip("#)") for part in parts for value in part.attrib.values() if "#" in value
    }
    for part in parts:
        part.tag = _name(part)
        looks = dict(pair.split(": ", 1) for pair in part.attrib.pop("style", "").split("; ") if pair)
        looks.pop("font-family", None)
        for name, value in sorted(looks.items(), key=lambda pair: pair[1] in _PAGE):  # opacities of ink are set last
            part.set(name, "currentColor" if value in _PAGE else value)
            if value in _PAGE and name in ("fill", "stroke"):
                part.set(f"{name}-opacity", f"{_PAGE[value] * float(looks.get(f'{name}-opacity', 1)):.3g}")
        if part.get("id") not in linked:
            part.attrib.pop("id", None)
        for name in [name for name in part.attrib if name.endswith("}href")]:
            part.set("href", part.attrib.pop(name))
    width, height = figure.get_size_inches() * 96
    root.attrib = {"viewBox": root.attrib["viewBox"], "width": f"{width:.0f}", "height": f"{height:.0f}"}
    root.attrib |= {"class": "plot", "role": "img", "aria-label": says, "stroke-linejoin": "round"}
    return ElementTree.tostring(root, encoding="unicode")


def png(figure: matplotlib.figure.Figure) -> bytes:
    """Return a PNG on white with 192 dots per inch."""
    return _saved(figure, "png")


def _saved(figure: matplotlib.figure.Figure, form: str, *, salt: str = "") -> bytes:

    for text in figure.findobj(matplotlib.text.Text):  # names are user data: no formulas and no control characters
        if isinstance(text, matplotlib.text.Text):
            text.set_parse_math(False)
            text.set_text("".join(c if c.isprintable() or c == "\n" else " " for c in text.get_text()))
    buffer = io.BytesIO()
    with _DRAWING, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        if form == "svg":
            figure.savefig(buffer, format=form, metadata={"Date": None}, transparent=True)
        else:
            figure.savefig(buffer, format=form, dpi=192, facecolor="white")
    return buffer.getvalue()


def _name(part: ElementTree.Element) -> str:
    return part.tag.rpartition("}")[2]
