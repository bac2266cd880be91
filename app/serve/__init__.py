"""HTTP server of a store: web pages and a JSON API.

A request becomes one call of the packages below, on the newest snapshot. SQL of clients never runs in this process:
a child process without access to files or the network evaluates it (`sql_sandbox`). Uploaded pictures are kept in
memory only (`http.uploads`). No part of a request is ever used as a path.
"""

__all__: list[str] = []
