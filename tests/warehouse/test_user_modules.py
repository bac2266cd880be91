"""Modules of the user's own: found by either variable, run once, and named where they are absent."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from photogenic.models.heads.registry import head
from photogenic.warehouse import EncoderError, InputError
from photogenic.warehouse.user_modules import (
    PROJECT_MODULE,
    import_user_modules,
    project_module,
    use_project_module,
    user_modules,
)


def test_both_variables_are_read_and_a_module_is_run_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("mine_new", "mine_old"):
        (tmp_path / f"{name}.py").write_text(f"with open({str(tmp_path / name)!r}, 'a') as file: file.write('x')\n")
    monkeypatch.setenv("FEATURES_MODULES", "mine_new, mine_old,")
    monkeypatch.setenv("FEATURES_ENCODERS", "mine_old")
    assert user_modules() == [("FEATURES_MODULES", "mine_new"), ("FEATURES_MODULES", "mine_old")]
    import_user_modules()
    import_user_modules()
    assert [(tmp_path / name).read_text() for name in ("mine_new", "mine_old")] == ["x", "x"]


@pytest.mark.parametrize("variable", ["FEATURES_MODULES", "FEATURES_ENCODERS"])
def test_an_absent_module_is_named_with_its_variable(monkeypatch, variable):
    for name in ("FEATURES_MODULES", "FEATURES_ENCODERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "no_such_module_at_all")
    with pytest.raises(InputError, match=f"{variable} names 'no_such_module_at_all'") as refused:
        import_user_modules()
    assert refused.value.remedy == "python -c 'import no_such_module_at_all'"
    with pytest.raises(EncoderError):
        import_user_modules(EncoderError)


@pytest.fixture
def code(tmp_path, monkeypatch):
    """The path of a project's Python, and nothing of it afterwards."""
    for name in ("FEATURES_MODULES", "FEATURES_ENCODERS"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "features.py"
    use_project_module(None)
    assert PROJECT_MODULE not in sys.modules


HEAD = """
import numpy as np
from photogenic.models.heads.base import Head
from photogenic.models.heads.registry import register_head

@register_head("{name}")
class Mine(Head):
    summary = "{name}"
"""


def test_the_python_of_a_project_runs_once_and_only_when_a_name_is_not_known(code):
    code.write_text(HEAD.format(name="mine") + f"with open({str(code.parent / 'ran')!r}, 'a') as f: f.write('x')\n")
    use_project_module(code)
    assert project_module() == code
    head("ridge")
    assert not (code.parent / "ran").exists()
    assert head("mine").summary == "mine"
    assert sys.modules[PROJECT_MODULE].Mine.__module__ == PROJECT_MODULE
    use_project_module(code)
    import_user_modules()
    assert (code.parent / "ran").read_text() == "x"


def test_a_changed_file_and_another_project_replace_what_was_registered(code):
    code.write_text(HEAD.format(name="mine"))
    use_project_module(code)
    first = head("mine")
    code.write_text(HEAD.format(name="mine").replace('"mine"\n', '"changed"\n'))
    os.utime(code, ns=(1, 1))
    use_project_module(code)
    assert head("mine") is not first
    assert head("mine").summary == "changed"
    other = code.with_name("other.py")
    other.write_text(HEAD.format(name="yours"))
    use_project_module(other)
    assert head("yours")
    with pytest.raises(InputError, match="'mine' is not a head"):
        head("mine")
    use_project_module(None)
    with pytest.raises(InputError, match="'yours' is not a head"):
        head("yours")


def test_python_that_may_not_run_says_so_once(code):
    code.write_text("raise SystemExit(3)")
    notes = []
    use_project_module(code, refusal="not allowed", note=notes.append)
    import_user_modules()
    import_user_modules()
    assert (notes, project_module()) == (["not allowed"], None)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("1 +\n", ":1", "SyntaxError"),
        ("\nimport no_such_module_at_all\n", ":2", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("def f():\n    return 1 / 0\nf()\n", ":2", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", ":2", "SystemExit: 3"),
        ("from photogenic.models.heads.registry import head\nhead('mine')", ":2", "InputError: 'mine' is not a head"),
    ],
)
def test_python_that_fails_names_its_line_and_registers_nothing(code, text, line, why):
    code.write_text(text)
    use_project_module(code)
    for kind in (InputError, EncoderError):
        with pytest.raises(kind, match=f"^{code}{line} cannot be imported: {why}"):
            import_user_modules(kind)


def test_what_a_failing_file_had_registered_is_taken_back(code):
    code.write_text(HEAD.format(name="half") + "1 / 0\n")
    use_project_module(code)
    with pytest.raises(InputError, match="ZeroDivisionError"):
        import_user_modules()
    code.write_text(HEAD.format(name="half"))
    use_project_module(code)
    assert head("half")


def test_two_threads_that_look_up_a_name_at_once_both_find_it(code):
    code.write_text("import time; time.sleep(0.2)\n" + HEAD.format(name="mine"))
    use_project_module(code)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(head, ["mine"] * 4))
    assert len({id(one) for one in found}) == 1
