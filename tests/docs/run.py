"""Run the blocks of pages by hand, and write the real outputs into them.

    python -m tests.docs.run docs/quickstart.md             compare the outputs with what the page shows
    python -m tests.docs.run docs/quickstart.md --update    write outputs that differ into the page

`--update` trains on the published grid of heads, so that the page shows what a user sees; without it, and in tests,
heads are trained on a small part of it. Write `...` for figures that depend on training. Files and store that pages
start with are made once and kept in build/docs; `--fresh` makes them again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.docs.runner.fork_server import ForkServer
from tests.docs.runner.page_runner import Outcome, run_page
from tests.docs.runner.pages import ROOT, Page
from tests.docs.runner.worlds import fill

KEPT = ROOT / "build" / "docs"


def prepared(name: str, make: Callable[[Path], object]) -> Path:
    folder, making = KEPT / name, KEPT / f"{name}.making"
    if not folder.exists():
        shutil.rmtree(making, ignore_errors=True)
        making.parent.mkdir(parents=True, exist_ok=True)
        make(making)
        making.rename(folder)
    return folder


def updated(page: Page, outcomes: list[Outcome]) -> str:
    """Return the text of a page with the outputs that were printed, where they differ from what it shows."""
    lines = page.text.splitlines()
    for outcome in sorted(outcomes, key=lambda outcome: -outcome.line):
        if outcome.command is None or not outcome.failure or outcome.fatal:
            continue
        command = outcome.command
        indent = lines[command.line - 1].partition("$ ")[0]
        start = command.line - 1 + len(command.text.splitlines())
        printed = [f"{indent}{line}".rstrip() for line in outcome.printed]
        lines[start : start + len(command.output)] = printed
    return "\n".join(lines) + "\n"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("pages", nargs="+", type=Path)
    arguments.add_argument("--update", action="store_true", help="write outputs that differ into the page")
    arguments.add_argument("--fresh", action="store_true", help="make files and store again")
    arguments.add_argument("--published", action="store_true", help="train on the published grid of heads")
    asked = arguments.parse_args()
    if asked.fresh:
        shutil.rmtree(KEPT, ignore_errors=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="pages-") as scratch, ForkServer(Path(scratch) / "server") as server:
        for number, path in enumerate(asked.pages):
            page = Page.read(path.resolve())
            folder = Path(scratch) / str(number) / "page"
            folder.mkdir(parents=True)
            fill(folder, page, prepared)
            started = time.monotonic()
            grid = "published" if asked.update or asked.published else "small"
            outcomes = list(run_page(page, folder, server, grid=grid))
            wrong = [outcome for outcome in outcomes if outcome.failure]
            for outcome in wrong:
                print(f"{page.name}:{outcome.line}: {outcome.failure}\n")
            print(f"{page.name}: {len(outcomes)} run, {len(wrong)} differ, {time.monotonic() - started:.0f} s")
            if asked.update:
                page.path.write_text(updated(page, outcomes), encoding="utf-8")
            failed += len(wrong)
    return int(failed > 0 and not asked.update)


if __name__ == "__main__":
    sys.exit(main())
