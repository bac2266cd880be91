"""Ask the server of this machine for its health: exit code 0 if it answers, else 1. Needs Python alone.

    FEATURES_SERVE_TOKEN=... python3 deploy/health.py [PORT]

The request goes to 127.0.0.1 and carries the token, if there is one. It is made for `HEALTHCHECK` of a container, for
an exec probe of Kubernetes and for monitoring scripts.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    """Return the exit code: 0 if the server answers."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    token = os.environ.get("FEATURES_SERVE_TOKEN")
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/health", headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=4) as answer:
            health = json.load(answer)
    except (OSError, ValueError) as error:
        print(f"The server does not answer at port {port}: {error}", file=sys.stderr)
        return 1
    print(f"{health['status']}: {health['n_photos']} photos of {health['snapshot_at']}, version {health['version']}")
    return 0 if health["status"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
