"""Hundreds of spellings of places where no stranger may send us."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import socket
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses import FORBIDDEN_RANGES, LOCAL_RANGES, PUBLIC_SPACE, parse_ipv4, why_forbidden
from shared.errors import InvalidRequest
from shared.urls import OutboundPolicy, UrlRefused, WebUrl, check_url, parse, parse_redirect

STRICT = OutboundPolicy()
OPEN = OutboundPolicy(allow_private=True)

INSIDE = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.1.2.3",
    "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
INSIDE_V6 = (
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8", "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1",
    "3ffe::1%eth0", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fe80::1%25eth0",
    "fec0::1", "ff02::1", "ff0e::1",
)  # fmt: skip
OUTSIDE = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.1.1.1", "128.0.0.1",
    "172.15.255.255", "172.32.0.1", "192.0.1.1", "192.167.1.1", "192.169.1.1", "198.17.255.255", "198.20.0.1",
    "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2003::1", "2001:200::1",
)  # fmt: skip


def spellings(address: str) -> list[str]:
    """Every way that inet_aton, a browser or a careless parser reads as this IPv4 address."""
    a, b, c, d = (int(part) for part in address.split("."))
    groups = [(a, b, c, d), (a, b, c * 256 + d), (a, b * 65536 + c * 256 + d), (int(ipaddress.IPv4Address(address)),)]
    notations = (str, hex, lambda n: hex(n).upper().replace("0X", "0x"), lambda n: f"0{n:o}", lambda n: f"0x{n:012x}")
    found = [".".join(write(n) for n in group) for group in groups for write in notations]
    found += [".".join(w(n) for w, n in zip(pair, groups[0], strict=True)) for pair in ((str, hex, oct_c, str),)]
    wide = str.maketrans(string.digits, "０１２３４５６７８９")
    circled = str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")
    found += [
        address.translate(wide),
        address.translate(circled),
        address.replace(".", "。"),
        address.replace(".", "．"),
    ]
    return [*found, address + ".", "\u00ad" + address]


def oct_c(number: int) -> str:
    return f"0{number:o}"


@pytest.mark.parametrize("address", INSIDE)
def test_every_spelling_of_an_inside_address_is_refused(address: str) -> None:
    for scheme, host in itertools.product(("http", "HTTPS"), spellings(address)):
        with pytest.raises(UrlRefused, match="private or reserved"):
            parse(f"{scheme}://{host}/clip.mp4", STRICT)


@pytest.mark.parametrize("address", INSIDE_V6)
def test_inside_ipv6_is_refused(address: str) -> None:
    for host in {address, address.upper()}:
        with pytest.raises(UrlRefused):
            parse(f"http://[{host}]/", STRICT)
    if "%25" not in address:
        assert why_forbidden(ipaddress.ip_address(address)) is not None
    if "%" not in address:
        exploded = ipaddress.ip_address(address).exploded
        with pytest.raises(UrlRefused):
            parse(f"http://[{exploded}]/", STRICT)


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are_let_through(address: str) -> None:
    assert why_forbidden(ipaddress.ip_address(address)) is None
    host = f"[{address}]" if ":" in address else address
    assert parse(f"http://{host}/", STRICT).address == ipaddress.ip_address(address)


def test_every_public_spelling_is_dialled_by_its_usual_name() -> None:
    for host in spellings("8.8.4.4"):
        assert parse(f"http://{host}/", STRICT).text == "http://8.8.4.4/"


@given(st.ip_addresses())
def test_what_python_knows_as_not_global_is_refused(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert why_forbidden(address) is not None


@given(st.sampled_from([*FORBIDDEN_RANGES]), st.integers(min_value=0))
def test_no_address_of_a_forbidden_range_passes(entry: object, offset: int) -> None:
    network = entry.network  # type: ignore[attr-defined]
    address = network[offset % network.num_addresses]
    assert why_forbidden(address) is not None
    if not any(address in local for local in LOCAL_RANGES):
        assert why_forbidden(address, allow_private=True) is not None


def test_the_list_fits_a_network_policy() -> None:
    """Kubernetes wants each `except` strictly inside of its `cidr`; ours do not overlap either."""
    networks = [entry.network for entry in FORBIDDEN_RANGES]
    for network in networks:
        assert sum(network.version == space.version and network.subnet_of(space) for space in PUBLIC_SPACE) == 1
    for one, other in itertools.combinations(networks, 2):
        assert one.version != other.version or not one.overlaps(other)


def test_the_development_setting_opens_local_ranges_only() -> None:
    for host in (
        "127.0.0.1",
        "[::1]",
        "10.0.0.1",
        "192.168.1.1",
        "172.17.0.1",
        "[fd12::1]",
        "localhost",
        "a.localhost",
    ):
        assert parse(f"http://{host}:8123/", OPEN).port == 8123
    for host in (
        "169.254.169.254", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "224.0.0.1", "255.255.255.255", "100.100.100.200",
        "[fd00:ec2::254]", "[fe80::1]", "168.63.129.16", "192.0.2.1", "[2002:7f00:1::]", "[64:ff9b::7f00:1]",
    ):  # fmt: skip
        with pytest.raises(UrlRefused):
            parse(f"http://{host}/", OPEN)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "http://"),
        ("clip.mp4", "http://"),
        ("//example.com/", "http://"),
        ("file:///etc/passwd", "http://"),
        ("ftp://example.com/", "http://"),
        ("javascript:alert(1)", "http://"),
        ("rtmp://example.com/", "http://"),
        ("http:example.com", "host"),
        ("http:///x", "host"),
        ("http://", "host"),
        ("http://:80/", "host"),
        ("http://?x", "host"),
        ("http://u@example.com/", "user name"),
        ("http://u:p@example.com/", "user name"),
        ("http://@example.com/", "user name"),
        ("http://8.8.8.8@127.0.0.1/", "user name"),
        ("http://example.com\\@127.0.0.1/", "user name"),
        ("http://127.0.0.1\\.example.com/", "valid host"),
        ("http://example.com%2f127.0.0.1/", "valid host"),
        ("http://%31%32%37.0.0.1/", "valid host"),
        ("http://127.0.0.1%00.example.com/", "valid host"),
        ("http://exa mple.com/", "valid host"),
        ("http://a..b/", "valid host"),
        ("http://-a.com/", "valid host"),
        ("http://1.2.3.4.5/", "valid host"),
        ("http://256.1.1.1/", "valid host"),
        ("http://1.2.3.09/", "valid host"),
        ("http://0x100000000/", "valid host"),
        ("http://4294967296/", "valid host"),
        ("http://" + "a" * 64 + ".com/", "valid host"),
        ("http://" + "a." * 130 + "com/", "valid host"),
        ("http://[::1", "valid URL"),
        ("http://[::1]x/", "host"),
        ("http://[1.2.3.4]/", "valid host|valid URL"),
        ("http://[v1.x]/", "valid host|valid URL|host"),
        ("http://example.com:22/", "port"),
        ("http://example.com:0/", "port"),
        ("http://example.com:65536/", "port"),
        ("http://example.com:99999/", "port"),
        ("http://example.com:8080/", "port"),
        ("http://example.com:-80/", "host"),
        ("http://example.com:80:80/", "host"),
        ("http://example.com:８０/", "host|port"),
        ("http://example.com:0x50/", "host"),
        (" http://example.com/", "spaces"),
        ("http://example.com/\n", "control"),
        ("http://example.com/\r\nHost: x", "control"),
        ("http://exam\tple.com/", "control"),
        ("http://example.com/\x00", "control"),
        ("http://example.com/\x7f", "control"),
        ("http://example.com/" + "a" * 5000, "characters long"),
        ("http://example.com/\ud800", "Unicode"),
        ("http://\u2100.example/", "valid"),
    ],
)
def test_malformed_urls(url: str, sentence: str) -> None:
    with pytest.raises(UrlRefused, match=sentence):
        parse(url, STRICT)
    with pytest.raises(InvalidRequest) as caught:
        check_url(url, field="video_urls[2]", word="invalid_video_url", policy=STRICT)
    assert (caught.value.word, caught.value.input_name) == ("invalid_video_url", "video_urls[2]")
    assert caught.value.detail.startswith("video_urls[2] must ")


def test_an_own_result_is_a_source_but_no_webhook() -> None:
    policy = OutboundPolicy(own_results_url="http://127.0.0.1:8000/media/")
    url = "http://127.0.0.1:8000/media/68932ab1f918707cd6188d5f.mp4"
    check_url(url, field="video_url", word="invalid_video_url", policy=policy, is_source=True)
    with pytest.raises(InvalidRequest, match="private"):
        check_url(url, field="webhook_url", word="invalid_webhook_url", policy=policy)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("HTTPS://Example.COM", "https://example.com/"),
        ("https://example.com:443/a?b#c", "https://example.com/a?b"),
        ("http://example.com:/a", "http://example.com/a"),
        ("http://example.com./a", "http://example.com/a"),
        ("https://example.com:80/a", "https://example.com:80/a"),
        ("https://faß.de/ä b.mp4?q=ü", "https://xn--fa-hia.de/%C3%A4%20b.mp4?q=%C3%BC"),
        ("https://例え.jp/", "https://xn--r8jz45g.jp/"),
        ("https://a_b.s3.amazonaws.com/x", "https://a_b.s3.amazonaws.com/x"),
        (
            "https://b.r2.example/k%2Fey+1.mp4?X-Amz-Signature=a%2Fb%3D%3D&x=%20+&y='(!)*~",
            "https://b.r2.example/k%2Fey+1.mp4?X-Amz-Signature=a%2Fb%3D%3D&x=%20+&y='(!)*~",
        ),
        ("http://[2606:4700:0:0::1111]/", "http://[2606:4700::1111]/"),
    ],
)
def test_what_is_dialled_is_what_was_judged(url: str, text: str) -> None:
    judged = parse(url, STRICT)
    assert judged.text == text
    assert parse(judged.text, STRICT) == judged


def test_redirects_are_resolved_and_judged() -> None:
    base = parse("https://example.com/a/b?c", STRICT)

    def target(location: str) -> WebUrl:
        return parse_redirect(base, location, STRICT)

    assert target("../d").text == "https://example.com/d"
    assert target("//other.example/x").text == "https://other.example/x"
    for location in ("http://example.com/", "//127.0.0.1/", "https://[::1/", "javascript:1", "https://u@x.example/"):
        with pytest.raises(UrlRefused):
            target(location)


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://", "http://127.0.0.1", "http://[", "http://a@"]))
def test_any_text_is_judged_or_refused_and_never_breaks(tail: str, head: str) -> None:
    for policy in (STRICT, OPEN):
        try:
            judged = parse(head + tail, policy)
        except UrlRefused:
            continue
        assert judged.text.isascii() and parse(judged.text, policy) == judged
        assert judged.address is None or policy.why_forbidden(judged.address) is None


@given(st.text(alphabet="0123456789abcdefxX.", min_size=1, max_size=25))
def test_numbers_are_read_as_the_c_library_reads_them(host: str) -> None:
    """Nothing that `inet_aton` takes may pass as a name."""
    try:
        expected = ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return
    with contextlib.suppress(ValueError):  # refused outright is fine too
        assert parse_ipv4(host) == expected
