"""Texts that photos are searched with: checked, and never repeated in messages, because they are a user's words."""

from __future__ import annotations

from dataclasses import dataclass, field

from photogenic.warehouse import InputError

__all__ = ["LONGEST", "Text"]

LONGEST = 1_000
"""Largest number of characters. Text towers read 75 tokens, some 300 characters of English."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text.

    Raises:
        InputError: It is empty, too long, or not valid Unicode.
    """

    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.value) > LONGEST:
            raise InputError(
                f"The text has {len(self.value):,} characters.",
                f"at most {LONGEST:,} characters",
                "describe the photo in one sentence",
            )
        if not self.value.strip():
            raise InputError("The text is empty.", "words that describe a photo", '--text "sunglasses on a beach"')
        try:
            self.value.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"The text is not valid Unicode: character {error.start + 1} is half of a pair.", "text in UTF-8"
            ) from error
