"""fake: a network of invented people on this machine, for tests and for trying things out.

It speaks the dialect of the Instagram Graph API (paging, usage headers, error bodies, expiring tokens,
OAuth), serves pictures, misbehaves at chosen rates, and counts what it is asked.
`python -m photogenic.synthetic.network` runs one.
"""

from photogenic.synthetic.network.faults import Faults
from photogenic.synthetic.network.server import FakeNetwork, serving
from photogenic.synthetic.network.world import FakeWorld

__all__ = ["FakeNetwork", "FakeWorld", "Faults", "serving"]
