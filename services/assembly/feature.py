"""Registers the assembly feature with the runtime."""

from __future__ import annotations

import grpc
from lastframe.assembly.v1 import assembly_pb2_grpc

from services.assembly.api import AssemblyService
from services.assembly.job import assemble_movie, plan_assembly
from shared.jobs.ledger import Ledger
from shared.rpc.submit import Submitter
from shared.runtime.feature import Feature
from shared.tasks import TaskKind


def register(submitter: Submitter, ledger: Ledger, server: grpc.aio.Server) -> None:
    assembly_pb2_grpc.add_AssemblyServiceServicer_to_server(AssemblyService(submitter, ledger), server)


FEATURE = Feature(
    name="assembly",
    service_names=("lastframe.assembly.v1.AssemblyService",),
    register=register,
    jobs={TaskKind.MOVIE_ASSEMBLY: assemble_movie},
    plans={TaskKind.MOVIE_ASSEMBLY: plan_assembly},
    preload=("services.assembly.assemble",),
)
