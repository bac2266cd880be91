"""Compare the results of two engines."""

import math

from photogenic import sql
from tests.warehouse.small import ask, everything


def agree(ours, theirs, exactly=True):
    names = list(sql.RELATIONS)
    ours_rows, their_rows = everything(ours, names), everything(theirs, names)
    for name in names:
        assert len(ours_rows[name]) == len(their_rows[name]), name
        for one, other in zip(ours_rows[name], their_rows[name], strict=True):
            assert all(map(same, one, other)), (name, one, other)
    if exactly:
        sums = "select relation, n_rows, checksum from checksums order by relation"
        assert ask(ours, sums) == ask(theirs, sums)


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)
    return type(one) is type(other) and one == other
