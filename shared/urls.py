"""What a URL of a user's may look like, and where it may lead. Pure: no DNS, no I/O.

Everything outbound goes through `parse`: a submitted URL (the api, by `check_url`), a source and each of its
redirects, a webhook. What was judged is what is dialled: `WebUrl.text` is rebuilt from the judged parts, so that
no second parser can read another host into it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

import idna

from shared.addresses import IPAddress, parse_ipv4, why_forbidden
from shared.errors import InvalidRequest

MAX_URL_LENGTH = 4096  # presigned URLs with session tokens pass 2048; a header line of 8190 still holds this
DEFAULT_PORTS = {"http": 80, "https": 443}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_OBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,120}\.[a-z0-9]{1,5}")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\Z")
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{0,5}))?\Z")
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~-._|"  # sent as they are, so that signatures over the URL still hold


class UrlRefused(ValueError):
    """The URL is malformed or leads where it must not; the text is a sentence part for the client: `must …`."""


@dataclass(frozen=True)
class OutboundPolicy:
    """Where requests on behalf of users may go.

    Attributes:
        allow_private: loopback and private addresses and every port too (`LASTFRAME_ALLOW_PRIVATE_SOURCES`:
            development and tests). Link-local, metadata, multicast and reserved addresses stay refused.
        allowed_ports: the ports that may be dialled otherwise.
        own_results_url: results of this suite are served below it and may be sources of further jobs, wherever it is,
            because they are read from the object store and nothing is dialled; empty for none.
    """

    allow_private: bool = False
    allowed_ports: frozenset[int] = frozenset({80, 443})
    own_results_url: str = ""

    def own_result(self, url: str) -> str | None:
        """The object's name when `url` is one of this suite's own results."""
        if not self.own_results_url or not url.startswith(self.own_results_url):
            return None
        name = url[len(self.own_results_url) :]
        return name if _OBJECT_NAME.fullmatch(name) else None

    def why_forbidden(self, address: IPAddress) -> str | None:
        """None when `address` may be dialled, else the reason, for the log only."""
        return why_forbidden(address, allow_private=self.allow_private)

    def allows_port(self, port: int) -> bool:
        return self.allow_private or port in self.allowed_ports


@dataclass(frozen=True)
class WebUrl:
    """A judged http(s) URL.

    Attributes:
        text: the canonical URL, without fragment; dial this and nothing else.
        host: lower case ASCII (IDNA), or the usual spelling of an IP literal, IPv6 without brackets.
        address: the address when the host is a literal, else None: then every address the name resolves to
            must be judged when it is dialled.
    """

    text: str
    scheme: str
    host: str
    port: int
    address: IPAddress | None


def parse(url: str, policy: OutboundPolicy) -> WebUrl:
    """Judge a URL as far as its text goes.

    Raises:
        UrlRefused: not http(s), no host, userinfo, a port that is not allowed, control characters, too long, a
            malformed host, or a literal address (in any spelling that `inet_aton` takes) that is forbidden.
    """
    if len(url) > MAX_URL_LENGTH:
        raise UrlRefused(f"must be at most {MAX_URL_LENGTH} characters long")
    if _CONTROL.search(url) or url != url.strip():
        raise UrlRefused("must not contain control characters or begin or end with spaces")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UrlRefused("must be a valid URL") from error
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise UrlRefused("must start with http:// or https://")
    if "@" in parts.netloc:
        raise UrlRefused("must not contain a user name or password")
    authority = _AUTHORITY.match(parts.netloc)
    if authority is None or not authority["host"]:
        raise UrlRefused("must name a host")
    host, address = _judge_host(authority["host"], policy)
    port = int(authority["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port < 65536 or not policy.allows_port(port):
        raise UrlRefused(f"must use an allowed port, not {port}")
    netloc = f"[{host}]" if ":" in host else host
    if port != DEFAULT_PORTS[scheme]:
        netloc += f":{port}"
    try:
        path = quote(parts.path or "/", safe=_URL_CHARACTERS)
        query = "?" + quote(parts.query, safe=_URL_CHARACTERS) if parts.query else ""
    except UnicodeEncodeError as error:  # a lone surrogate
        raise UrlRefused("must be valid Unicode") from error
    return WebUrl(f"{scheme}://{netloc}{path}{query}", scheme, host, port, address)


def parse_redirect(base: WebUrl, location: str, policy: OutboundPolicy) -> WebUrl:
    """Judge the target of a redirect. From https to plain http is not followed: who asked for a secure
    connection must not lose it on the way.

    Raises:
        UrlRefused: as `parse`, or a downgrade.
    """
    try:
        target = parse(urljoin(base.text, location), policy)
    except UrlRefused:
        raise
    except ValueError as error:
        raise UrlRefused("must be a valid URL") from error
    if base.scheme == "https" and target.scheme == "http":
        raise UrlRefused("must not lead from https to http")
    return target


def check_url(url: str, *, field: str, word: str, policy: OutboundPolicy, is_source: bool = False) -> None:
    """Judge a submitted URL before a task is made of it; names are judged again, by address, when they are dialled.

    Args:
        field: the request field, e.g. `video_urls[3]`.
        word: the error word, e.g. `invalid_video_url`.
        is_source: it may also be one of this suite's own results.

    Raises:
        InvalidRequest: with `word`, naming `field`.
    """
    if is_source and policy.own_result(url) is not None:
        return
    try:
        parse(url, policy)
    except UrlRefused as error:
        raise InvalidRequest(f"{field} {error}", word=word, input_name=field) from error


def _judge_host(written: str, policy: OutboundPolicy) -> tuple[str, IPAddress | None]:
    try:
        host, address = _read_host(written)
    except ValueError as error:  # idna.IDNAError and ipaddress.AddressValueError are ValueErrors
        raise UrlRefused("must name a valid host") from error
    if address is not None and policy.why_forbidden(address) is not None:
        raise UrlRefused("must not lead to a private or reserved address")
    if not policy.allow_private and (host == "localhost" or host.endswith(".localhost")):  # RFC 6761
        raise UrlRefused("must not lead to a private or reserved address")
    return host, address


def _read_host(written: str) -> tuple[str, IPAddress | None]:
    if written.startswith("["):
        address: IPAddress | None = ipaddress.IPv6Address(written[1:-1])
        return str(address), address
    # UTS 46 as browsers do it: full-width digits and letters become ASCII before anything is judged.
    mapped = written if written.isascii() else idna.uts46_remap(written, std3_rules=False, transitional=False)
    name = mapped.lower().removesuffix(".")
    if not name.isascii():
        name = idna.encode(name).decode("ascii")
    address = parse_ipv4(name)
    if address is not None:
        return str(address), address
    if not _NAME.match(name):
        raise ValueError("not a host name")
    return name, None
