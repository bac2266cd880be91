"""A fake social network on this machine, for tests and experiments.

It implements a part of the Instagram Graph API (paging, usage headers, error bodies, expiring tokens, OAuth),
serves images, injects faults at given rates, and counts its requests.
`python -m photogenic.synthetic.network` runs it.
"""

from photogenic.synthetic.network.faults import Faults
from photogenic.synthetic.network.server import FakeNetwork, serving
from photogenic.synthetic.network.world import FakeWorld

__all__ = ["FakeNetwork", "FakeWorld", "Faults", "serving"]
