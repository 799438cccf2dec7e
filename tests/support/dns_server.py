"""A real name server on loopback UDP whose answers change as a test says, and a lookup that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset


class FakeNames(asyncio.DatagramProtocol):
    """`answers[name]` is a list of answers, each a list of addresses: one for each lookup, the last for ever. TTL 0."""

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._current: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        reply = dns.message.make_response(query)
        if question.rdtype == dns.rdatatype.A:  # a lookup asks for A first, then for AAAA of the same answer
            self.asked.append(name)
            rounds = self.answers.get(name, [])
            self._current = (rounds.pop(0) if len(rounds) > 1 else rounds[0]) if rounds else []
        wanted = [text for text in self._current if (":" in text) == (question.rdtype == dns.rdatatype.AAAA)]
        if wanted:
            reply.answer.append(dns.rrset.from_text(question.name, 0, "IN", question.rdtype, *wanted))
        elif name not in self.answers:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        assert self._transport is not None
        self._transport.sendto(reply.to_wire(), addr)

    async def lookup(self, host: str) -> Sequence[str]:
        """For `Outbound(lookup=...)`."""
        assert self._transport is not None
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self._transport.get_extra_info("sockname")[1]
        found: list[str] = []
        for kind in ("A", "AAAA"):
            try:
                found += [record.to_text() for record in await resolver.resolve(host, kind, search=False)]
            except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
                continue
        return found


@asynccontextmanager
async def fake_names() -> AsyncIterator[FakeNames]:
    transport, names = await asyncio.get_running_loop().create_datagram_endpoint(FakeNames, local_addr=("127.0.0.1", 0))
    try:
        yield names
    finally:
        transport.close()
