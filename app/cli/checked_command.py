"""A command whose numbers are checked before it does anything."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from photogenic.warehouse.option_ranges import check

__all__ = ["Checked"]


class Checked(TyperCommand):
    """Refuses a number outside `warehouse.option_ranges.RANGES`; every command of the program is one."""

    def invoke(self, ctx: Any) -> Any:
        check(**ctx.params)
        return super().invoke(ctx)
