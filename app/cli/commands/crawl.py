"""features crawl instagram, features login, features tokens: posts and counts from the API, and its access tokens."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import photogenic
from photogenic.app.cli.commands.dataclass_options import options_from_dataclass
from photogenic.app.cli.commands.options import FormatOption, Store
from photogenic.app.terminal.output import Format, Table, print_message, print_table
from photogenic.app.terminal.progress import console_progress
from photogenic.ingest.config import CrawlSettings
from photogenic.warehouse.errors import InputError

if TYPE_CHECKING:
    from photogenic.ingest.instagram.crawl import CrawlReport

__all__ = ["instagram", "login", "tokens"]

SETTINGS = CrawlSettings()
APP_SECRET = "FEATURES_APP_SECRET"  # noqa: S105  # the name of a variable


@options_from_dataclass(CrawlSettings, panel="Limits")
def instagram(
    *,
    usernames: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text file with one username of a professional account a line, or - for standard input. Default: no "
            "accounts.",
        ),
    ] = None,
    hashtags: Annotated[
        list[str] | None,
        typer.Option(
            "--hashtag",
            metavar="TAG",
            help="Hashtag to read the posts of; may be given several times. Default: no hashtags.",
        ),
    ] = None,
    top: Annotated[
        bool, typer.Option("--top", help="Read the top posts of hashtags instead of the recent ones.")
    ] = False,
    settings: CrawlSettings,
    store: Store = Path("store"),
    form: FormatOption = "table",
) -> None:
    """An interrupted crawl continues where it stopped when it is run again."""
    with photogenic.FeatureStore(store, progress=console_progress()) as opened:
        report = opened.crawl(usernames=_lines(usernames), hashtags=hashtags or (), top=top, settings=settings)
    _print(report, form)


def login(
    *,
    app_id: Annotated[str, typer.Option(metavar="ID", help="Id of the app that users log in to.")],
    port: Annotated[
        int, typer.Option(metavar="PORT", help="Port of the local callback address, http://localhost:PORT/callback.")
    ] = 8765,
    browser: Annotated[bool, typer.Option(help="Open the login page in a browser, or only print its address.")] = True,
    api: Annotated[str, typer.Option(metavar="URL", help="Base address of the API.")] = SETTINGS.api,
    dialog: Annotated[
        str, typer.Option(metavar="URL", help="Base address of the login page.")
    ] = "https://www.facebook.com",
    version: Annotated[str, typer.Option(metavar="VERSION", help="Version of the API.")] = SETTINGS.version,
) -> None:
    """A browser opens the login page.

    The secret of the app is asked for, or read from the environment variable FEATURES_APP_SECRET.
    """
    import asyncio

    from yarl import URL

    from photogenic.ingest.instagram import oauth
    from photogenic.ingest.instagram.token_store import Secret, Vault

    secret = os.environ.get(APP_SECRET) or typer.prompt(f"Secret of app {app_id}", hide_input=True, err=True)
    app = oauth.App(app_id, Secret(secret), URL(dialog) / version, URL(api) / version)

    def visit(address: str) -> None:
        print_message(f"Log in at {address}")
        if browser:
            import webbrowser

            webbrowser.open(address)

    vault = Vault()
    token = asyncio.run(oauth.login(app, vault, now=time.time(), show=visit, port=port))
    print_message(f"Token {token.key} of {token.username} is kept in {vault.folder}.")


def tokens(
    *,
    forget: Annotated[
        str | None, typer.Option(metavar="KEY", help="Key of a token to remove. Default: remove none.")
    ] = None,
    budget: Annotated[
        int, typer.Option(metavar="N", help="Number of requests that each token may make in one window.")
    ] = SETTINGS.budget,
    window_s: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Length of the rolling window in which requests are counted, in seconds."),
    ] = SETTINGS.window_s,
    form: FormatOption = "table",
) -> None:
    """The tokens themselves are never printed."""
    from photogenic.ingest.instagram.token_pool import TokenPool
    from photogenic.ingest.instagram.token_store import Vault
    from photogenic.ingest.journal.clock import SystemClock, instant

    vault = Vault()
    if forget is not None and not vault.forget(forget):
        keys = ", ".join(token.key for token in vault.tokens()) or "none"
        raise InputError(f"There is no token {forget!r}.", f"one of: {keys}", "features tokens")
    columns = ("token", "username", "app_id", "state", "left", "budget", "available_at", "expires_at")
    rows = [
        (
            status.token.key,
            status.token.username,
            status.token.app_id,
            status.state,
            status.left,
            budget,
            instant(status.available_at) if status.available_at is not None else None,
            instant(status.token.expires_at) if status.token.expires_at is not None else None,
        )
        for status in TokenPool(vault, SystemClock(), budget=budget, window_s=window_s).statuses()
    ]
    print_table(Table(columns, rows), form)


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    if str(path) == "-":
        return sys.stdin.read().splitlines()
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}.", "a text file with one username a line", "--usernames FILE"
        ) from error


def _print(report: CrawlReport, form: Format) -> None:
    """Print the end of each crawl on stdout, and other results as messages."""
    from photogenic.ingest.instagram.client import CRAWL_STATUSES

    rows = [(s, report.statuses[s], text) for s, text in CRAWL_STATUSES.items() if report.statuses[s]]
    print_table(Table(("status", "n_walks", "meaning"), rows), form)
    print_message(f"{report.n_posts:,} pictures seen, {report.n_others:,} videos left, {report.n_requests:,} requests.")
    if report.n_skipped:
        print_message(
            f"{report.n_skipped:,} of {report.n_targets:,} were walked before; `--refresh-days` walks them again."
        )
