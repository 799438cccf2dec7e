"""Mutual TLS towards the services: Envoy's certificate and the issuer's, read again when the mounted files change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_CLIENT, _ISSUER = "client", "issuer"


def write_secrets(directory: Path, certificates: str) -> None:
    """Writes what Envoy's file-based secret discovery reads, into `directory`.

    Files that a bootstrap names directly are read once; those of a discovered secret follow their watched directory,
    whose swapped link is how Kubernetes renews a mounted Secret.

    Args:
        certificates: the directory with `tls.crt`, `tls.key` and `ca.crt`, as cert-manager fills it.
    """
    watched = {"watched_directory": {"path": certificates}}
    client = {
        "certificate_chain": {"filename": f"{certificates}/tls.crt"},
        "private_key": {"filename": f"{certificates}/tls.key"},
    }
    issuer = {"trusted_ca": {"filename": f"{certificates}/ca.crt"}}
    for name, secret in (
        (_CLIENT, {"tls_certificate": client | watched}),
        (_ISSUER, {"validation_context": issuer | watched}),
    ):
        resource = {"@type": f"{_TLS}.Secret", "name": name, **secret}
        (directory / f"{name}.json").write_text(json.dumps({"resources": [resource]}))


def with_tls(cluster: Json, directory: Path) -> Json:
    """The cluster, speaking TLS to a server whose certificate names the cluster's first host.

    Args:
        directory: where `write_secrets` wrote.
    """
    endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    host = endpoint["address"]["socket_address"]["address"]
    context = {
        "@type": f"{_TLS}.UpstreamTlsContext",
        "sni": host,
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            # Towards servers Envoy's own maximum is 1.2.
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificate_sds_secret_configs": [_secret(_CLIENT, directory)],
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}]
                },
                "validation_context_sds_secret_config": _secret(_ISSUER, directory),
            },
        },
    }
    return cluster | {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context}}


def _secret(name: str, directory: Path) -> Json:
    source = {"path_config_source": {"path": str(directory / f"{name}.json")}, "resource_api_version": "V3"}
    return {"name": name, "sds_config": source}
