"""What every handler may ask about the call it serves."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from shared.rpc.keys import Caller


@dataclass(frozen=True)
class Call:
    """One incoming RPC.

    Attributes:
        caller: None on open methods.
        idempotency_key: the client's `Idempotency-Key`, or None.
        trace: `x-request-id` and `traceparent` as received.
    """

    caller: Caller | None
    idempotency_key: str | None = None
    trace: Mapping[str, str] = field(default_factory=dict)


_current: ContextVar[Call] = ContextVar("lastframe_call")


def current_call() -> Call:
    return _current.get()


def current_caller() -> Caller:
    """The authenticated caller; only for methods that need a key."""
    caller = _current.get().caller
    assert caller is not None
    return caller


def set_current_call(call: Call) -> None:
    _current.set(call)
