"""fake: a network of invented people on this machine, for tests and for trying things out.

It speaks the dialect of the Instagram Graph API (paging, usage headers, error bodies, expiring tokens,
OAuth), serves pictures, misbehaves at chosen rates, and counts what it is asked. `python -m ingest.fake`
runs one.
"""

from ingest.fake.faults import Faults
from ingest.fake.server import FakeNetwork, serving
from ingest.fake.world import FakeWorld

__all__ = ["FakeNetwork", "FakeWorld", "Faults", "serving"]
