"""ingest: how do rows and bytes get in?

In: files of users, photos, main photos and swipes; pictures in folders or behind URLs; accounts on a
network; or a synthetic world. Out: base tables, rejects with their reasons, picture bytes under their
digests. Read next by warehouse, which computes what is true about them, and features, which looks at them.
"""

from photogenic.ingest.tabular.report import Account
from photogenic.ingest.tabular.schemas import KINDS, REASONS, Kind, Reason

__all__ = ["KINDS", "REASONS", "Account", "Kind", "Reason"]
