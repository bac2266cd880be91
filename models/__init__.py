"""models: what popularity do we predict?

In: photos with labels, weights and splits, and the vectors that features made of them. Out: trained
heads in models/<run_id>/, rows of `runs` and `predictions`, a leaderboard laid out as the published
tables, and scores for files that nobody has seen. Read next by app, which prints and draws them.
"""

from __future__ import annotations

__all__: list[str] = []
