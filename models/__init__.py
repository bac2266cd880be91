"""models: what popularity do we predict?

In: photos with labels, weights and splits, and the vectors that `features` computed. Out: trained heads in
models/<run_id>/, rows of `runs` and `predictions`, a leaderboard in the layout of the published tables, and
predictions for new files. Read next by app, which prints and draws them.
"""

from __future__ import annotations

__all__: list[str] = []
