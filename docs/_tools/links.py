"""Hook of MkDocs: links from a page to files of the repository outside docs/.

On a code host such a link works as it is. The site has no such file, so there the link becomes its text with the path.
A link to a file that does not exist is a warning, which fails the strict build.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*)(#[^)\s]*)?\)")
_FENCED = re.compile(r"^(\s*)(`{3,}).*?^\1\2\s*$", re.MULTILINE | re.DOTALL)
log = logging.getLogger("mkdocs.hooks.links")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Replace links that leave docs/ by their text and the path in the repository."""
    root = Path(config["docs_dir"]).parent

    def replaced(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), found[2]))
        if target.startswith("docs/"):
            return found[0]
        if not (root / target).exists():
            log.warning("%s links to %s, which is not in the repository", page.file.src_uri, target)
        text = found[1].strip("`")
        return f"`{target}`" if text in target else f"{found[1]} (`{target}`)"

    parts, at = [], 0
    for block in _FENCED.finditer(markdown):
        parts += [_LINK.sub(replaced, markdown[at : block.start()]), block[0]]
        at = block.end()
    return "".join([*parts, _LINK.sub(replaced, markdown[at:])])
