"""Envoy's own numbers for Prometheus, without opening its admin port: that one can also stop it."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_TYPES = "type.googleapis.com/envoy.extensions.filters"


def add_metrics_listener(bootstrap: Json, port: int) -> None:
    """Adds to the bootstrap a listener on every address that answers `/metrics`, from the admin port's statistics.

    Raises:
        ValueError: the admin port is one that Envoy picks, so no cluster can lead there.
    """
    admin = bootstrap["admin"]["address"]["socket_address"]
    if not admin["port_value"]:
        raise ValueError("METRICS_PORT needs a fixed ADMIN_PORT")
    resources = bootstrap["static_resources"]
    resources["clusters"].append(
        {
            "name": "admin",
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": "admin",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": admin}}}]}],
            },
        }
    )
    route = {"cluster": "admin", "prefix_rewrite": "/stats/prometheus", "timeout": "10s"}
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "metrics",
        "route_config": {
            "virtual_hosts": [
                {"name": "metrics", "domains": ["*"], "routes": [{"match": {"path": "/metrics"}, "route": route}]}
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"},
            }
        ],
    }
    resources["listeners"].append(
        {
            "name": "metrics",
            "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},  # noqa: S104
            "filter_chains": [
                {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
            ],
        }
    )
