"""features serve: pages to look at, and an API to ask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photogenic import FeatureStore
from photogenic.app.cli.commands.options import Store

__all__ = ["run"]


def run(
    *,
    host: Annotated[str, typer.Option(help="Address to listen at; any but this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0 takes a free one.")] = 8000,
    token: Annotated[
        str | None, typer.Option(envvar="FEATURES_SERVE_TOKEN", help="What every request must show.", show_envvar=False)
    ] = None,
    name: Annotated[list[str] | None, typer.Option(help="A further host name under which it is reached.")] = None,
    store: Store = Path("store"),
) -> None:
    """Show the store in a browser, and answer programs under /api/v1; reads only."""
    from photogenic.app.serve.http.server import serve
    from photogenic.app.terminal.output import say

    with FeatureStore(store) as opened:
        serve(opened, host=host, port=port, token=token, name=tuple(name or ()), tell=say)
