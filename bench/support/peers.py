"""The environment of the products that the benches compare with, made once under bench/.cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parent
CACHE = BENCH / ".cache"
PINS = BENCH / "peers.txt"


def peers_python() -> Path:
    """The Python that has what peers.txt pins; a changed pin makes it anew."""
    directory = CACHE / "peers"
    mark, digest = directory / "made-of", hashlib.sha256(PINS.read_bytes()).hexdigest()
    python = directory / "bin" / "python"
    if not mark.exists() or mark.read_text() != digest:
        shutil.rmtree(directory, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--require-hashes", "-r", PINS], check=True)
        mark.write_text(digest)
    return python


def ffmpegs() -> dict[str, str]:
    """Every ffmpeg to compare with, by version: the static build among the peers, and the machine's own."""
    query = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"
    static = subprocess.run([peers_python(), "-c", query], check=True, capture_output=True, text=True).stdout.strip()
    programs = [static, *([found] if (found := shutil.which("ffmpeg")) else [])]
    return {_version(program): program for program in programs}


def _version(program: str) -> str:
    text = subprocess.run([program, "-version"], check=True, capture_output=True, text=True).stdout
    return "ffmpeg " + text.split()[2].split("-")[0].lstrip("n")


def python_path() -> dict[str, str]:
    """An environment in which a child finds the repository's packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos")])}
