"""The figures of report and pages: what each shows, worked out once, and the drawing of it.

In: rows of `runs`, and what a run says of test beside the labels. Out: photos to lay out as a gallery, and drawings
that come as SVG for a page and as PNG for a folder. Read by the report and by `features serve`.
"""

__all__: list[str] = []
