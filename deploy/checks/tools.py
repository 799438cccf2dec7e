"""Programs that some rungs need. A missing one skips its rung at home and fails it under CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "tools"


class MissingProgram(RuntimeError):
    """The text says which package has it."""


def program(name: str) -> str | None:
    """The path of a program: of this virtual environment, of `build/tools` or of the PATH."""
    places = [str(Path(sys.executable).parent), str(CACHE / "bin"), os.environ.get("PATH", "")]
    return shutil.which(name, path=os.pathsep.join(places))


def needed_program(name: str, package: str = "requirements/dev.txt") -> str:
    found = program(name)
    if found is None:
        raise MissingProgram(f"{name} is not installed; {package} has it")
    return found


def promtool() -> str:
    """Debian's promtool, unpacked into `build/tools` on the first call: installing the package would start a server.

    Raises:
        MissingProgram: it is not to be had here.
    """
    if found := program("promtool"):
        return found
    reason = "promtool is not installed; Debian's package prometheus has it"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise MissingProgram(reason)
    target = CACHE / "prometheus"
    target.mkdir(parents=True, exist_ok=True)
    try:
        _run(["apt-get", "download", "-qq", "prometheus"], target)
        package = next(target.glob("prometheus_*.deb"))
        _run(["dpkg-deb", "-x", package.name, "root"], target)
    except (subprocess.SubprocessError, OSError, StopIteration) as error:
        raise MissingProgram(f"{reason} ({error})") from error
    (CACHE / "bin").mkdir(exist_ok=True)
    (target / "root/usr/bin/promtool").rename(CACHE / "bin" / "promtool")
    shutil.rmtree(target)
    return str(CACHE / "bin" / "promtool")


def _run(command: list[str], directory: Path) -> None:
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=120)
