"""Figures of the report and of the pages: their data and their drawing.

Input: rows of `runs`, and test predictions of a run with the labels. Output: photos for galleries, and figures as SVG
for pages and as PNG for files. Used by the report and by `features serve`.
"""

__all__: list[str] = []
