"""Templates of the HTML files of this folder, with the styles that they share."""

from __future__ import annotations

from importlib.resources import files

from photogenic._lazy import jinja2

__all__ = ["page_template"]


def page_template(name: str) -> jinja2.Template:
    """Return a template of this folder; its variable `style` holds the styles."""
    folder = files("photogenic.app.report")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.globals["style"] = folder.joinpath("report.css").read_text(encoding="utf-8")
    return environment.from_string(folder.joinpath(name).read_text(encoding="utf-8"))
