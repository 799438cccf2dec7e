"""The route table and the clusters, made from the RPCs, so that a new RPC needs no edit of the edge.

A REST request passes the table twice: by its own path (which decides on the body limit and the framing of a stream;
cluster `none`), and, once the transcoder has rewritten it, by its RPC's path. What is never rewritten ends in the 404
of cluster `none`, or in the 405 of a path that other methods have. The renderer fills in `${…}` inside the values.
"""

from __future__ import annotations

import re
from typing import Any

from services.gateway.rpcs import Contract, HttpBinding, Rpc

Json = dict[str, Any]

# A direct_response would do for the 404, but the CORS filter does nothing on such routes.
NOT_FOUND: Json = {"cluster": "none", "cluster_not_found_response_code": "NOT_FOUND"}

_DISABLED: Json = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
_UNBUFFERED: Json = {"body_limit": _DISABLED}
_PREFLIGHT_HEADER = "access-control-request-method"
_HEALTH = "/lastframe.server.v1.ServerService/GetHealth"
_READ_RETRIES: Json = {
    "retry_on": "connect-failure,refused-stream,reset,unavailable",
    "num_retries": 2,
    "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
}


def routes(contract: Contract, *, media: bool) -> list[Json]:
    """All routes, first match wins. `media`: whether stored results are served here, under `/media/`.

    HEAD is refused where the transcoder answers: a binding for it would print a body, which breaks the connection.
    """
    table = [_rpc_route(rpc) for rpc in contract.rpcs]
    table.append(
        {"match": {"prefix": "/grpc.health.v1.Health/", "grpc": {}}, "route": {"cluster": "server", "timeout": "3s"}}
    )
    allowed: dict[str, set[str]] = {}
    for rpc in contract.rpcs:
        for binding in rpc.bindings:
            path = {"safe_regex": {"regex": path_regex(binding.path)}}
            allowed.setdefault(path["safe_regex"]["regex"], set()).add(binding.verb)
            table.append(_rest_route(rpc, binding, path))
    if media:
        allowed["/media/.*"] = {"GET", "HEAD"}
        table.append(
            {
                "match": {"prefix": "/media/", "headers": [_method_is({"GET", "HEAD"})]},
                "route": {"cluster": "media_files", "timeout": "0s", "idle_timeout": "60s"},
            }
        )
    table.extend(_method_not_allowed(regex, verbs) for regex, verbs in allowed.items())
    table.append({"match": {"prefix": "/"}, "route": NOT_FOUND})
    return table


def path_regex(template: str) -> str:
    """`/api/v1/status/{task_id}` as an RE2 pattern of the whole path; a last slash is fine, as to the transcoder."""
    parts = re.split(r"\{[^}]*\}", template)
    pattern = "[^/]+".join(re.escape(part) for part in parts)
    return pattern if template == "/" else pattern + "/?"


def clusters(contract: Contract, endpoints: dict[str, list[Json]], media: list[Json] | None) -> list[Json]:
    """One cluster a feature, at `endpoints[feature]`; `media_files` for plain HTTP/1 files, where there are any."""
    found = [_grpc_cluster(feature, services[0], endpoints[feature]) for feature, services in contract.features.items()]
    if media is not None:
        found.append(_cluster("media_files", media))
    return found


def _rpc_route(rpc: Rpc) -> Json:
    route: Json = {"cluster": rpc.feature}
    if rpc.is_stream:
        # A stream lives as long as messages flow; a watched task says something every 15 s.
        route |= {"timeout": "0s", "idle_timeout": "${STREAM_IDLE_TIMEOUT:-120s}"}
    elif rpc.grpc_path == _HEALTH:
        route |= {"timeout": "${READ_TIMEOUT:-10s}", "idle_timeout": "30s"}  # "unavailable" is what it has to say
    elif rpc.is_read:
        route |= {"timeout": "${READ_TIMEOUT:-10s}", "idle_timeout": "30s", "retry_policy": _READ_RETRIES}
    else:
        route |= {"timeout": "${SUBMIT_TIMEOUT:-25s}", "idle_timeout": "30s"}  # the virtual host's safe retries
    # Native gRPC is not buffered: the service's own message limit answers RESOURCE_EXHAUSTED.
    return {
        "match": {"path": rpc.grpc_path, "grpc": {}},
        "route": route,
        "typed_per_filter_config": _UNBUFFERED,
    }


def _rest_route(rpc: Rpc, binding: HttpBinding, path: Json) -> Json:
    target = NOT_FOUND
    if not rpc.is_stream:
        # While the body is awaited this route is the one that counts.
        target = NOT_FOUND | {"idle_timeout": "${BODY_IDLE_TIMEOUT:-30s}"}
    route: Json = {"match": path | {"headers": [_method_is({binding.verb})]}, "route": target}
    if rpc.client_streaming:
        route["typed_per_filter_config"] = _UNBUFFERED
    if rpc.server_streaming and binding.path.endswith("/events"):
        route["typed_per_filter_config"] = {"transcoder": _server_sent_events(rpc.service)}
    return route


def _server_sent_events(service: str) -> Json:
    """The transcoder's settings of the template again (a route's replace the filter's), with the framing of SSE."""
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": "${DESCRIPTORS}",
        "services": [service],
        "convert_grpc_status": True,
        "ignore_unknown_query_parameters": True,
        "print_options": {
            "preserve_proto_field_names": True,
            "always_print_primitive_fields": True,
            "stream_sse_style_delimited": True,
        },
    }


def _method_is(verbs: set[str]) -> Json:
    return {"name": ":method", "string_match": {"safe_regex": {"regex": "|".join(sorted(verbs))}}}


def _method_not_allowed(regex: str, verbs: set[str]) -> Json:
    return {
        "match": {
            "safe_regex": {"regex": regex},
            "headers": [{"name": _PREFLIGHT_HEADER, "present_match": True, "invert_match": True}],
        },
        "direct_response": {"status": 405},
        "response_headers_to_add": [{"header": {"key": "allow", "value": ", ".join(sorted(verbs))}}],
    }


def _cluster(name: str, endpoints: list[Json]) -> Json:
    return {
        "name": name,
        "cluster_type": {
            "name": "envoy.clusters.dns",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
                "dns_refresh_rate": "5s",
                "dns_failure_refresh_rate": {"base_interval": "0.5s", "max_interval": "5s"},
                "dns_lookup_family": "${DNS_LOOKUP_FAMILY:-V4_PREFERRED}",
            },
        },
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        # With every host unhealthy answer 503 at once, instead of trying them all the same.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {
            "thresholds": [
                {
                    # Each watch is a request, and each slow download of a result a connection (files come by HTTP/1):
                    # what one caller may hold is limited behind this, and must not be all that there is.
                    "max_connections": 4096,
                    "max_pending_requests": 1024,
                    "max_requests": 8192,
                    "max_retries": 8,
                }
            ]
        },
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _grpc_cluster(name: str, health_service: str, endpoints: list[Json]) -> Json:
    return _cluster(name, endpoints) | {
        "health_checks": [
            {
                "timeout": "1s",
                "interval": "2s",
                "no_traffic_interval": "2s",
                "unhealthy_interval": "0.25s",
                "no_traffic_healthy_interval": "2s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "grpc_health_check": {"service_name": health_service},
            }
        ],
        # Only failures to connect, broken connections and 503s count, and half of the hosts always stay.
        "outlier_detection": {
            "consecutive_5xx": 0,
            "consecutive_gateway_failure": 5,
            "consecutive_local_origin_failure": 3,
            "split_external_local_origin_errors": True,
            "interval": "5s",
            "base_ejection_time": "10s",
            "max_ejection_percent": 50,
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                # Connections are renewed, so that calls spread over replicas that came later.
                "common_http_protocol_options": {"idle_timeout": "300s", "max_connection_duration": "600s"},
                "explicit_http_config": {
                    "http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
                },
            }
        },
    }


def endpoint_list(addresses: str) -> list[Json]:
    """`host:port[,host:port]` as Envoy's endpoints (IPv6 in brackets). Raises ValueError on anything else."""
    return [_endpoint(address.strip()) for address in addresses.split(",")]


def _endpoint(address: str) -> Json:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"an address is host:port, not {address!r}")
    socket = {"address": host.removeprefix("[").removesuffix("]"), "port_value": int(port)}
    return {"endpoint": {"address": {"socket_address": socket}}}
