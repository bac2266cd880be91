"""app: the doors.

In: what a person types or a browser asks. Out: tables, CSV or JSON on stdout, messages on stderr,
pages. A door opens the store, calls one function of the rooms below and shows what came back;
nothing is decided here, and no other room imports this one.
"""

__all__: list[str] = []
