"""Rows of databases: PostgreSQL and SQLite, as streams of Arrow."""

__all__: list[str] = []
