"""The digest changes with the code, and with nothing else."""

from __future__ import annotations

import functools
import importlib.util

import pytest

from photogenic.features.pictures.code_digest import code_digest

BASE = """
import functools

def outer(function):
    @functools.wraps(function)
    def inner(pixels):
        return function(pixels)
    return inner

SCALE = 2

def f(pixels, scale=SCALE):
    return {"x": pixels.mean() * scale}
"""


@pytest.fixture
def load(tmp_path):
    count = iter(range(100))

    def one(text, name="f"):
        path = tmp_path / f"m{next(count)}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return code_digest(getattr(module, name))

    return one


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("    return {", "    # a comment\n\n    return {"),
        BASE.replace("pixels, scale=SCALE", "pixels,\n      scale=SCALE"),
        BASE.replace("    return {", '    """A docstring."""\n    return {'),
        BASE.replace("def f", "@functools.lru_cache\ndef g(x): return x\n\ndef f"),
    ],
)
def test_what_does_not_change_it(load, text):
    assert load(text) == load(BASE)


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("* scale", "+ scale"),
        BASE.replace("SCALE = 2", "SCALE = 3"),
        BASE.replace('"x"', '"y"'),
        BASE.replace("def f", "@outer\ndef f"),
    ],
)
def test_what_changes_it(load, text):
    assert load(text) != load(BASE)


def test_what_it_wraps_counts(load):
    wrapped = BASE.replace("def f", "@outer\ndef f")
    assert load(wrapped) != load(wrapped.replace("* scale", "+ scale"))
    assert load(wrapped) != load(wrapped.replace("return function(pixels)", "return function(pixels[::2])"))


def test_arguments_and_closures_count():
    def make(n):
        return lambda pixels: pixels.mean() + n

    def power(pixels, exponent):
        return pixels.mean() ** exponent

    assert code_digest(make(1)) == code_digest(make(1)) != code_digest(make(2))
    two, three = (functools.partial(power, exponent=n) for n in (2, 3))
    assert code_digest(two) == code_digest(functools.partial(power, exponent=2)) != code_digest(three)


def test_code_without_a_source():
    def made(text):
        found = {}
        exec(text, found)
        return found["f"]

    one = "def f(pixels):\n    return {'x': sum(v for v in pixels)}"
    assert code_digest(made(one)) == code_digest(made(one)) != code_digest(made(one.replace("sum", "max")))
