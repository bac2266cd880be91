"""The pages and the HTTP API: the same store, for people who look and for programs that ask.

A request becomes one call of the rooms below, on the newest snapshot. What strangers wrote never runs
in this process: SQL is answered by a child that can reach nothing (`sandboxed`), pictures are held in
memory only (`uploads`), and no part of a request is ever used as a path.
"""

__all__: list[str] = []
