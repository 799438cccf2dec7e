"""`python -m services.keys add|remove|list`: the API keys' file, changed in one step while the suite runs.

A name may have two keys: `add` a second one, move the clients over, `remove NAME --digest PREFIX` the first.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.rpc.keys import KEY_NAME, digest, parse_digests

HEADER = "# API keys of Last Frame: name=sha256:<hex of the key>. Written by python -m services.keys.\n"

Pairs = list[tuple[str, str]]


class KeyFileError(ValueError):
    """Said to the operator."""


def add(path: Path, name: str) -> str:
    """Makes a new key, stores its digest under `name` (beside those the name has) and returns the key."""
    if not re.fullmatch(KEY_NAME, name):
        raise KeyFileError(f"{name!r} is no name: use letters, digits and . _ @ -, at most 64 characters")
    key = "lf_" + secrets.token_urlsafe(32)
    with _locked(path):
        _write(path, [*_read(path), (name, digest(key))])
    return key


def remove(path: Path, name: str, prefix: str = "") -> int:
    """Removes the keys of `name` whose digest begins with `prefix`; returns how many."""
    with _locked(path):
        before = _read(path)
        kept = [(n, d) for n, d in before if not (n == name and d.startswith(prefix.lower()))]
        if len(kept) == len(before):
            raise KeyFileError(f"there is no such key of {name!r}")
        _write(path, kept)
    return len(before) - len(kept)


def _read(path: Path) -> Pairs:
    try:
        return parse_digests(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}; mend or delete it first") from None


def _write(path: Path, pairs: Pairs) -> None:
    """One rename: a reader sees the old file or the new one, and a crash leaves one of the two."""
    descriptor, temporary = tempfile.mkstemp(prefix=".api-keys-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(HEADER + "".join(f"{name}=sha256:{digest}\n" for name, digest in pairs))
            file.flush()
            if path.exists():
                os.fchmod(descriptor, path.stat().st_mode & 0o777)
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two commands at once would lose one another's change."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m services.keys", description=__doc__)
    default = os.environ.get("LASTFRAME_API_KEYS_FILE")
    parser.add_argument("--file", type=Path, default=default, help="default: $LASTFRAME_API_KEYS_FILE")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("add", help="make a key and print it once").add_argument("name")
    removal = commands.add_parser("remove", help="remove a name's keys")
    removal.add_argument("name")
    removal.add_argument("--digest", default="", help="only the key whose digest begins so (see list)")
    commands.add_parser("list", help="names and the beginnings of their digests")
    given = parser.parse_args(arguments)
    if given.file is None:
        parser.error("name the file with --file or LASTFRAME_API_KEYS_FILE")
    try:
        match given.command:
            case "add":
                _say(add(given.file, given.name))
            case "remove":
                _say(f"removed {remove(given.file, given.name, given.digest)}")
            case _:
                for name, known in _read(given.file):
                    _say(f"{name}\t{known[:12]}")
    except (KeyFileError, OSError) as error:
        print(f"lastframe: {error}", file=sys.stderr)  # noqa: T201 - said to the operator
        return 1
    return 0


def _say(line: str) -> None:
    print(line)  # noqa: T201 - the command's output


if __name__ == "__main__":
    sys.exit(main())
