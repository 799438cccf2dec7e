"""Fills in `edge.yaml.tmpl`: `${VAR:-default}` from the caller's variables, and three lists from the protos.

Variables, with defaults: PORT, LISTEN, ADMIN_LISTEN, ADMIN_PORT, NODE_ID, ACCESS_LOG, MAX_BODY_BYTES,
CORS_ORIGIN_REGEX, READ_TIMEOUT, SUBMIT_TIMEOUT, BODY_IDLE_TIMEOUT, STREAM_IDLE_TIMEOUT,
DNS_LOOKUP_FAMILY.
Needed: one address list a feature in capitals (FRAMES, STITCH, AUDIO, ASSEMBLY, PROBE, TASKS, SERVER), each
`host:port[,host:port]`. And MEDIA, the plain HTTP/1 server of stored results; without it `/media/` answers 404.
TLS_DIR, a directory with `tls.crt`, `tls.key` and `ca.crt`: calls to the services are made over mutual TLS.
METRICS_PORT, with a fixed ADMIN_PORT: Envoy's numbers for Prometheus, at `/metrics` on every address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from services.gateway.edge.descriptors import edge_descriptors
from services.gateway.edge.metrics import add_metrics_listener
from services.gateway.edge.routes import clusters, endpoint_list, routes
from services.gateway.edge.tls import with_tls, write_secrets
from services.gateway.rpcs import load_contract

TEMPLATE = Path(__file__).with_name("edge.yaml.tmpl")
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::-([^}]*))?\}")


def write_config(directory: Path, variables: Mapping[str, str]) -> Path:
    """Writes `edge.yaml` and the descriptor set beside it into `directory`, made if need be; returns the former.

    Raises:
        ValueError: a variable that is needed is missing, or an address is malformed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptors = directory.absolute() / "edge.binpb"
    descriptors.write_bytes(edge_descriptors(load_contract()))
    config = directory.absolute() / "edge.yaml"
    if certificates := variables.get("TLS_DIR"):
        write_secrets(directory.absolute(), certificates)
    config.write_text(render({**variables, "DESCRIPTORS": str(descriptors)}))
    return config


def render(variables: Mapping[str, str]) -> str:
    """The whole bootstrap as YAML; `variables` must also hold DESCRIPTORS, the descriptor set's path."""
    contract = load_contract()
    endpoints = {feature: endpoint_list(_needed(variables, feature.upper())) for feature in contract.features}
    media = endpoint_list(variables["MEDIA"]) if variables.get("MEDIA") else None
    found = clusters(contract, endpoints, media)
    if variables.get("TLS_DIR"):
        secrets = Path(variables["DESCRIPTORS"]).parent
        found = [with_tls(cluster, secrets) if cluster["name"] in endpoints else cluster for cluster in found]
    generated = {
        "ROUTES": json.dumps(routes(contract, media=media is not None)),
        "CLUSTERS": json.dumps(found),
        "SERVICES": json.dumps(contract.services),
    }
    # Twice, because the generated parts name variables too.
    text = _fill(_fill(TEMPLATE.read_text(), {**variables, **generated}), variables)
    # Through the parser, so that a mistake shows here, and what Envoy gets has no anchors and reads well.
    bootstrap = yaml.safe_load(text)
    if port := variables.get("METRICS_PORT"):
        add_metrics_listener(bootstrap, int(port))
    return yaml.safe_dump(bootstrap, sort_keys=False, width=120, allow_unicode=True)


def _fill(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        return variables.get(name) or default if default is not None else _needed(variables, name)

    return _VARIABLE.sub(value, text)


def _needed(variables: Mapping[str, str], name: str) -> str:
    try:
        return variables[name]
    except KeyError:
        raise ValueError(f"the edge needs the variable {name}") from None
