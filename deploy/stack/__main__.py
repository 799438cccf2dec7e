"""`python -m deploy.stack [directory]`: all four servers in the foreground until Ctrl-C or SIGTERM.

Ports, keys and data stay in the directory (default `.stack`) for the next start; `env` there holds the settings that
point the product at them.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from deploy.stack.process import MissingProgram, Server
from deploy.stack.servers import S3, Mongo, Rabbit, Redis

WATCH_SECONDS = 1.0


def main(directory: Path) -> int:
    """Runs until told to stop (0), or until a server could not start or ended by itself (1)."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    directory.mkdir(parents=True, exist_ok=True)
    servers = _servers(directory.resolve())
    with ExitStack() as stack:
        for server in servers:
            if stopping.is_set():
                return 0
            stack.callback(server.stop)
            try:
                server.start()
            except (MissingProgram, RuntimeError) as error:
                _say(f"{server.name}: {error}")
                return 1
            _say(f"{server.name} is ready on port {server.port}")
        settings = _settings(servers)
        (directory / "env").write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()))
        (directory / "env").chmod(0o600)
        _say(f"The stack is up; {directory / 'env'} points the product at it. Ctrl-C stops it.")
        while not stopping.wait(WATCH_SECONDS):
            for server in servers:
                if not server.is_running():
                    _say(f"{server.name} ended by itself; its log is {server.directory / 'log'}")
                    return 1
    return 0


def _servers(directory: Path) -> list[Server]:
    """Each server in a folder of its own, on the ports of the last time: a replica set keeps its own address."""
    kinds: list[type[Server]] = [Redis, Mongo, S3, Rabbit]
    kept = directory / "ports.json"
    ports = json.loads(kept.read_text()) if kept.exists() else {}
    servers = [kind(directory / kind.name, ports.get(kind.name)) for kind in kinds]
    kept.write_text(json.dumps({server.name: server.ports for server in servers}))
    return servers


def _settings(servers: list[Server]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for server in servers:
        match server:
            case Redis():
                settings["LASTFRAME_LIVE_URL"] = server.url
            case Mongo():
                settings["LASTFRAME_STORE_URL"] = server.url
            case Rabbit():
                settings["LASTFRAME_QUEUE_URL"] = server.url
            case S3():
                settings["LASTFRAME_OBJECTS_URL"] = server.url
                settings["LASTFRAME_PUBLIC_MEDIA_URL"] = server.public_base_url
                settings |= server.environment
    return settings


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".stack")))
