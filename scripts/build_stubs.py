"""`make stubs`: a wheel of the protos and their Python stubs in dist/, for programs that speak gRPC to a suite.

It holds no code of the suite and needs only grpcio, protobuf and googleapis-common-protos.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from setuptools import build_meta

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
SUFFIXES = (".py", ".pyi", ".proto")

PYPROJECT = """\
[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"

[project]
name = "lastframe-stubs"
version = "{version}"
description = "The protos of Last Frame, a media-job service, and their Python stubs"
requires-python = ">=3.10"
dependencies = [{dependencies}]
classifiers = ["Typing :: Typed"]

[tool.setuptools]
packages = {packages}

[tool.setuptools.package-data]
"*" = ["*.pyi", "*.proto", "py.typed"]
"""


def build(target: Path) -> Path:
    """Builds the wheel into `target` and returns its path."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        packages = _copy(folder)
        (folder / "pyproject.toml").write_text(
            PYPROJECT.format(
                version=_version(),
                dependencies=", ".join(f'"{one}"' for one in _dependencies()),
                packages=packages,
            )
        )
        before = Path.cwd()
        os.chdir(folder)
        try:
            name = build_meta.build_wheel(str(target.absolute()))
        finally:
            os.chdir(before)
    return target / name


def _copy(folder: Path) -> list[str]:
    """Copies the files; returns the packages (namespaces, as the stubs' imports have them)."""
    packages = set()
    for source in sorted(PROTOS.rglob("*")):
        if source.suffix in SUFFIXES and not {"__pycache__", "internal"} & set(source.parts):
            place = source.relative_to(PROTOS)
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / place)
            packages.add(".".join(place.parent.parts))
    for package in packages:
        (folder / Path(*package.split(".")) / "py.typed").touch()
    return sorted(packages)


def _dependencies() -> list[str]:
    """The stubs refuse to run under an older grpcio or protobuf than they were generated for."""
    [grpc_stub, *_] = sorted(PROTOS.glob("lastframe/*/v1/*_pb2_grpc.py"))
    [stub, *_] = sorted(PROTOS.glob("lastframe/*/v1/*_pb2.py"))
    grpcio = re.search(r"GRPC_GENERATED_VERSION = '([\d.]+)'", grpc_stub.read_text())
    protobuf = re.search(r"Protobuf Python Version: ([\d.]+)", stub.read_text())
    assert grpcio is not None and protobuf is not None
    protos = metadata.version("googleapis-common-protos").rpartition(".")[0]
    return [f"grpcio>={grpcio[1]}", f"protobuf>={protobuf[1]}", f"googleapis-common-protos>={protos}"]


def _version() -> str:
    found = re.search(r'VERSION = "([^"]+)"', (ROOT / "shared" / "runtime" / "version.py").read_text())
    assert found is not None
    return found[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "dist")
    print(build(parser.parse_args().into))
