"""Array types that the modules of `models` share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Strings"]

Array: TypeAlias = NDArray[np.floating[Any]]
Strings: TypeAlias = NDArray[np.str_]
