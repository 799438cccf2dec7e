"""Plans between roles: workers serve them, api roles ask for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from lastframe.internal.v1 import plans_pb2, plans_pb2_grpc

from shared.ports import PlanMaker
from shared.rpc.call import current_call
from shared.rpc.faults import error_of
from shared.rpc.tls import channel_credentials
from shared.tasks import Plan, TaskKind

PLANS_SERVICE = "lastframe.internal.v1.PlansService"
_MARGIN_SECONDS = 2.0
# A call goes to any of the workers, and to the next one where that does not answer.
_OPTIONS = (
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": True}}]})),
)


class PlansService(plans_pb2_grpc.PlansServiceServicer):
    """A worker's door for api roles. It asks for no key: the network and mutual TLS let nobody else in."""

    def __init__(self, plan: PlanMaker) -> None:
        self._plan = plan

    def register(self, server: grpc.aio.Server) -> None:
        plans_pb2_grpc.add_PlansServiceServicer_to_server(self, server)

    async def MakePlan(self, request: plans_pb2.MakePlanRequest, context: Any) -> plans_pb2.MakePlanResponse:
        plan = await self._plan(
            TaskKind(request.kind), json.loads(request.inputs_json), json.loads(request.options_json)
        )
        return plans_pb2.MakePlanResponse(plan=plan_message(plan))


class RemotePlanner:
    """Has a worker make the plan.

    A channel lives for one call: plans are rare, and so a renewed certificate or a new worker needs no care.

    Args:
        address: `host:port` of the workers, whose name leads to all of them; or several, comma-separated.
        deadline_seconds: the worker's own.
        tls_directory: call over mutual TLS with the certificates there.
    """

    def __init__(self, address: str, *, deadline_seconds: float, tls_directory: Path | None = None) -> None:
        self._target = f"ipv4:{address}" if "," in address else f"dns:///{address}"
        self._timeout_seconds = deadline_seconds + _MARGIN_SECONDS
        self._tls_directory = tls_directory

    async def __call__(self, kind: TaskKind, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> Plan:
        """See `PlanMaker`; `Unavailable` when no worker answers."""
        request = plans_pb2.MakePlanRequest(
            kind=kind.value, inputs_json=json.dumps(dict(inputs)), options_json=json.dumps(dict(options))
        )
        async with self._channel() as channel:
            try:
                reply = await plans_pb2_grpc.PlansServiceStub(channel).MakePlan(
                    request, timeout=self._timeout_seconds, metadata=tuple(current_call().trace.items())
                )
            except grpc.aio.AioRpcError as error:
                raise error_of(error) from error
        return Plan(MessageToDict(reply.plan))

    def _channel(self) -> grpc.aio.Channel:
        if self._tls_directory is None:
            return grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        return grpc.aio.secure_channel(self._target, channel_credentials(self._tls_directory), options=_OPTIONS)


def plan_message(plan: Plan) -> Struct:
    return ParseDict(dict(plan.facts), Struct())
