"""Which internet addresses a stranger's URL may lead to: one list, used by the code and by the network policy.

The list follows the IANA special-purpose registries (RFC 6890 and later:
https://www.iana.org/assignments/iana-ipv4-special-registry, .../iana-ipv6-special-registry).
`ipaddress.is_global` is not used: Python 3.11 calls NAT64 (`64:ff9b::/96`), 6to4 (`2002::/16`) and
192.0.0.8 global. No I/O here.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# Unicast space that IANA has given out. IPv6 outside 2000::/3 is unspecified, loopback, IPv4-mapped, NAT64,
# unique-local, link-local, multicast or unassigned; none of it is a public server.
PUBLIC_SPACE: tuple[IPNetwork, ...] = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("2000::/3"))


@dataclass(frozen=True)
class ForbiddenRange:
    """A range inside `PUBLIC_SPACE` that is never dialled, and why."""

    network: IPNetwork
    reason: str


def _ranges(*rows: tuple[str, str]) -> tuple[ForbiddenRange, ...]:
    return tuple(ForbiddenRange(ipaddress.ip_network(cidr), reason) for cidr, reason in rows)


FORBIDDEN_RANGES: tuple[ForbiddenRange, ...] = _ranges(
    ("0.0.0.0/8", "this host (RFC 1122)"),
    ("10.0.0.0/8", "private (RFC 1918)"),
    ("100.64.0.0/10", "carrier-grade NAT (RFC 6598), Alibaba metadata"),
    ("127.0.0.0/8", "loopback (RFC 1122)"),
    ("168.63.129.16/32", "Azure's platform endpoint: a public number that answers only inside"),
    ("169.254.0.0/16", "link-local (RFC 3927), cloud metadata"),
    ("172.16.0.0/12", "private (RFC 1918)"),
    ("192.0.0.0/24", "IETF protocol assignments (RFC 6890), Oracle metadata"),
    ("192.0.2.0/24", "documentation (RFC 5737)"),
    ("192.88.99.0/24", "6to4 relay (RFC 7526)"),
    ("192.168.0.0/16", "private (RFC 1918)"),
    ("198.18.0.0/15", "benchmarking (RFC 2544)"),
    ("198.51.100.0/24", "documentation (RFC 5737)"),
    ("203.0.113.0/24", "documentation (RFC 5737)"),
    ("224.0.0.0/4", "multicast (RFC 5771)"),
    ("240.0.0.0/4", "reserved (RFC 1112), broadcast"),
    ("2001::/23", "IETF protocol assignments (RFC 2928): Teredo, ORCHID, benchmarking"),
    ("2001:db8::/32", "documentation (RFC 3849)"),
    ("2002::/16", "6to4, embeds an IPv4 address (RFC 3056)"),
    ("3fff::/20", "documentation (RFC 9637)"),
)

# What `LASTFRAME_ALLOW_PRIVATE_SOURCES=1` opens. Link-local (metadata), multicast and reserved stay shut.
LOCAL_RANGES: tuple[IPNetwork, ...] = tuple(
    ipaddress.ip_network(cidr)
    for cidr in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
    )
)

# Metadata services that sit inside a range above.
_NEVER = frozenset(ipaddress.ip_address(text) for text in ("100.100.100.200", "fd00:ec2::254", "fd00:ec2::23"))


def why_forbidden(address: IPAddress, *, allow_private: bool = False) -> str | None:
    """Judge one address.

    Args:
        address: what would be dialled. IPv4-mapped, 6to4, NAT64 and Teredo addresses are refused as they stand,
            whatever IPv4 address they carry.
        allow_private: accept loopback and private ranges (development and tests).

    Returns:
        None when it may be dialled, else the reason, for the log only.
    """
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return "scoped to one network link"
    if allow_private and address not in _NEVER and any(address in network for network in LOCAL_RANGES):
        return None
    for forbidden in FORBIDDEN_RANGES:
        if address in forbidden.network:
            return forbidden.reason
    if not any(address in network for network in PUBLIC_SPACE):
        return "outside of public unicast space"
    return None


def parse_ipv4(host: str) -> ipaddress.IPv4Address | None:
    """Read a host as an IPv4 literal the way browsers and `inet_aton` do: 1-4 decimal, octal or hex parts.

    `2130706433`, `0x7f.1` and `017700000001` are all 127.0.0.1 (https://url.spec.whatwg.org/#concept-ipv4-parser).

    Returns:
        The address, or None when `host` is a name: its last label is not a number.

    Raises:
        ValueError: it ends in a number and is no IPv4 address (`1.2.3.4.5`, `256.1.1.1`, `09`).
    """
    parts = host.removesuffix(".").split(".")
    if not (parts[-1].isdigit() and parts[-1].isascii()) and _number(parts[-1]) is None:
        return None
    numbers = [_number(part) for part in parts]
    if len(numbers) > 4:
        raise ValueError("an IPv4 address has at most four parts")
    value = 0
    for position, number in enumerate(numbers):
        last = position == len(numbers) - 1
        room = 256 ** (5 - len(numbers)) if last else 256
        if number is None or number >= room:
            raise ValueError("not an IPv4 address")
        value = value * room + number
    return ipaddress.IPv4Address(value)


def _number(part: str) -> int | None:
    """One part of an IPv4 literal; None when it is not a number in C notation."""
    digits, base = part, 10
    if part[:2] in ("0x", "0X"):
        digits, base = part[2:] or "0", 16
    elif len(part) > 1 and part.startswith("0"):
        digits, base = part[1:], 8
    if not digits.isascii() or not digits.isalnum() or len(digits) > 64:
        return None  # int() would also take "+1", "1_0" and digits of other scripts
    try:
        return int(digits, base)
    except ValueError:
        return None
