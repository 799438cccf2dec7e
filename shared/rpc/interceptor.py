"""One interceptor for every method: key, rules, context, and exceptions made into statuses."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from opentelemetry.trace import SpanKind

from shared import metrics
from shared.errors import InvalidRequest, LastFrameError
from shared.rpc.call import Call, set_current_call
from shared.rpc.faults import abort, check
from shared.rpc.keys import KeyRing
from shared.tracing import context_of, log_fields, span

log = structlog.get_logger(__name__)

OPEN_PREFIXES = ("/grpc.", "/lastframe.server.v1.SiteService/", "/lastframe.internal.")
OPEN_METHODS = frozenset({"/lastframe.server.v1.ServerService/GetRoot", "/lastframe.server.v1.ServerService/GetHealth"})
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
TRACE_KEYS = ("x-request-id", "traceparent")
MAX_TRACE_LENGTH = 128  # they are kept with the task, written into every log line and sent with its webhook

Context = Any  # grpc.aio.ServicerContext; grpc ships no types


def needs_key(method: str) -> bool:
    return not (method.startswith(OPEN_PREFIXES) or method in OPEN_METHODS)


class Door(grpc.aio.ServerInterceptor):
    """Wraps every handler of a server.

    Args:
        keys: a callable, so that keys may change while the server runs.
        admit: called with the method and caller before the handler; raises `Overloaded` to refuse.
    """

    def __init__(
        self, keys: Callable[[], KeyRing], admit: Callable[[str, Call], Awaitable[None]] | None = None
    ) -> None:
        self._keys = keys
        self._admit = admit

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(details)
        if handler is None or details.method.startswith("/grpc."):
            return handler
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(details.method, handler.unary_unary),
                request_deserializer=_decoder(handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(details.method, handler.unary_stream),
                request_deserializer=_decoder(handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                self._collecting(details.method, handler.stream_unary),
                request_deserializer=_decoder(handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        raise NotImplementedError(f"{details.method}: streams in both directions would pass without a key")

    def _unary(self, method: str, behavior: Callable[[Any, Context], Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def serve(request: Any, context: Context) -> Any:
            async with self._guarded(method, request, context):
                return await behavior(request, context)

        return serve

    def _streaming(
        self, method: str, behavior: Callable[[Any, Context], AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._guarded(method, request, context):
                async for reply in behavior(request, context):
                    yield reply

        return serve

    def _collecting(
        self, method: str, behavior: Callable[[AsyncIterator[Any], Context], Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        async def serve(requests: AsyncIterator[Any], context: Context) -> Any:
            async with self._guarded(method, None, context):  # judged before anything is read
                return await behavior(_checked(requests), context)

        return serve

    @asynccontextmanager
    async def _guarded(self, method: str, request: Any, context: Context) -> AsyncIterator[None]:
        """Judges the call, runs the handler inside, and ends the call with a status when either fails."""
        began = time.perf_counter()
        code = "CANCELLED"
        try:
            call = self._enter(method, context)
            await self._admitted(method, call)  # a request that breaks the rules is a call as well
            if request is not None:
                _check(request)
            with span(method.removeprefix("/"), call.trace, SpanKind.SERVER) as current:
                set_current_call(replace(call, trace=context_of(current, call.trace)))
                yield
            code = "OK"
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            refusal = _named(method, error)
            code = refusal.grpc_code
            await abort(context, refusal, _over_rest(context))
        finally:
            metrics.rpc_seconds.labels(method, code).observe(time.perf_counter() - began)

    async def _admitted(self, method: str, call: Call) -> None:
        if self._admit is not None:
            await self._admit(method, call)

    def _enter(self, method: str, context: Context) -> Call:
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        caller = self._keys().authenticate(metadata.get("authorization")) if needs_key(method) else None
        idempotency_key = metadata.get("idempotency-key")
        if idempotency_key is not None and not IDEMPOTENCY_KEY.fullmatch(idempotency_key):
            raise InvalidRequest("Idempotency-Key must be 1-255 printable ASCII characters")
        trace = {key: metadata[key] for key in TRACE_KEYS if 0 < len(metadata.get(key, "")) <= MAX_TRACE_LENGTH}
        call = Call(caller, idempotency_key, trace)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**log_fields(trace))
        return call


async def _checked(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        _check(request)
        yield request


class _Undecodable:
    """In the place of a message: by itself gRPC would answer UNKNOWN, with the exception's own text."""


def _decoder(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def attempt(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            return _Undecodable()

    return attempt


def _check(request: Any) -> None:
    """Raises `InvalidRequest`."""
    if isinstance(request, _Undecodable):
        raise InvalidRequest("The request cannot be decoded; texts must be valid UTF-8")
    check(request)


def _over_rest(context: Context) -> bool:
    return any(key == "x-envoy-original-path" for key, _ in context.invocation_metadata() or ())


def _named(method: str, error: Exception) -> LastFrameError:
    """The failure that the client sees; what the product does not name stays in the log."""
    if not isinstance(error, LastFrameError):
        log.exception("rpc_broke", method=method)
        return LastFrameError("Internal server error")
    if error.http_status >= 500:
        log.warning("rpc_failed", method=method, error=error.word, detail=error.detail)
    return error
