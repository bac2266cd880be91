"""The lazy module: a library is loaded when it is used, and behaves like the module that it stands for."""

import pickle
import subprocess
import sys

import pytest

from photogenic import _lazy
from photogenic._lazy import Image, pa, sklearn, torch


def test_nothing_is_loaded_before_it_is_used():
    program = "import sys, photogenic._lazy; print(*{'torch', 'duckdb', 'polars', 'pyarrow', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_name_stands_for_an_installed_module():
    for name in _lazy.__all__:
        assert getattr(_lazy, name).__name__
        assert dir(getattr(_lazy, name))


def test_a_submodule_that_the_library_does_not_load_is_imported():
    assert sklearn.svm.LinearSVC.__module__.startswith("sklearn")


def test_an_attribute_that_is_set_is_set_on_the_module(monkeypatch):
    import PIL.Image

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 17)
    assert PIL.Image.MAX_IMAGE_PIXELS == 17


def test_a_missing_attribute_is_named():
    with pytest.raises(AttributeError, match="'pyarrow' has no attribute 'nonsense'"):
        _ = pa.nonsense


def test_it_is_pickled_as_the_module():
    import torch as real

    assert pickle.loads(pickle.dumps(torch)) is real
