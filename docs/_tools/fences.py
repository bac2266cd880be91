"""Hook of MkDocs: info strings of fenced blocks that only the tests read.

A block ```` ```console exit=1 ```` shows a command that fails. The Markdown extension takes no such option and would
read the block as text, so the site gets the language alone.
"""

from __future__ import annotations

import re
from typing import Any

_EXIT = re.compile(r"^([ \t]*`{3,}console) exit=\d+[ \t]*$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Remove the exit code from the info strings of console blocks."""
    return _EXIT.sub(r"\1", markdown)
