"""`python -m services.gateway.edge`: the edge as a process of its own, for containers.

Variables of the template come from the environment as `EDGE_<NAME>` (`EDGE_FRAMES=frames-api:50051`), the port also as
LASTFRAME_PORT. EDGE_CONCURRENCY is the number of worker threads (2), EDGE_GRACE_SECONDS how long a drain may take (25),
EDGE_DIR where the rendered files go. SIGTERM drains and exits 0; if Envoy ends by itself, this exits 1.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from services.gateway.edge.launcher import EdgeError, EdgeProcess

_PREFIX = "EDGE_"


def variables_from(environment: Mapping[str, str]) -> dict[str, str]:
    """The template's variables. Outside one's own machine the edge listens on every address unless told otherwise."""
    found = {"LISTEN": "0.0.0.0", "ACCESS_LOG": "/dev/stdout"}  # noqa: S104
    if port := environment.get("LASTFRAME_PORT"):
        found["PORT"] = port
    found |= {name.removeprefix(_PREFIX): text for name, text in environment.items() if name.startswith(_PREFIX)}
    return found


async def run(directory: Path, *, only_validate: bool) -> int:
    """The exit status."""
    edge = EdgeProcess(
        directory,
        variables_from(os.environ),
        concurrency=int(os.environ.get("EDGE_CONCURRENCY", "2")),
    )
    if only_validate:
        await edge.validate()
        return 0
    stopping = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    await edge.start(await_services=False)
    ended = asyncio.create_task(edge.wait())
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait((ended, told), return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        told.cancel()
        return 1
    await edge.stop(grace_seconds=float(os.environ.get("EDGE_GRACE_SECONDS", "25")))
    await ended
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.gateway.edge", description=__doc__)
    parser.add_argument("--validate", action="store_true", help="render, let Envoy check the result, and exit")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lastframe-edge-") as temporary:
        directory = Path(os.environ.get("EDGE_DIR", temporary))
        try:
            sys.exit(asyncio.run(run(directory, only_validate=arguments.validate)))
        except (EdgeError, ValueError) as error:
            sys.exit(f"edge: {error}")


if __name__ == "__main__":
    main()
