"""Every notebook of examples/ runs from top to bottom in a kernel, and shows what its text says."""

import json
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_outputs_are_kept(path):
    """Outputs hold pictures, and change with every run."""
    read = nbformat.read(path, as_version=4)
    nbformat.validate(read)
    assert [cell.get("outputs", []) for cell in read.cells if cell.cell_type == "code" and cell.outputs] == []
    assert all(cell.execution_count is None for cell in read.cells if cell.cell_type == "code")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a notebook in a kernel of this Python, and returns its cells."""
    from nbclient import NotebookClient

    (tmp_path / "kernels" / "here").mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (tmp_path / "kernels" / "here" / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "here", "language": "python"})
    )
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "TMPDIR"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    for name in ("FEATURES_STORE", "FEATURES_CONFIG", "FEATURES_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def ran(path):
        read = nbformat.read(path, as_version=4)
        NotebookClient(read, timeout=120, kernel_name="here", resources={"metadata": {"path": str(tmp_path)}}).execute()
        return read.cells

    return ran


def html(cell):
    return "".join(one.get("data", {}).get("text/html", "") for one in cell.outputs)


def test_the_tour_shows_bars_thumbnails_and_a_selection(run):
    cells = [cell for cell in run(ROOT / "examples" / "photogenic.ipynb") if cell.cell_type == "code"]
    by_start = {cell.source.splitlines()[0]: cell for cell in cells}
    assert "photogenic-progress" in html(by_start['report = store.build(encoders=["dlib_face"])'])
    shown = next(cell for cell in cells if "store.show(best, rows=3)" in cell.source)
    assert html(shown).count("<img src=") == 3
    similar = next(cell for cell in cells if "store.similar(" in cell.source)
    assert html(similar).count("<img src=") == 3
    widget = by_start["photos = store.browse(best)"].outputs[0].data
    assert "application/vnd.jupyter.widget-view+json" in widget
    assert html(by_start["photos.select([0, 2])"]).count("<img src=") == 2
    training = next(cell for cell in cells if "store.training_set(" in cell.source)
    assert training.outputs[0].data["text/plain"].startswith("((")
    assert not [one for cell in cells for one in cell.outputs if one.output_type == "error"]
    said = "".join(one.text for cell in cells for one in cell.outputs if one.output_type == "stream")
    assert "Warning" not in said, said
