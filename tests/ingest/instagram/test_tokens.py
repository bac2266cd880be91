"""Tokens: readable by their owner only, used within their budgets and the network's limits."""

from __future__ import annotations

import pickle
import stat

import pytest

from photogenic.ingest.config import CrawlSettings
from photogenic.ingest.instagram.rate_headers import api_error, usage
from photogenic.ingest.instagram.token_pool import TokenPool
from photogenic.ingest.instagram.token_store import Secret, Token, Vault
from photogenic.warehouse import InputError, LockedError, NetworkError
from tests.ingest.network_store import START, JumpingClock

TEXT = "EAAB-the-secret-itself"


def token(key="a", **changes) -> Token:
    values = {"secret": Secret(f"{TEXT}-{key}"), "ig_user_id": f"1{key}", "username": f"person_{key}", "app_id": "app"}
    return Token(key=key, **(values | {"expires_at": None} | changes))


@pytest.fixture
def vault(tmp_path):
    return Vault(tmp_path / "vault")


def pool(vault, clock=None, **options):
    return TokenPool(
        vault, clock or JumpingClock(), **({"budget": 3, "window_s": 100, "longest_request_s": 10} | options)
    )


class Notes:
    def __init__(self):
        from photogenic.warehouse import no_progress

        self.stage, self.texts = no_progress.stage, []

    def note(self, text):
        self.texts.append(text)


def test_a_secret_is_never_printed():
    shown = [
        repr(Secret(TEXT)),
        str(Secret(TEXT)),
        f"{Secret(TEXT)}",
        repr(token()),
        repr([token()]),
        repr({Secret(TEXT)}),
    ]
    assert not any(TEXT in text for text in shown)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(token())
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(TEXT + "!")
    assert Secret(TEXT).reveal() == TEXT


def test_only_the_owner_may_read_the_vault(vault):
    vault.put(token())
    vault.put_app("app", Secret("app-secret"))
    vault.spend("a", START)
    assert stat.S_IMODE(vault.folder.stat().st_mode) == 0o700
    for path in ("tokens.json", "spent"):
        assert stat.S_IMODE((vault.folder / path).stat().st_mode) == 0o600
    assert vault.tokens() == [token()]
    assert vault.app("app") == Secret("app-secret")
    (vault.folder / "tokens.json").chmod(0o644)
    with pytest.raises(InputError, match="others than its owner") as caught:
        vault.tokens()
    assert caught.value.remedy.startswith("chmod 600")


def test_the_vault_folder_is_set_by_the_environment_and_is_never_in_the_store(monkeypatch, tmp_path):
    monkeypatch.setenv("FEATURES_TOKENS", str(tmp_path / "here"))
    assert Vault().folder == tmp_path / "here"
    monkeypatch.delenv("FEATURES_TOKENS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert Vault().folder == tmp_path / "data" / "photogenic" / "tokens"


def test_tokens_are_removed_and_replaced(vault):
    vault.put(token())
    vault.put(token(secret=Secret("new")))
    assert [t.secret.reveal() for t in vault.tokens()] == ["new"]
    assert vault.forget("a")
    assert not vault.forget("a")
    assert vault.tokens() == []


def test_one_crawl_uses_the_tokens_at_a_time(vault):
    with vault.in_use(), pytest.raises(LockedError), vault.in_use():
        pass


async def test_requests_use_the_token_with_the_largest_budget(vault):
    for key in "ab":
        vault.put(token(key))
    vault.spend("a", START - 50)
    leased = [(await pool_.lease()).key for pool_ in [pool(vault)] for _ in range(3)]
    assert leased == ["b", "b", "a"] or leased == ["b", "a", "b"]


async def test_the_budget_is_a_rolling_window_and_the_wait_is_announced(vault):
    vault.put(token())
    clock, notes = JumpingClock(), Notes()
    tokens = pool(vault, clock, progress=notes)
    instants = []
    for _ in range(7):
        await tokens.lease()
        instants.append(clock.now() - START)
    assert instants == [0, 0, 0, 110, 110, 110, 220]
    assert notes.texts[0] == "All 1 tokens rest; on at 2023-11-14 22:15:10 UTC."
    assert len(notes.texts) == 2


async def test_budgets_survive_a_restart(vault):
    vault.put(token())
    clock = JumpingClock()
    first = pool(vault, clock)
    for _ in range(3):
        await first.lease()
    again = pool(vault, clock)
    assert again.statuses()[0].left == 0
    await again.lease()
    assert clock.now() == START + 110
    clock.at += 1000
    assert pool(vault, clock).statuses()[0].left == 3
    vault.forget_spent(clock.now() - 110)
    assert (vault.folder / "spent").read_text() == ""


async def test_the_networks_count_only_lowers_the_budget(vault):
    vault.put(token())
    tokens = pool(vault, budget=100)
    leased = await tokens.lease()
    tokens.observe(leased, {"X-App-Usage": '{"call_count": 60, "total_time": 70, "total_cputime": 2}'})
    assert tokens.statuses()[0].left == 30
    tokens.observe(leased, {"X-App-Usage": '{"call_count": 1}'})
    assert tokens.statuses()[0].left == 30


async def test_a_token_is_paused_as_long_as_the_network_asks(vault):
    vault.put(token())
    clock = JumpingClock()
    tokens = pool(vault, clock)
    business = '{"17841": [{"type": "instagram", "call_count": 12, "estimated_time_to_regain_access": 19}]}'
    tokens.observe(await tokens.lease(), {"X-Business-Use-Case-Usage": business})
    assert tokens.statuses()[0].state == "parked"
    await tokens.lease()
    assert clock.now() == START + 19 * 60
    assert vault.tokens()[0].parked_until == START + 19 * 60


async def test_a_whole_app_can_be_paused(vault):
    for key, app in [("a", "one"), ("b", "one"), ("c", "two")]:
        vault.put(token(key, app_id=app))
    tokens = pool(vault)
    tokens.pause(token("a", app_id="one"), START + 60, whole_app=True)
    assert [s.state for s in tokens.statuses()] == ["parked", "parked", "ready"]


async def test_expired_and_dropped_tokens_end_the_pool(vault):
    vault.put(token("a", expires_at=START - 1))
    vault.put(token("b"))
    notes = Notes()
    tokens = pool(vault, progress=notes)
    leased = await tokens.lease()
    assert leased.key == "b"
    tokens.drop(leased, "revoked")
    assert notes.texts == ["Token b (person_b) is revoked and no longer used."]
    with pytest.raises(NetworkError, match="person_a: expired, person_b: revoked") as caught:
        await tokens.lease()
    assert caught.value.remedy == "features login --app-id ID"
    assert [t.state for t in vault.tokens()] == ["expired", "revoked"]
    with pytest.raises(NetworkError, match="There is no token"):
        await pool(Vault(vault.folder / "empty")).lease()


async def test_a_token_may_be_avoided(vault):
    vault.put(token("a"))
    assert await pool(vault).lease(avoid=frozenset("a")) is None


@pytest.mark.parametrize("wrong", [{"budget": 0}, {"window_s": -1}, {"max_posts": 0}])
def test_settings_are_positive(wrong):
    with pytest.raises(InputError, match="number from"):
        CrawlSettings(**wrong)


@pytest.mark.parametrize("text", [None, "", "nonsense", "[1]", '{"call_count": "x"}', '{"x": [1]}', '{"x": {"y": 1}}'])
def test_invalid_usage_headers_are_ignored(text):
    headers = {} if text is None else {"X-App-Usage": text, "X-Business-Use-Case-Usage": text}
    assert (usage(headers).percent, usage(headers).regain_s) == (0, 0)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"error": {"code": 4}}, "app_rate"),
        *((400, {"error": {"code": code}}, "rate") for code in (17, 32, 613, 80002)),
        (429, None, "rate"),
        (401, {"error": {"code": 190, "error_subcode": 463}}, "token"),
        (403, {"error": {"code": 10}}, "permission"),
        (403, {"error": {"code": 200}}, "permission"),
        (400, {"error": {"code": 100}}, "unknown"),
        (400, {"error": {"code": 110, "error_subcode": 2207013}}, "unknown"),
        (500, {"error": {"code": 2}}, "passing"),
        (400, {"error": {"code": 999, "is_transient": True}}, "passing"),
        (502, None, "passing"),
        (200, None, "passing"),
        (400, {"error": {"code": 999}}, "other"),
        (404, None, "other"),
    ],
)
def test_error_codes_have_a_kind(status, body, kind):
    assert api_error(status, body).kind == kind


def test_a_valid_answer_has_no_error():
    assert api_error(200, {"data": []}) is None
