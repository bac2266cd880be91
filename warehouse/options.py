"""What a label build can be told: one frozen value object, recorded with each build."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from warehouse.errors import InputError

__all__ = ["LabelOptions"]


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """The choices behind photo_labels and photo_setups. The defaults are the published ones.

    Attributes:
        window: which like ratio is the label: since the last change of main photo, or whenever it was main.
        min_swipes: photos with fewer swipes in the window get no label.
        split_seed: another number, another division into train, dev and test.
    """

    window: Literal["latest", "every"] = "latest"
    min_swipes: int = 1
    split_seed: int = 0

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            allowed, value = get_args(hints[field.name]), getattr(self, field.name)
            if allowed and isinstance(allowed[0], str) and value not in allowed:
                flag = field.name.replace("_", "-")
                raise InputError(
                    f"{field.name} is {value!r}.", f"one of {', '.join(allowed)}", f"--{flag} {allowed[0]}"
                )
        if self.min_swipes < 1:
            raise InputError(f"min_swipes is {self.min_swipes}.", "at least 1", "--min-swipes 1")

    def parameters(self) -> dict[str, Any]:
        """The values of the `$names` in sql/."""
        return asdict(self)

    def recorded(self) -> dict[str, Any]:
        """As `parameters`, fit for JSON."""
        return {k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in asdict(self).items()}
