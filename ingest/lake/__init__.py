"""Rows of tables of Delta Lake and Iceberg, as streams of Arrow."""

__all__: list[str] = []
