"""Settings come from the environment or depend on the machine; invalid values are refused with a remedy."""

import pytest

from photogenic.warehouse import InputError, PhotogenicError, Settings, default_store
from photogenic.warehouse.duckdb_store.settings import check_environment


def test_environment_wins(monkeypatch):
    monkeypatch.setenv("FEATURES_MEMORY_LIMIT", "3GB")
    monkeypatch.setenv("FEATURES_THREADS", "5")
    monkeypatch.setenv("FEATURES_LOCK_TIMEOUT", "0.5")
    monkeypatch.setenv("FEATURES_STORE", "elsewhere")
    assert Settings.from_environment() == Settings("3GB", 5, 0.5)
    assert default_store().name == "elsewhere"


def test_defaults_fit_the_machine(monkeypatch):
    for name in ("FEATURES_MEMORY_LIMIT", "FEATURES_THREADS", "FEATURES_LOCK_TIMEOUT", "FEATURES_STORE"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings.from_environment()
    assert 1000 <= int(settings.memory_limit.removesuffix("MB")) <= 4000
    assert settings.threads >= 1
    assert default_store().name == "store"


WRONG = {
    "FEATURES_MEMORY_LIMIT": ["garbage", "0", "4", "1e9", "-1GB", "0GB", "-1", "none", "nanGB", "infGB", "1XB", "3GBs"],
    "FEATURES_THREADS": ["1.5", "0", "99999", "-1", "1e1", "abc", "\u0663", "9" * 5_000],
    "FEATURES_LOCK_TIMEOUT": ["nan", "inf", "-1", "soon", "1e400"],
    "FEATURES_GPU": ["yes"],
    "FEATURES_DEVICE": ["gpu please"],
    "FEATURES_MODULES": ["my module", "a,,1b"],
    "FEATURES_ENCODERS": ["my module", "a,,1b"],
    "FEATURES_WEIGHTS": [__file__],
    "FEATURES_TOKENS": [__file__],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_variable_is_named(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(InputError, match=name) as refused:
        check_environment()
    assert refused.value.expected
    assert refused.value.remedy == f"unset {name}"


@pytest.mark.parametrize("text", ["3GB", "500 MiB", "1.5gb", "4G", "10%", "3000000000B", ".5TB"])
def test_sizes_as_duckdb_reads_them(monkeypatch, text):
    import duckdb

    monkeypatch.setenv("FEATURES_MEMORY_LIMIT", text)
    with duckdb.connect(config={"memory_limit": check_environment().memory_limit}) as con:
        assert con.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("wrong", [{"memory_limit": "-1GB"}, {"threads": 0}, {"threads": 1.5}, {"lock_timeout_s": -1}])
def test_wrong_settings_of_a_program_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Settings(**{"memory_limit": "1GB", "threads": 1, **wrong})


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan"])
def test_bad_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("FEATURES_THREADS", text)
    with pytest.raises(InputError, match="unset FEATURES_THREADS"):
        Settings.from_environment()


def test_errors_speak_in_three_beats():
    assert str(PhotogenicError("It is 3.", "at most 2", "features help")) == (
        "It is 3.\nExpected: at most 2\nTry: features help"
    )


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("3GB", 3 * 10**9), ("500MiB", 500 * 2**20), ("1.5gb", 15 * 10**8), ("2000 KB", 2 * 10**6)]
)
def test_the_memory_limit_in_bytes(text, n_bytes):
    assert Settings(text, 1).memory_bytes == n_bytes


def test_a_share_of_the_memory_in_bytes():
    assert 2 * Settings("25%", 1).memory_bytes == pytest.approx(Settings("50%", 1).memory_bytes, abs=2)
