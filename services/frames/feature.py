"""Registers the frames feature with the runtime."""

from __future__ import annotations

import grpc
from lastframe.frames.v1 import frames_pb2_grpc

from services.frames.api import FramesService
from services.frames.job import extract_last_frame, plan_last_frame
from shared.jobs.ledger import Ledger
from shared.rpc.submit import Submitter
from shared.runtime.feature import Feature
from shared.tasks import TaskKind


def register(submitter: Submitter, ledger: Ledger, server: grpc.aio.Server) -> None:
    frames_pb2_grpc.add_FramesServiceServicer_to_server(FramesService(submitter), server)


FEATURE = Feature(
    name="frames",
    service_names=("lastframe.frames.v1.FramesService",),
    register=register,
    jobs={TaskKind.LAST_FRAME: extract_last_frame},
    plans={TaskKind.LAST_FRAME: plan_last_frame},
    preload=("services.frames.last_frame", "services.frames.plan"),
)
