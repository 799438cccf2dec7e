"""The one way out to addresses that strangers choose: a resolver that judges, and a session that dials what was judged.

A name is resolved once for the life of a session; every address it has must be allowed, or none is dialled; the
connection goes to exactly those addresses while the Host header, SNI and the certificate keep the name. A second
gate judges the socket's own address just before it connects: aiohttp asks no resolver about IP literals.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.addresses import IPAddress
from shared.urls import OutboundPolicy

USER_AGENT = "LastFrame/1.0"
MAX_HEADER_BYTES = 8190  # of the status line and of each field
MAX_HEADERS = 100
DNS_THREADS = 128  # made when needed

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""From a host name to its addresses as text; raises `OSError` (`socket.gaierror`) when it has none."""


class AddressRefused(OSError):
    """A forbidden address was about to be dialled. The reason is for the log, not for the client."""


class _JudgingResolver(AbstractResolver):
    def __init__(self, lookup: Lookup, policy: OutboundPolicy) -> None:
        self._lookup = lookup
        self._policy = policy
        self._pinned: dict[str, list[IPAddress]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if host not in self._pinned:
            addresses = [ipaddress.ip_address(text) for text in await self._lookup(host)]
            for address in addresses:
                _judge(address, self._policy)
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "no address")
            self._pinned.setdefault(host, addresses)  # two requests may have asked at once: the first answer counts
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET6 if address.version == 6 else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._pinned[host]
        ]

    async def close(self) -> None:
        return None


class Outbound:
    """Makes sessions that can only reach what the policy allows.

    Args:
        policy: see `OutboundPolicy`.
        lookup: from name to addresses; the system's resolver unless a test brings its own.
        ssl_context: the system's trust store unless a test brings its own.
    """

    def __init__(
        self, policy: OutboundPolicy, *, lookup: Lookup | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self.policy = policy
        self._lookup = lookup or self._system_lookup
        self._ssl = ssl_context or ssl.create_default_context()
        # Own threads: names with dead name servers block getaddrinfo for many seconds and must starve neither the
        # loop's other thread work nor, by their number, the names of others.
        self._threads = ThreadPoolExecutor(max_workers=DNS_THREADS, thread_name_prefix="dns")

    def session(self) -> aiohttp.ClientSession:
        """A new session with its own pins and connections; the caller closes it. Timeouts are the caller's."""
        connector = aiohttp.TCPConnector(
            resolver=_JudgingResolver(self._lookup, self.policy),
            use_dns_cache=False,
            family=socket.AF_UNSPEC,
            socket_factory=self._judged_socket,
            ssl=self._ssl,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
            read_bufsize=2**18,
        )

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _system_lookup(self, host: str) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(row[4][0]) for row in found))

    def _judged_socket(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, sockaddr = info
        _judge(ipaddress.ip_address(sockaddr[0]), self.policy)
        return socket.socket(family=family, type=kind, proto=protocol)


def explain(error: BaseException) -> tuple[str, bool]:
    """What a failed exchange means to the client: a sentence without addresses, and whether trying again may help."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, AddressRefused):
        return "the address of this URL is not allowed", False
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the server's TLS certificate is not valid", False
    if isinstance(error, aiohttp.ClientSSLError):
        return "a secure connection to the server could not be made", True
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        if getattr(cause, "errno", None) in (socket.EAI_NONAME, socket.EAI_NODATA):
            return "the host name of this URL does not exist", False
        return "the host name of this URL could not be resolved", True
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "the server could not be reached in time", True
    if isinstance(error, TimeoutError):
        return "the server did not answer in time", True
    if isinstance(error, aiohttp.ClientConnectorError):
        return "could not connect to the server", True
    if isinstance(error, (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
        return "the connection to the server broke", True
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.InvalidURL, ValueError)):
        return "the server's answer is not valid HTTP", False
    return "the server could not be read", True


def _judge(address: IPAddress, policy: OutboundPolicy) -> None:
    reason = policy.why_forbidden(address)
    if reason is not None:
        raise AddressRefused(f"{address} is forbidden: {reason}")
