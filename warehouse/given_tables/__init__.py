"""Tables of the user's own beside the relations of a store: frames, files and other DuckDB files, for one query.

In: tables as Arrow (ingest/given_tables opens frames and files), and names of DuckDB files. Out: a `JoinedDatabase`.
The server has none of this: `app/serve/sql_sandbox` opens the store alone.
"""

__all__: list[str] = []
