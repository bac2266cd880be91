"""The wheel, installed next to files of a user that have the names of our folders."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from photogenic.synthetic.swipes.world import make_world

ROOT = Path(__file__).parents[1]
THEIRS = ("app", "features", "ingest", "models", "sql", "tests", "warehouse")
SESSION = """
from photogenic import FeatureStore

with FeatureStore("store") as store:
    store.ingest_users("users.csv")
    store.build(encoders=["dlib_face"])
    store.sql("select * from gender_breakdown")
    rows = store.training_set("like_ratio", encoder="dlib_face", setup="one_face", split="train")
    assert rows.X.shape == (len(rows.photo_ids), 128)
    store.similar(rows.photo_ids[0], k=3, where="gender = 'female'")
    store.train(target="like_ratio", encoders=["dlib_face"], heads=["0fc", "1fc"], setup="one_face")
    store.predict(["portrait.jpg"])
"""
LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "store")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout; it is built in a copy, since setuptools writes next to its sources."""
    copy = tmp_path_factory.mktemp("checkout") / "photogenic"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OUT)
    out = copy.parent / "wheel"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, copy]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = out.glob("photogenic-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `bin` of a virtual environment that contains only the wheel; its libraries come from this environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    libraries = [entry for entry in sys.path if entry.endswith("site-packages")]
    (packages / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")
    # The same script as pip writes.
    script = folder / "bin" / "features"
    script.write_text(
        f"#!{folder}/bin/python\nimport sys\nfrom photogenic.app.cli.main import main\nsys.exit(main())\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    return folder / "bin"


@pytest.fixture
def run(installed, tmp_path):
    """A function that runs a command in a user's folder whose modules end the program if they are imported."""
    for name in THEIRS:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the user ran')\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(program, *arguments, **more):
        done = subprocess.run(
            [installed / program, *arguments],
            cwd=tmp_path,
            env=environment | {"FEATURES_THREADS": "1"} | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_files_of_a_new_project_are_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    folder = ROOT / "photogenic" / "config" / "template"
    files = {str(path.relative_to(ROOT)) for path in folder.rglob("*") if path.is_file()}
    assert len(files) >= 8
    assert files <= packed


def test_the_files_of_the_widget_are_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert {"photogenic/notebook/widget.js", "photogenic/notebook/widget.css"} <= set(archive.namelist())


def test_a_wheel_holds_one_top_level_name(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"photogenic"}


def test_a_wheel_holds_every_file_of_the_program(wheel):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    rooms = {entry.name for entry in (ROOT / "photogenic").iterdir() if entry.is_symlink()}
    expected = {f"photogenic/{path}" for path in listed if path.partition("/")[0] in rooms}
    with zipfile.ZipFile(wheel) as archive:
        missing = expected - set(archive.namelist())
    assert missing == set()


def test_python_runs_next_to_files_of_the_same_names(run, installed, tmp_path):
    (tmp_path / "swipes.csv").write_text(
        "sender_id,recipient_id,liked,swiped_at\na,b,1,2024-01-02\nb,a,0,2024-01-03\n", encoding="utf-8"
    )
    (tmp_path / "mine.py").write_text(
        "import photogenic\n"
        "from photogenic import FeatureStore\n"
        "store = FeatureStore('store')\n"
        "store.ingest_swipes('swipes.csv')\n"
        "store.build(only='labels')\n"
        "print(store.sql('select count(*) from swipes').item())\n"
        "print(photogenic.__file__)\n",
        encoding="utf-8",
    )
    n_swipes, where = run("python", "mine.py").splitlines()
    assert n_swipes == "2"
    assert Path(where).is_relative_to(installed.parent)


@pytest.mark.parametrize("beside", [{}, {"PYTHONPATH": "."}], ids=["in the folder", "with the folder in PYTHONPATH"])
def test_the_program_runs_next_to_files_of_the_same_names(run, tmp_path, beside):
    assert re.search(r"^ +build ", run("features", "--help", **beside), re.MULTILINE)
    (tmp_path / "users.csv").write_text("user_id,gender\na,female\n", encoding="utf-8")
    run("features", "ingest", "users", "users.csv", "--store", "store", **beside)
    query = ("sql", "select user_id, gender from users", "--format", "csv", "--store", "store")
    assert run("features", *query, **beside) == "user_id,gender\na,female\n"


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_a_session_in_python_runs_beside_files_of_the_same_names(run, tmp_path):
    world = make_world(tmp_path, users=60, swipes=12_000, seed=1, picture_size=160)
    shutil.copy(world.images / "p000001.jpg", tmp_path / "portrait.jpg")
    more = {"FEATURES_THREADS": "2", "FEATURES_STORE": "store"}
    for kind in ("users", "photos", "main-photos", "swipes"):
        images = ("--images", "images") if kind == "photos" else ()
        (file,) = tmp_path.glob(f"{kind.replace('-', '_')}.*")
        run("features", "ingest", kind, file.name, *images, **more)
    (tmp_path / "mine.py").write_text(SESSION, encoding="utf-8")
    run("python", "mine.py", **more)
