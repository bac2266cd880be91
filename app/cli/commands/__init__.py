"""One file per command: open the store, call one function, print what came back."""

__all__: list[str] = []
