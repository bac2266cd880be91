"""features config: every setting, and where its value comes from."""

from pathlib import Path

import photogenic
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Table, print_table

__all__ = ["run"]


def run(*, store: Store = Path("store"), form: FormatOption = "table") -> None:
    """Values come from, later ones win: default, last build, photogenic.toml, environment, command line."""
    with photogenic.FeatureStore(store) as opened:
        print_table(Table.of(opened.config()), form)
