"""Run a fake network until interrupted.

python -m photogenic.synthetic.network [--port 8700] [--world FOLDER] [--faults 0.05]

Prints its address, and the commands to log in, crawl and fetch from another shell.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
from pathlib import Path
from typing import get_args

from photogenic.synthetic.network import FakeNetwork, FakeWorld, Faults
from photogenic.synthetic.network.faults import FaultKind

__all__: list[str] = []

_TRY = """\
export FEATURES_STORE=try FEATURES_TOKENS=try-tokens FEATURES_APP_SECRET={secret}
features login --app-id 1000001 --api {at} --dialog {at}
echo {name} | features crawl instagram --usernames - --api {at}
features fetch --allow-private --read-s 3
"""


async def _serve(arguments: argparse.Namespace) -> None:
    kinds = get_args(FaultKind)
    faults = Faults(rates=dict.fromkeys(kinds, arguments.faults / len(kinds)), latency_s=arguments.latency)
    if arguments.world is None:
        world = FakeWorld.tiny(arguments.accounts, arguments.posts, random.Random(arguments.seed))
    else:
        world = FakeWorld.from_folder(arguments.world)
    async with FakeNetwork(world, faults=faults, budget=arguments.budget, port=arguments.port) as fake:
        print(f"API, login and pictures: {fake.base}")
        print(f"{len(world.accounts)} accounts, such as {', '.join(list(world.accounts)[:3])}. From another shell:\n")
        name, secret = next(iter(world.accounts)), fake.office.apps["1000001"]
        print(_TRY.format(at=fake.base, secret=secret, name=name), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m photogenic.synthetic.network", description=__doc__)
    parser.add_argument("--port", type=int, default=8700)
    parser.add_argument("--world", type=Path, help="folder with users.csv, photos.csv and images/")
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument("--posts", type=int, default=10, help="posts per account")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.05, help="share of images with a fault, 0 to 1")
    parser.add_argument("--latency", type=float, default=0.0, help="delay of every answer, in seconds")
    parser.add_argument("--budget", type=int, default=200, help="requests per token and hour")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
