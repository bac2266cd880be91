"""deploy/install.py and the lock files: what each environment gets."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from photogenic.features.faces.detector import LIBRARIES

ROOT = Path(__file__).parents[2]
RUNTIME = (ROOT / "requirements-runtime.lock").read_text(encoding="utf-8")
WHOLE = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CPU = (ROOT / "requirements-cpu.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "deploy" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


install = load("install")


def pins(lock):
    return {block.split(" ")[0].split("\n")[0] for block in install.blocks(lock)}


def names(requirements):
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def test_both_lock_files_have_the_same_versions_of_what_they_share():
    assert pins(RUNTIME) < pins(WHOLE)


def test_the_program_needs_no_package_of_tests_or_spark():
    added = {pin.split("==")[0] for pin in pins(WHOLE) - pins(RUNTIME)}
    assert {"pytest", "mypy", "pyspark", "playwright", "mkdocs-material"} <= added


def test_every_dependency_is_in_its_lock_file():
    locked = {pin.split("==")[0] for pin in pins(RUNTIME)}
    assert names(PROJECT["dependencies"]) <= locked
    assert names(PROJECT["optional-dependencies"]["dev"]) <= {pin.split("==")[0] for pin in pins(WHOLE)}


def test_the_lock_file_for_the_cpu_is_made_from_that_of_the_program():
    assert re.sub(r"^#.*\n", "", CPU, flags=re.MULTILINE) == install.cpu_lock(RUNTIME)


def test_for_the_cpu_nothing_of_a_gpu_is_left_and_faiss_is_for_every_machine():
    left = {pin.split("==")[0] for pin in pins(CPU)}
    assert not {name for name in left if name.startswith(("nvidia-", "cuda-"))}
    assert not left & {"torch", "torchvision", "triton", "faiss-gpu"}
    assert re.search(r"^faiss-cpu==[\d.]+ \\$", CPU, re.MULTILINE)
    assert {pin.split("==")[0] for pin in pins(RUNTIME)} - left == {
        name
        for name in (pin.split("==")[0] for pin in pins(RUNTIME))
        if name.startswith(("nvidia-", "cuda-")) or name in {"torch", "torchvision", "triton", "faiss-gpu"}
    }


def test_torch_for_the_cpu_has_the_version_of_the_lock_file():
    assert [pin.partition("+")[0] for pin in install.torch_pins(RUNTIME)] == sorted(
        pin for pin in pins(RUNTIME) if pin.startswith(("torch==", "torchvision=="))
    )


def test_the_installation_looks_for_the_system_libraries_that_the_program_needs():
    assert install.LIBRARIES == LIBRARIES


def test_pip_s_error_is_shown_and_ends_the_installation(capfd):
    with pytest.raises(SystemExit, match="pip failed"):
        install.pip_install("--no-index", "--find-links", "/nonexistent", "there-is-no-such-package==1", gigabytes=1)
    shown = capfd.readouterr()
    assert "No matching distribution found for there-is-no-such-package==1" in shown.out + shown.err


def test_a_full_disk_is_told_before_anything_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**9}))
    with pytest.raises(SystemExit, match=r"has 1\.0 GB free"):
        install.check_disk(tmp_path, 8.6)
    install.check_disk(tmp_path, 0.9)


def test_outside_of_an_environment_nothing_is_installed():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, runpy; sys.prefix = sys.base_prefix; sys.argv = ['install.py', 'x.lock'];"
         f" runpy.run_path({str(ROOT / 'deploy' / 'install.py')!r}, run_name='__main__')"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "is not in a virtual environment" in done.stderr


def test_the_image_and_the_compose_file_have_the_version_of_the_project():
    compose = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    guide = (ROOT / "docs" / "guides" / "deploy.md").read_text(encoding="utf-8")
    assert set(re.findall(r"photogenic:([\d.]+\d)", compose + guide)) == {PROJECT["version"]}
    assert f"\n## {PROJECT['version']} - " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_health_is_an_exit_code(capsys, monkeypatch):
    health = load("health")
    monkeypatch.setattr(sys, "argv", ["health.py", "1"])
    assert health.main() == 1
    assert "does not answer at port 1" in capsys.readouterr().err


def test_the_nightly_job_fails_where_its_folder_is_not_there(tmp_path):
    script = ["sh", ROOT / "deploy" / "nightly.sh", tmp_path / "not-mounted"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, "Is its disk mounted?" in done.stderr) == (1, True)
