"""Settings come from the environment, or fit the machine; nonsense is refused with a way out."""

import pytest

from warehouse import InputError, PhotogenicError, Settings, default_store


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


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan"])
def test_bad_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("FEATURES_THREADS", text)
    with pytest.raises(InputError, match="unset FEATURES_THREADS"):
        Settings.from_environment()


def test_errors_speak_in_three_beats():
    assert str(PhotogenicError("It is 3.", "at most 2", "features help")) == (
        "It is 3.\nExpected: at most 2\nTry: features help"
    )
