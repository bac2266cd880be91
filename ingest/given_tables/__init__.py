"""Open tables that a user gives to a query: frames of polars, pandas and Arrow, lists of dictionaries, and files.

In: objects and paths. Out: `GivenTable` values of warehouse/given_tables. Nothing of them is stored.
"""

__all__: list[str] = []
