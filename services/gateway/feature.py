"""Registers tasks, server, site and uploads with the runtime."""

from __future__ import annotations

import grpc
from lastframe.server.v1 import server_pb2_grpc, uploads_pb2_grpc
from lastframe.tasks.v1 import tasks_pb2_grpc

from services.gateway.server import Deployment, ServerService
from services.gateway.site import SiteService
from services.gateway.tasks import TasksService
from services.gateway.uploads import UploadsService
from shared.jobs.ledger import Ledger
from shared.rpc.submit import Submitter
from shared.runtime.feature import Feature
from shared.runtime.settings import Settings
from shared.runtime.version import VERSION
from shared.runtime.wiring import Backends


def gateway_feature(settings: Settings, backends: Backends, sandbox: str | None) -> tuple[Feature, ServerService]:
    """The gateway's feature, and its ServerService, which is told when the process drains."""
    server_service = ServerService(
        backends.ledger,
        backends.objects,
        backends.gpu,
        Deployment(VERSION, settings.max_concurrent_tasks, backends.embedded, sandbox),
    )

    def register(submitter: Submitter, ledger: Ledger, server: grpc.aio.Server) -> None:
        tasks = TasksService(
            ledger,
            backends.objects,
            backends.policy,
            submitter.accept,
            watches_of_one_key=settings.max_watches_per_key,
        )
        tasks_pb2_grpc.add_TasksServiceServicer_to_server(tasks, server)
        server_pb2_grpc.add_ServerServiceServicer_to_server(server_service, server)
        server_pb2_grpc.add_SiteServiceServicer_to_server(SiteService(settings.media_origins), server)
        uploads = UploadsService(
            backends.objects, max_bytes=settings.max_input_bytes, scratch=settings.data_dir / "uploads"
        )
        uploads_pb2_grpc.add_UploadsServiceServicer_to_server(uploads, server)

    feature = Feature(
        name="gateway",
        service_names=(
            "lastframe.tasks.v1.TasksService",
            "lastframe.server.v1.ServerService",
            "lastframe.server.v1.SiteService",
            "lastframe.server.v1.UploadsService",
        ),
        register=register,
        beside=server_service.health.run,
    )
    return feature, server_service
