"""A clean virtual environment with one wheel of this repository in it and nothing else but what the wheel declares.

Works offline: what is declared is linked from the environment that runs the tests, so a dependency that was forgotten
in the wheel's metadata is missing there too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path


def build_wheel(project: Path, target: Path) -> Path:
    """The wheel of a folder with a pyproject.toml, which stays as it is."""
    copy = target / "source"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    program = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", program, str(target)], cwd=copy, check=True, capture_output=True, text=True, timeout=120
    )
    return target / built.stdout.split()[-1]


class Installed:
    """The environment at `directory`; `run` runs its programs."""

    def __init__(self, wheel: Path, directory: Path) -> None:
        self.directory = directory
        venv.create(directory, with_pip=False, symlinks=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self._site = directory / "lib" / version / "site-packages"
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", directory / "bin" / "python"),
                *("install", "--quiet", "--no-index", "--no-deps", wheel),
            ],
            check=True,
            timeout=120,
        )
        [own] = list(metadata.distributions(path=[str(self._site)]))
        self._link(own.requires or [], set())

    def _link(self, requirements: list[str], seen: set[str]) -> None:
        for requirement in requirements:
            found = re.match(r"[A-Za-z0-9._-]+", requirement)
            assert found is not None, requirement
            name = found[0]
            if name in seen or "extra ==" in requirement or _is_for_others(requirement):
                continue
            seen.add(name)
            distribution = metadata.distribution(name)
            for file in distribution.files or []:
                target = self._site / file.parts[0]
                source = Path(str(distribution.locate_file(file.parts[0])))
                if file.parts[0] in ("..", "__pycache__") or target.is_symlink():
                    continue
                _join(source, target)
            self._link(distribution.requires or [], seen)

    def run(
        self, *command: str, cwd: Path, env: dict[str, str], timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment (or of the system) with nothing of the caller's Python settings."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LAST"))}
        path = f"{self.directory / 'bin'}:{clean['PATH']}"
        return subprocess.run(
            command,
            check=False,
            cwd=cwd,
            env=clean | env | {"PATH": path, "VIRTUAL_ENV": str(self.directory)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )


def _is_for_others(requirement: str) -> bool:
    """`typing_extensions; python_version < "3.11"` and the like; packages of this environment decide."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    try:
        metadata.distribution(name[0] if name else "")
    except metadata.PackageNotFoundError:
        return ";" in requirement
    return False


def _join(source: Path, target: Path) -> None:
    """Links a file or a package; a folder that several distributions share (`google`) is made of links."""
    if not source.is_dir() or not target.exists():
        if source.is_dir() and not (source / "__init__.py").exists() and source.suffix != ".dist-info":
            target.mkdir()
        else:
            target.symlink_to(source)
            return
    for child in source.iterdir():
        if not (target / child.name).exists():
            _join(child, target / child.name)
