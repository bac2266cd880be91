"""`features demo --network`, small: from logins to labels over the fake network."""

from __future__ import annotations

import pytest

from photogenic.app.demo.demo_network import run_network_demo
from photogenic.warehouse import InputError


@pytest.mark.slow
def test_everything_that_can_arrive_does(tmp_path, capsys):
    told = []
    findings = run_network_demo(tmp_path / "store", users=200, seed=3, tell=told.append)
    assert [finding.title for finding in findings] == ["Crawled", "Downloaded", "Labelled"]
    assert [finding.agrees for finding in findings] == [True, True, None]
    assert "Everything that could arrive did." in told[-2]
    assert "Labelled" in capsys.readouterr().out


def test_it_does_not_mix_its_people_with_yours(tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(InputError, match="is in use"):
        run_network_demo(tmp_path)
    with pytest.raises(InputError, match="--users is"):
        run_network_demo(tmp_path / "store", users=10)
