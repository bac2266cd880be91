"""Foreign weights: their SHA-256 is checked before they are read, and they cannot run code."""

from __future__ import annotations

import ast
import hashlib
import io
import pickle
import zipfile
from pathlib import Path

import pytest

from photogenic.features.encoders import weights
from photogenic.features.encoders.registry import ENCODERS
from photogenic.features.encoders.weights import WEIGHTS, Weights
from photogenic.warehouse import WeightsError

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for room in ("app", "features", "ingest", "models", "warehouse") for path in (ROOT / room).rglob("*.py")
)


class Malice:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def archive(thing):
    """Write the object in the format of torch.save."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        made.writestr("archive/data.pkl", pickle.dumps(thing, protocol=2))
        made.writestr("archive/version", "3\n")
        made.writestr("archive/byteorder", "little")
    return target.getvalue()


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    tree = ast.parse(path.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"}
    for name, options in calls(tree):
        if name in ("torch.load", "load_state_dict_from_url"):
            assert options.get("weights_only") == "True"
        if name in ("np.load", "numpy.load"):
            assert options.get("allow_pickle", "False") == "False"
        assert name not in ("eval", "exec", "pl.DataFrame.deserialize")


def test_the_finder_finds():
    found = dict(calls(ast.parse("torch.load(p)\nnp.load(f, allow_pickle=True)")))
    assert found == {"torch.load": {}, "np.load": {"allow_pickle": "True"}}


@pytest.mark.parametrize("entry", WEIGHTS, ids=lambda entry: entry.name)
def test_a_file_that_would_run_code_is_refused_before_it_is_read(entry, tmp_path, monkeypatch):
    (tmp_path / entry.file).write_bytes(archive(Malice(tmp_path / "ran")))
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="is not the published"):
        weights.resolve(entry)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["alexnet_fc7", "inception_v3"])
def test_even_under_the_right_digest_no_code_runs(name, tmp_path):
    data = archive(Malice(tmp_path / "ran"))
    path = tmp_path / "network.pth"
    path.write_bytes(data)
    entry = Weights("mine", path.name, hashlib.sha256(data).hexdigest(), "none", path=path)
    assert weights.resolve(entry) == path
    with pytest.raises(ValueError, match="not a weight file") as caught:
        ENCODERS[name].backbone.build(path)
    assert isinstance(caught.value.__cause__, pickle.UnpicklingError)
    assert not (tmp_path / "ran").exists()


def test_the_malice_is_real(tmp_path):
    pickle.loads(pickle.dumps(Malice(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()
