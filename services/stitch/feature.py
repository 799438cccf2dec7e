"""Registers the stitch feature with the runtime."""

from __future__ import annotations

import grpc
from lastframe.stitch.v1 import stitch_pb2_grpc

from services.stitch.api import StitchService
from services.stitch.job import plan_stitch, stitch_videos
from shared.jobs.ledger import Ledger
from shared.rpc.submit import Submitter
from shared.runtime.feature import Feature
from shared.tasks import TaskKind


def register(submitter: Submitter, ledger: Ledger, server: grpc.aio.Server) -> None:
    stitch_pb2_grpc.add_StitchServiceServicer_to_server(StitchService(submitter), server)


FEATURE = Feature(
    name="stitch",
    service_names=("lastframe.stitch.v1.StitchService",),
    register=register,
    jobs={TaskKind.VIDEO_STITCH: stitch_videos},
    plans={TaskKind.VIDEO_STITCH: plan_stitch},
    preload=("services.stitch.stitch",),
)
