"""Modules of the user's own: found by either variable, run once, and named where they are absent."""

import pytest

from photogenic.warehouse import EncoderError, InputError
from photogenic.warehouse.user_modules import import_user_modules, user_modules


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
