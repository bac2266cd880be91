"""Take in only what is new: rows above a watermark, files and objects that are not as they were.

In: the sources of `photogenic.toml`, and their positions in the store. Out: rows in the base tables, and in the same
transaction the new positions. `sync` is the story.
"""

__all__: list[str] = []
