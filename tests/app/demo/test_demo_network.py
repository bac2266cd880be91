"""`features demo --network` with a small world: from logins to labels with the simulated network."""

from __future__ import annotations

import pytest

from photogenic.app.demo.demo_network import run_network_demo
from photogenic.warehouse import InputError


@pytest.mark.slow
def test_everything_that_can_be_downloaded_is_downloaded(tmp_path, capsys):
    lines = []
    findings = run_network_demo(tmp_path / "store", users=200, seed=3, print_line=lines.append)
    assert [finding.title for finding in findings] == ["Crawled", "Downloaded", "Labelled"]
    assert [finding.agrees for finding in findings] == [True, True, None]
    assert "Everything that can be downloaded was downloaded." in lines[-2]
    assert "Labelled" in capsys.readouterr().out


def test_a_store_with_data_is_refused(tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(InputError, match="is in use"):
        run_network_demo(tmp_path)
    with pytest.raises(InputError, match="--users is"):
        run_network_demo(tmp_path / "store", users=10)
