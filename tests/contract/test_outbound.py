"""Names, addresses and certificates on the way out: rebinding tried with a real name server, nothing mocked."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from shared.backends.http import HttpSourceOpener
from shared.backends.outbound import Outbound, explain
from shared.backends.webhooks import HttpWebhookSender
from shared.errors import SourceUnavailable
from shared.ports import SourceLimits
from shared.urls import OutboundPolicy
from tests.support.connects import recorded_connects
from tests.support.dns_server import fake_names
from tests.support.http_server import NastyServer
from tests.support.missing import needed

LIMITS = SourceLimits(10_000_000, 2, 2, 2, 10)
BODY = bytes(range(256)) * 12_000
OPEN = OutboundPolicy(allow_private=True)


async def read_all(outbound: Outbound, url: str, scratch: Path) -> bytes:
    opener = HttpSourceOpener(outbound)
    try:
        source = await opener.open(url, label="video_url", limits=LIMITS, spool_directory=scratch)
        try:
            await source.download(scratch / "whole")
            return (scratch / "whole").read_bytes()
        finally:
            await source.close()
    finally:
        await opener.close()


async def test_a_name_that_changes_its_mind_cannot_move_the_connection(tmp_path: Path) -> None:
    """The first answer is judged and dialled; breaks force new connections, the name by then says something else."""
    with NastyServer() as server, NastyServer(host="127.0.0.2") as other:
        async with fake_names() as names:
            names.answers["clip.example"] = [["127.0.0.1"], ["127.0.0.2"], ["169.254.169.254"]]
            server.serve("/clip.mp4", BODY, drop_after=[10**9, 1_000_000, 500_000])
            with recorded_connects() as dialled:
                outbound = Outbound(OPEN, lookup=names.lookup)
                assert await read_all(outbound, server.url("/clip.mp4", "clip.example"), tmp_path) == BODY
            assert names.asked == ["clip.example"]
        assert server.connections >= 3 and other.connections == 0
        assert set(dialled) == {"127.0.0.1"}
        assert {seen.headers["host"] for seen in server.seen} == {f"clip.example:{server.port}"}


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["93.184.215.14", "127.0.0.1"],
        ["93.184.215.14", "::1"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["0.0.0.0"],
        ["10.1.2.3", "192.168.1.1"],
        ["fd00:ec2::254"],
    ],
)
async def test_a_name_with_one_forbidden_address_is_not_dialled_at_all(tmp_path: Path, answer: list[str]) -> None:
    with NastyServer() as trap:
        policy = OutboundPolicy(allowed_ports=frozenset({trap.port}))
        async with fake_names() as names:
            names.answers["inside.example"] = [answer]
            url = trap.url("/", "inside.example")
            with recorded_connects() as dialled:
                with pytest.raises(SourceUnavailable) as caught:
                    await read_all(Outbound(policy, lookup=names.lookup), url, tmp_path)
                sender = HttpWebhookSender(Outbound(policy, lookup=names.lookup))
                reply = await sender.send(url, b"{}", {})
                await sender.close()
        assert dialled == [] and trap.connections == 0
    assert (caught.value.detail, caught.value.retryable) == ("the address of this URL is not allowed", False)
    assert (reply.status, reply.error) == (None, "the address of this URL is not allowed")


async def test_private_addresses_that_are_opened_leave_metadata_shut(tmp_path: Path) -> None:
    async with fake_names() as names:
        names.answers["meta.example"] = [["169.254.169.254"]]
        with recorded_connects() as dialled, pytest.raises(SourceUnavailable):
            await read_all(Outbound(OPEN, lookup=names.lookup), "http://meta.example/latest/meta-data", tmp_path)
        assert dialled == []


async def test_a_redirect_to_a_name_of_the_inside(tmp_path: Path) -> None:
    with NastyServer() as server:
        async with fake_names() as names:
            names.answers["meta.example"] = [["169.254.169.254"]]
            url = server.redirect("/r", "http://meta.example/")
            with recorded_connects() as dialled, pytest.raises(SourceUnavailable) as caught:
                await read_all(Outbound(OPEN, lookup=names.lookup), url, tmp_path)
        assert dialled == ["127.0.0.1"]
        assert caught.value.detail == "the address of this URL is not allowed"


async def test_the_second_gate_judges_what_no_resolver_saw() -> None:
    """aiohttp asks no resolver about IP literals; the socket itself is judged."""
    outbound = Outbound(OutboundPolicy())
    for url in ("http://127.0.0.1:9/", "http://[::1]:9/", "http://169.254.169.254/", "http://[::ffff:10.0.0.1]/"):
        with recorded_connects() as dialled:
            async with outbound.session() as session:
                with pytest.raises(OSError) as caught:
                    await session.get(url)
        assert dialled == []
        assert explain(caught.value) == ("the address of this URL is not allowed", False)
    await outbound.close()


async def test_names_that_do_not_exist(tmp_path: Path) -> None:
    async with fake_names() as names:
        with pytest.raises(SourceUnavailable) as caught:
            await read_all(Outbound(OPEN, lookup=names.lookup), "http://nowhere.example/", tmp_path)
    assert (caught.value.detail, caught.value.retryable) == ("the host name of this URL does not exist", False)


async def test_the_systems_resolver_is_judged_too(tmp_path: Path) -> None:
    with NastyServer() as server:
        server.serve("/x", b"hello")
        assert await read_all(Outbound(OPEN), server.url("/x", "localhost"), tmp_path) == b"hello"
        strict = OutboundPolicy(allowed_ports=frozenset({server.port}))
        outbound = Outbound(strict)
        async with outbound.session() as session:
            with pytest.raises(OSError) as caught:
                await session.get(server.url("/x", "localhost"))
        assert explain(caught.value) == ("the address of this URL is not allowed", False)
        await outbound.close()
        assert server.connections == 1


async def test_proxies_of_the_environment_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with NastyServer() as server, NastyServer() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        assert await read_all(Outbound(OPEN), server.serve("/x", b"hello"), tmp_path) == b"hello"
        assert proxy.connections == 0


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        needed("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return key, cert


async def test_tls_keeps_the_name_while_the_pinned_address_is_dialled(tmp_path: Path) -> None:
    key, cert = certificate(tmp_path, "clip.example")
    asked_for: list[str | None] = []
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(cert, key)
    serving.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    trusting = ssl.create_default_context(cafile=str(cert))
    with NastyServer(ssl_context=serving) as server, NastyServer() as plain:
        server.serve("/clip.mp4", BODY)
        async with fake_names() as names:
            names.answers = {"clip.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]}

            async def get(path: str, host: str, context: ssl.SSLContext) -> bytes:
                outbound = Outbound(OPEN, lookup=names.lookup, ssl_context=context)
                return await read_all(outbound, server.url(path, host), tmp_path)

            assert await get("/clip.mp4", "clip.example", trusting) == BODY
            assert set(asked_for) == {"clip.example"}
            for host, context in [("other.example", trusting), ("clip.example", ssl.create_default_context())]:
                with pytest.raises(SourceUnavailable) as caught:
                    await get("/clip.mp4", host, context)
                assert caught.value.detail == "the server's TLS certificate is not valid"
            server.redirect("/down", plain.serve("/clip.mp4", BODY))
            with pytest.raises(SourceUnavailable, match="must not lead from https to http"):
                await get("/down", "clip.example", trusting)
        assert plain.connections == 0
