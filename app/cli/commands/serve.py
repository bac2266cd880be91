"""features serve: web pages and a JSON API."""

from pathlib import Path
from typing import Annotated

import typer

import photogenic
from photogenic.app.cli.commands.options import Store

__all__ = ["run"]


def run(
    *,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on. An address that other machines reach needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="PORT", help="Port to listen on, or 0 for a free one.")
    ] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="FEATURES_SERVE_TOKEN",
            metavar="TOKEN",
            help="Token that every request must carry. Default: no token.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="Further host name of the server; may be given several times. Default: none."
        ),
    ] = None,
    store: Store = Path("store"),
) -> None:
    """Addresses of the API begin with /api/v1."""
    from photogenic.app.serve.http.server import serve
    from photogenic.app.terminal.output import print_message

    with photogenic.FeatureStore(store) as opened:
        serve(opened, host=host, port=port, token=token, name=tuple(name or ()), print_line=print_message)
