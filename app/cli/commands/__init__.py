"""The commands, one file each: open the store, call one method, print the result."""

__all__: list[str] = []
