"""A folder of modules named like those of Python, of this program and of installed packages: none of them runs."""

import asyncio
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.sql_sandbox.pool import Sandbox
from photogenic.features.compute.process_pool import PreprocessorPool
from photogenic.ingest.download.writer_process import WriterProcess
from photogenic.warehouse import Layout
from photogenic.warehouse.processes import launch

pytestmark = pytest.mark.slow

ROOMS = ("app", "features", "ingest", "models", "sql", "warehouse")
NAMES = {*sys.stdlib_module_names, *packages_distributions(), *ROOMS, "sitecustomize", "usercustomize", "tests"}
YOURS = """
from photogenic.features.encoders import Encoder, encoder, register
register(Encoder("mine", encoder("alexnet_fc7").backbone, "fc7", 4096, "cosine", "", ""))
"""
FEATURES = Path(sys.executable).with_name("features")


def shadows(folder, names):
    """Modules that leave a mark when they run. Returns what reads the marks."""
    marks = folder / "I_RAN"
    folder.mkdir()
    for name in names:
        text = f"with open({str(marks)!r}, 'a') as marks: marks.write({name!r} + ' ')\nraise SystemExit(3)\n"
        if name.isidentifier():
            (folder / f"{name}.py").write_text(text)
    return lambda: marks.read_text() if marks.exists() else ""


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """One types in such a folder, and a project has it in $PYTHONPATH; this process knows it, too."""
    folder = tmp_path / "typed_in"
    ran = shadows(folder, NAMES)
    (folder / "mycol.py").write_text(YOURS)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    return ran


async def test_the_cage_of_sql_runs_none_of_them(ran, swipes_db):
    sandbox = Sandbox(swipes_db.layout.root.absolute(), Limits(sql_at_once=1), 1)
    try:
        await sandbox.start()
        assert b'"rows":[[1]]' in await sandbox.rows("select 1", 1)
        assert b"PAR1" in b"".join([part async for part in sandbox.export("select 1", "parquet")])
    finally:
        await sandbox.close()
    assert ran() == ""


async def test_the_process_beside_downloads_runs_none_of_them(ran, tmp_path):
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    with WriterProcess(Layout(tmp_path / "store"), incoming, 10**6) as process:
        async with asyncio.timeout(30):
            while not process.accepts(1):
                await asyncio.sleep(0.01)
        assert await process.write([b"no picture"]) is None
    assert ran() == ""


def test_processes_that_prepare_photos_run_none_of_them(ran, tmp_path):
    with PreprocessorPool(Layout(tmp_path / "store"), None, {}, batch=1, n=1, n_slots=1) as prepare:
        assert prepare([]).detections == []
    assert ran() == ""


def test_pip_runs_none_of_them(ran):
    done = subprocess.run(
        launch.python_command("pip", "--version"),
        env=launch.child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("pip ") or "No module named pip" in done.stderr
    assert ran() == ""


def test_only_children_that_load_modules_of_yours_find_them(ran):
    code = [launch.python_command("mycol"), launch.python_command("mycol", of_user=True)]
    cage, loading = (
        subprocess.run(one, env=launch.child_environment(), capture_output=True, text=True, check=False) for one in code
    )
    assert "No module named mycol" in cage.stderr
    assert loading.returncode == 0, loading.stderr
    assert ran() == ""


@pytest.mark.parametrize("pythonpath", [".", None, ""], ids=["a project's", "none", "empty"])
def test_the_program_runs_none_of_them_and_finds_your_encoders(tmp_path, pythonpath):
    # A module named like one that Python loads before the program runs earlier than any of our code.
    # So does one that it only tries to load, such as `_winapi`; the list of import times has both.
    first = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import re, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    tried = (line.rpartition("|")[2] for line in first.stderr.splitlines())
    early = {name.strip().partition(".")[0] for name in (*first.stdout.split(), *tried)}
    folder = tmp_path / "typed_in"
    ran = shadows(folder, NAMES - early - {"photogenic", "sitecustomize", "usercustomize"})
    (folder / "mycol.py").write_text(YOURS)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"FEATURES_ENCODERS": "mycol"} if pythonpath is not None else {}
    environment |= {"PYTHONPATH": pythonpath} if pythonpath is not None else {}
    done = subprocess.run(
        [FEATURES, "encoders", "--format", "csv"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran() == ""
    if pythonpath == "":  # Python takes an empty one for none
        assert "FEATURES_ENCODERS names 'mycol'" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert ("\nmine," in done.stdout) == (pythonpath is not None)
