"""Nothing that is logged says who it is about: the main commands with every logger at its most verbose, their stderr
and, where they print no data, their stdout, without ids of people and photos and without tokens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import re
import shutil
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from photogenic.synthetic.network import FakeNetwork, FakeWorld, Faults
from photogenic.synthetic.swipes.world import make_world
from tests.app.typed import typed

ROOT = Path(__file__).parents[3]
VERBOSE = (
    "import logging; logging.basicConfig(level=1, handlers=[logging._StderrHandler(1)]);"
    "from photogenic.app.cli.main import main; main()"
)
IDS = re.compile(r"(?<![0-9a-z])[up]\d{6}(?![0-9a-z])")
TOKEN = "a-token-that-only-requests-may-show"


@contextlib.asynccontextmanager
async def started(folder, *arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FEATURES_")}
    environment |= {"PYTHONPATH": str(ROOT), "FEATURES_STORE": str(folder / "store"), "PYTHONASYNCIODEBUG": "1"}
    environment |= {"FEATURES_TOKENS": str(folder / "tokens"), **variables}
    yield await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", VERBOSE, *arguments),
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def events(err):
    """stderr with structured logs: nothing else, and no name of a picture."""
    told = [json.loads(line) for line in err.splitlines()]
    assert all({"time", "level", "event", "command"} <= one.keys() for one in told)
    assert told[0]["event"] == "began"
    assert told[-1]["event"] == "ended"
    assert re.findall(r"\w+\.jpg", err) == []
    return told


def verbose(folder, *words):
    """A command with every logger at its most verbose; in a fork."""
    logging.basicConfig(level=1, handlers=[logging._StderrHandler(1)])
    typed(folder, *words)


@pytest.fixture(scope="session")
def said(forks):
    """A function: stdout and stderr of a command."""

    async def run(folder, *arguments, status=0, **variables):
        environment = {"FEATURES_STORE": str(folder / "store"), "FEATURES_TOKENS": str(folder / "tokens"), **variables}
        environment |= {"PYTHONASYNCIODEBUG": "1"}
        call = "tests.app.cli.test_log_privacy:verbose"
        ended = await asyncio.to_thread(forks.run, folder, *arguments, call=call, environment=environment)
        assert ended.code == status, ended.err
        return ended.out, ended.err

    return run


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quiet")
    made = make_world(folder, users=60, swipes=6_000, seed=1, picture_size=160)
    shutil.copy(made.images / "p000001.jpg", folder / "portrait.jpg")
    (folder / "bad.csv").write_text("sender_id,recipient_id,liked,swiped_at\nu000001,u000002,perhaps,2024-01-01\n")
    return made


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_commands_on_files(said, world, tmp_path):
    folder = world.images.parent
    swipes = sorted(path.name for path in folder.glob("swipes*"))
    commands = [
        ("ingest", "users", world.users.name),
        ("ingest", "photos", world.photos.name, "--images", world.images.name),
        ("ingest", "main-photos", world.main_photos.name),
        ("ingest", "swipes", *swipes, "bad.csv"),
        ("build", "--plan"),
        ("build", "--encoder", "dlib_face", "--neighbours", "3", "--near-duplicates"),
        ("train", "--encoder", "dlib_face", "--head", "ridge", "--head", "0fc", "--setup", "one_face"),
        ("predict", "portrait.jpg"),
        ("report",),
        ("status",),
        ("doctor", "--thorough"),
        ("erase", "u000005", "u000006", "--yes"),
        ("ingest", "users", "again.csv"),
        ("build", "--encoder", "dlib_face"),
        ("backup", "kept"),
        ("restore", "kept", "--replace", "--yes"),
    ]
    (folder / "again.csv").write_text(world.users.read_text() + "\n")
    stages = {}
    for command in commands:
        out, err = await said(folder, *command, FEATURES_LOG_FORMAT="json")
        assert IDS.findall(err) == [], command
        assert IDS.findall(out) == [], command
        ended = [one for one in events(err) if one["event"] == "stage ended"]
        assert all(one["seconds"] >= 0 and one["n"] >= 0 for one in ended)
        stages.setdefault(ended[0]["command"] if ended else command[0], set()).update(one["stage"] for one in ended)
    assert stages["build"] >= {"labels", "photos", "index dlib_face", "neighbours dlib_face"}
    assert stages["ingest swipes"] == {"swipes"}
    assert stages["backup"] == {"backup"}
    out, _ = await said(folder, "sql", "select command, stages from commands order by started_at", "--format", "json")
    assert IDS.findall(out) == []
    kept = [(row["command"], json.loads(row["stages"])) for row in json.loads(out)]
    names = ["ingest users", "ingest photos", "ingest main-photos", "ingest swipes", "build", "train", "erase"]
    assert [name for name, _ in kept][:7] == names
    assert {"labels", "photos", "index dlib_face"} <= kept[4][1].keys()
    for command in (("similar", "p000001"), ("sql", "select * from users"), ("predict",)):
        out, err = await said(folder, *command, FEATURES_LOG_FORMAT="json")
        assert IDS.search(out), "data, on stdout"
        assert IDS.findall(err) == [], command
        events(err)
    for command in (("erase", "u999999", "--yes"), ("ingest", "users", "absent.csv")):
        out, err = await said(folder, *command, status=1, FEATURES_LOG_FORMAT="json")
        assert IDS.findall(out + err) == [], command
        assert [one["event"] for one in events(err) if one["level"] == "error"] == ["error", "ended"]


@pytest.mark.slow
async def test_the_server(world, tmp_path):
    folder = world.images.parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with started(folder, "serve", "--port", str(port), "--token", TOKEN) as process:
        try:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
                for _ in range(300):
                    with contextlib.suppress(aiohttp.ClientConnectionError):
                        async with session.get("/api/v1/health") as answer:
                            if answer.status == 200:
                                break
                    await asyncio.sleep(0.2)
                swipes_db = [
                    ("GET", "/photos/p000001", None, 200),
                    ("GET", "/api/v1/photos/p000001", None, 200),
                    ("GET", "/api/v1/photos/p999999", None, 404),
                    ("POST", "/api/v1/similar", {"photo_id": "p000001", "k": 3}, 200),
                    ("POST", "/api/v1/sql", {"query": "select * from users where user_id = 'u000001'"}, 200),
                    ("POST", "/api/v1/sql", {"query": "select broken from users where user_id = 'u000001'"}, 400),
                ]
                for method, path, body, status in swipes_db:
                    async with session.request(method, path, json=body) as answer:
                        await answer.read()
                        assert answer.status == status, path
                async with session.get("/api/v1/photos/p000001", headers={"Authorization": "Bearer wrong"}) as answer:
                    assert answer.status == 401
        finally:
            process.terminate()
            out, err = (text.decode() for text in await process.communicate())
    assert "127.0.0.1" in out + err, "it says where it listens"
    assert IDS.findall(out + err) == []
    assert TOKEN not in out + err


@pytest.mark.slow
async def test_commands_on_a_network(said, tmp_path):
    world = FakeWorld.tiny(4, 5, random.Random(0))
    async with FakeNetwork(world, faults=Faults(rates={"http_404": 0.2, "http_500": 0.1})) as fake:
        api = ("--api", str(fake.base))
        secret = "the-secret-of-app-1000001"
        login = ("login", "--app-id", "1000001", "--port", "0", "--no-browser", *api, "--dialog", str(fake.base))
        async with started(tmp_path, *login, FEATURES_APP_SECRET=secret) as process:
            lines = []
            while not (line := (await process.stderr.readline()).decode()).startswith("Log in at "):
                lines.append(line)
            address = line.removeprefix("Log in at ").strip()
            async with aiohttp.ClientSession() as session, session.get(address) as answer:
                assert answer.status == 200
            out, err = (text.decode() for text in await process.communicate())
        told = "".join(lines) + out + err
        tokens = [token.secret for token in fake.office.tokens.values()]
        (tmp_path / "names.txt").write_text("\n".join([*world.accounts, "nobody_here"]))
        for command in (
            ("crawl", "instagram", "--usernames", "names.txt", *api),
            ("crawl", "instagram", "--usernames", "names.txt", "--refresh-days", "0", *api),
            ("fetch", "--allow-private", "--backoff-s", "0.01"),
            ("tokens",),
        ):
            out, err = await said(tmp_path, *command, FEATURES_APP_SECRET=secret)
            told += out + err
        rows, _ = await said(tmp_path, "sql", "select user_id, photo_id from photos", "--format", "json")
        ids = {value for row in json.loads(rows) for value in row.values()}
        assert len(ids) > 10
        words = set(
            re.findall(r"[\w.-]+", told)
        )  # the account `person_0` is another one than that of the login, `person_001`
        assert words & {*ids, *world.accounts} == set()
        assert [one for one in (*tokens, secret) if one in told] == []
