"""Registers the probe feature with the runtime."""

from __future__ import annotations

import grpc
from lastframe.probe.v1 import probe_pb2_grpc

from services.probe.api import ProbeService
from services.probe.job import measure_length, plan_length
from shared.jobs.ledger import Ledger
from shared.rpc.submit import Submitter
from shared.runtime.feature import Feature
from shared.tasks import TaskKind


def register(submitter: Submitter, ledger: Ledger, server: grpc.aio.Server) -> None:
    probe_pb2_grpc.add_ProbeServiceServicer_to_server(ProbeService(submitter), server)


FEATURE = Feature(
    name="probe",
    service_names=("lastframe.probe.v1.ProbeService",),
    register=register,
    jobs={TaskKind.MEDIA_LENGTH: measure_length},
    plans={TaskKind.MEDIA_LENGTH: plan_length},
    preload=("services.probe.length", "services.probe.plan"),
)
