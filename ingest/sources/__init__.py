"""Where rows come from: files, standard input, frames, databases, tables of a lake, object stores, streams.

In: what the user names. Out: `InputFile` values, which `ingest.readers` inspects and `ingest.tabular` loads.
"""

__all__: list[str] = []
