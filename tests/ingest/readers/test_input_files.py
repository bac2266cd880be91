"""Input files: unusual names, globs, stdin, pipes. Printed and stored names are one line of UTF-8."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from photogenic.ingest.readers import input_files
from photogenic.ingest.readers.input_files import printable_name, shell_quoted
from photogenic.warehouse import InputError, StoreError
from tests.ingest.ingest_store import SWIPES, StoreWithFiles

ROOT = Path(__file__).parents[3]
USERS = b"user_id,gender\na,f\nb,bad\n"


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def parquet_of(rows):
    sink = io.BytesIO()
    pq.write_table(pa.table({"user_id": [row[0] for row in rows], "gender": [row[1] for row in rows]}), sink)
    return sink.getvalue()


def csv_of(rows):
    return b"user_id,gender\n" + b"".join(b"%s,%s\n" % (user.encode(), gender.encode()) for user, gender in rows)


def ndjson_of(rows):
    return b"".join(b'{"user_id": "%s", "gender": "%s"}\n' % (user.encode(), gender.encode()) for user, gender in rows)


FORMS = {".csv": csv_of, ".ndjson": ndjson_of, ".parquet": parquet_of}
FAMILY = "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 é"
NAMES = {
    b"caf\xe9": "caf\\xe9",
    b"\xff\xfe[1]*?": "\\xff\\xfe[1]*?",
    b"two\nlines": "two\\nlines",
    b"\x1b[2J'quoted\"": "\\x1b[2J'quoted\"",
    b"[x]*?{y}\\z": "[x]*?{y}\\z",
    b"-dash": "-dash",
    FAMILY.encode(): FAMILY,
    b"a=b%20c#d": "a=b%20c#d",
    b"x" * 240: "x" * 240,
}


@pytest.mark.parametrize("form", FORMS)
def test_files_of_any_name_are_read_and_their_names_are_utf8(store, form):
    paths = [store.folder / os.fsdecode(name + form.encode()) for name in NAMES]
    for number, path in enumerate(paths):
        path.write_bytes(FORMS[form]([(f"a{number}", "f"), (f"b{number}", "bad")]))
    accounts = store.take("users", *paths)
    expected = [f"{store.folder}/{name}{form}" for name in NAMES.values()]
    assert [account.source for account in accounts] == expected
    for account in accounts:
        assert (account.n_new, account.refused) == (1, {"bad_gender": 1})
        assert str(account).encode().decode().splitlines() == [str(account)]
    assert {source for (source,) in store.rows("select source from facts.ingests")} == set(expected)
    assert {source for (source,) in store.rows("select source from facts.rejects")} == set(expected)


def test_globs_and_folders_whose_names_are_not_utf8_or_hold_glob_characters(store):
    for folder in (b"caf\xe9", b"a[1]", b"plain"):
        (store.folder / os.fsdecode(folder)).mkdir()
        (store.folder / os.fsdecode(folder) / os.fsdecode(b"\xe9.csv")).write_bytes(
            b"user_id\n" + folder.hex().encode()
        )
    accounts = store.take("users", *(store.folder / name for name in ("c*/*.csv", "a[1]/*.csv", "plain/*.csv")))
    assert [account.source.removeprefix(f"{store.folder}/") for account in accounts] == [
        "caf\\xe9/\\xe9.csv",
        "a[1]/\\xe9.csv",
        "plain/\\xe9.csv",
    ]
    [account] = store.take("users", store.folder / os.fsdecode(b"caf\xe9"))
    assert (account.source.removeprefix(f"{store.folder}/"), account.n_known) == ("caf\\xe9/\\xe9.csv", 1)
    (store.folder / os.fsdecode(b"n\xe9ant")).mkdir()
    with pytest.raises(InputError, match=r"n\\xe9ant holds no file") as caught:
        store.take("users", store.folder / os.fsdecode(b"n\xe9ant"))
    str(caught.value).encode()


def test_pictures_beside_a_list_in_a_folder_whose_name_is_not_utf8(store):
    from PIL import Image

    folder = store.folder / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    Image.effect_noise((40, 40), 80).convert("RGB").save(folder / "p.jpg")
    (folder / "photos.csv").write_text("photo_id,user_id,path\np,a,p.jpg\n")
    [account] = store.take("photos", folder / "photos.csv")
    assert account.n_found == 1


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "a/" * 3000, "nul\0", os.fsdecode(b"no\xff"), "no[1].csv", ""])
def test_names_of_missing_files_are_refused_in_utf8(store, name):
    with pytest.raises(InputError) as caught:
        store.take("users", f"{store.folder}/there is/{name}")
    str(caught.value).encode()


def test_a_remedy_can_be_pasted():
    for name in NAMES:
        text = os.fsdecode(name)
        done = subprocess.run(["bash", "-c", f"printf %s {shell_quoted(text)}"], capture_output=True, check=True)
        assert done.stdout == name
    assert (printable_name("a\tb"), printable_name("é b")) == ("a\\tb", "é b")


def test_stdin_and_pipes_at_the_command_line(tmp_path):
    file, end = tmp_path / "u.csv", f"--store {tmp_path}/store"
    file.write_bytes(USERS)
    ingest = f"{sys.executable} -c 'from photogenic.app.cli.main import main; main()' ingest users"
    script = f"{ingest} - {end} < {file}; {ingest} <(cat {file}) {file} {end}; {ingest} - {end} <&-"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    first, *others = done.stdout.splitlines()
    assert first == "stdin: 2 read = 1 new + 0 corrected + 0 retracted + 0 known + 1 refused (bad_gender 1)"
    assert [line.rpartition(": ")[2] for line in others[:2]] == ["taken in before, nothing to do"] * 2
    assert others[0].startswith("/dev/fd/")
    assert "Traceback" not in done.stderr
    assert "stdin is empty." in done.stderr.splitlines()


@pytest.mark.parametrize(("name", "form"), [("-", ".csv"), ("/dev/stdin", ".ndjson"), ("/dev/fd/0", ".parquet")])
def test_stdin_is_read_in_every_format(store, monkeypatch, name, form):
    data = FORMS[form]([("a", "f"), ("b", "bad")])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    [account] = store.take("users", name, name)
    assert (account.source, account.n_new, account.refused) == ("stdin", 1, {"bad_gender": 1})
    assert store.rows("select distinct source from facts.rejects") == [("stdin",)]
    assert not list(store.db.layout.spill.glob("*"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert store.take("users", name)[0].repeated


KINDS = {
    "photos": "photo_id,user_id,set_at\np,a,2024-01-01\n",
    "main_photos": "user_id,photo_id,set_at\na,p,2024-01-01\n",
    "swipes": SWIPES + "a,b,1,2024-01-01\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_from_a_named_pipe(store, kind):
    pipe = store.folder / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(KINDS[kind],))
    writer.start()
    [account] = store.take(kind, pipe)
    writer.join()
    assert (account.source, account.n_new) == (str(pipe), 1)


def test_a_terminal_a_device_and_a_full_disk_are_errors_with_a_remedy(store, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(closed=False, isatty=lambda: True))
    with pytest.raises(InputError, match="stdin is a terminal") as caught:
        store.take("users", "-")
    assert caught.value.remedy == "features ingest users - < USERS.csv"
    for data, message in {b"PK\0\0\0\0": "stdin has an unknown format", b"": "stdin is empty"}.items():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        with pytest.raises(InputError, match=message):
            store.take("users", "-")
    with pytest.raises(InputError, match="/dev/null is a device"):
        store.take("users", "/dev/null")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(input_files.tempfile, "mkstemp", full)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(USERS)))
    with pytest.raises(StoreError, match="No space left"):
        store.take("users", "-")
    assert not store.db.layout.warehouse.exists()


def test_a_working_folder_that_was_removed(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    (tmp_path / "u.csv").write_bytes(USERS)
    path = f'import sys; sys.path.insert(0, "{ROOT}")'
    main = f"{sys.executable} -c '{path}; from photogenic.app.cli.main import main; main()' ingest"
    end = f"--store {tmp_path}/store"
    script = f"""
        cd {gone}; rmdir {gone}
        {main} users {tmp_path}/u.csv {end}; {main} users '*.csv' {end}
        echo 'photo_id,user_id' | {main} photos - {end}
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{tmp_path}/u.csv: 2 read = 1 new")
    assert "Traceback" not in done.stderr
    assert "No file matches '*.csv'" in done.stderr
    assert "the working folder, which was removed" in done.stderr
