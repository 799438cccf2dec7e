"""Mutual TLS between roles: a port's certificate and the issuer of those that may call, and a caller's."""

from __future__ import annotations

from pathlib import Path

import grpc


def server_credentials(directory: Path) -> grpc.ServerCredentials:
    """Credentials that demand a client certificate of the same issuer, good for clients (its extended key usage).

    The files are read at every handshake, so a renewed certificate needs no restart: handshakes are rare, because Envoy
    keeps its connections for minutes.

    Args:
        directory: with `tls.crt`, `tls.key` and `ca.crt`: a mounted Secret of cert-manager.

    Raises:
        OSError: a file is missing.
    """

    def read() -> grpc.ServerCertificateConfiguration:
        pair = ((directory / "tls.key").read_bytes(), (directory / "tls.crt").read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], (directory / "ca.crt").read_bytes())

    return grpc.dynamic_ssl_server_credentials(read(), read, require_client_authentication=True)


def channel_credentials(directory: Path) -> grpc.ChannelCredentials:
    """Credentials for calls to such a port, from the same files.

    Raises:
        OSError: a file is missing.
    """
    return grpc.ssl_channel_credentials(
        (directory / "ca.crt").read_bytes(), (directory / "tls.key").read_bytes(), (directory / "tls.crt").read_bytes()
    )
