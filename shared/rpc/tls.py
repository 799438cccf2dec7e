"""Mutual TLS between roles: a port's certificate and the issuer of those that may call, and a caller's."""

from __future__ import annotations

from pathlib import Path

import grpc


def server_credentials(directory: Path) -> grpc.ServerCredentials:
    """Credentials that demand a client certificate of the same issuer, good for clients (its extended key usage).

    The files are read at every handshake, so a renewed certificate needs no restart: handshakes are rare, because Envoy
    keeps its connections for minutes. gRPC is given only what changed: it puts a new handshaker factory in the place of
    the old one without a lock, and a handshake under way on another thread then reads freed memory (grpcio 1.85, with a
    factory for each handshake: one process in eight crashed when an Envoy opened its seven connections).

    Args:
        directory: with `tls.crt`, `tls.key` and `ca.crt`: a mounted Secret of cert-manager.

    Raises:
        OSError: a file is missing.
    """
    held = _read(directory)

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal held
        found = _read(directory)
        if found == held:
            return None  # as it was
        held = found
        return _configuration(found)

    return grpc.dynamic_ssl_server_credentials(_configuration(held), renewed, require_client_authentication=True)


def channel_credentials(directory: Path) -> grpc.ChannelCredentials:
    """Credentials for calls to such a port, from the same files.

    Raises:
        OSError: a file is missing.
    """
    key, certificate, issuer = _read(directory)
    return grpc.ssl_channel_credentials(issuer, key, certificate)


def _read(directory: Path) -> tuple[bytes, bytes, bytes]:
    """Key, certificate, the issuer's certificate."""
    key, certificate, issuer = (directory / name for name in ("tls.key", "tls.crt", "ca.crt"))
    return key.read_bytes(), certificate.read_bytes(), issuer.read_bytes()


def _configuration(pem: tuple[bytes, bytes, bytes]) -> grpc.ServerCertificateConfiguration:
    key, certificate, issuer = pem
    return grpc.ssl_server_certificate_configuration([(key, certificate)], issuer)
