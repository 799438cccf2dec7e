"""Generates the Python stubs beside the protos, and the descriptor set that Envoy's transcoder reads.

`--check` generates into a temporary folder instead and fails when the committed stubs differ.
protovalidate's wheel carries `validate.proto` only as a descriptor, so that is where it is taken from.
"""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GOOGLEAPIS = Path(annotations_pb2.__file__).parent.parent.parent
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"


def write_validate_descriptors(path: Path) -> None:
    """A descriptor set of `buf/validate/validate.proto` and what it imports."""
    from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2

    descriptors = FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, timestamp_pb2, field_mask_pb2):
        module.DESCRIPTOR.CopyToProto(descriptors.file.add())
    descriptors.file.add().ParseFromString(validate_pb._DESC.proto.to_binary())
    path.write_bytes(descriptors.SerializeToString())


def own_protos() -> list[str]:
    return sorted(str(p.relative_to(PROTOS)) for p in PROTOS.glob("lastframe/**/*.proto"))


def run_protoc(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        sys.exit("protoc failed")


def generate(target: Path) -> None:
    """Writes every stub, and `lastframe.binpb` (all descriptors, with comments), below `target`."""
    with tempfile.TemporaryDirectory() as temporary:
        validate_source = Path(temporary, "validate.binpb")
        write_validate_descriptors(validate_source)
        inputs = [f"--descriptor_set_in={validate_source}", f"-I{PROTOS}", f"-I{GOOGLEAPIS}", f"-I{WELL_KNOWN}"]
        python = [f"--python_out={target}", f"--pyi_out={target}"]
        run_protoc(
            *inputs,
            *python,
            f"--grpc_python_out={target}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={target / 'lastframe.binpb'}",
            *own_protos(),
        )
        run_protoc(*inputs, *python, "buf/validate/validate.proto")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the committed stubs are stale")
    if not parser.parse_args().check:
        generate(PROTOS)
        return
    with tempfile.TemporaryDirectory() as temporary:
        generate(Path(temporary))
        stale = [
            str(path.relative_to(temporary))
            for path in sorted(Path(temporary).rglob("*"))
            if path.is_file()
            and not (
                (PROTOS / path.relative_to(temporary)).exists()
                and filecmp.cmp(path, PROTOS / path.relative_to(temporary), shallow=False)
            )
        ]
    if stale:
        sys.exit("stale stubs, run `make protos`: " + ", ".join(stale))


if __name__ == "__main__":
    main()
