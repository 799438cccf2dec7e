"""Evaluates NetworkPolicies: may this pod open a connection to that one, or to that address?

As Kubernetes defines it: policies only add up; a direction in which no policy selects a pod is open; a flow needs the
sender's egress and the receiver's ingress. Replies are part of their flow. (https://kubernetes.io/docs/concepts/services-networking/network-policies/)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from deploy.checks.objects import COMPONENT, NAME, Object, of_kind, selects, workloads

SUITE = "lastframe"


@dataclass(frozen=True)
class End:
    """One end of a flow: a pod, or an address outside of the cluster."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = SUITE
    address: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Flow:
    sender: End
    receiver: End
    port: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.sender.name} → {self.receiver.name}:{self.port}"


def is_allowed(objects: list[Object], flow: Flow) -> bool:
    policies = of_kind(objects, "NetworkPolicy")
    return _opens(policies, "egress", flow.sender, flow.receiver, flow) and _opens(
        policies, "ingress", flow.receiver, flow.sender, flow
    )


def _opens(policies: list[Object], direction: str, subject: End, peer: End, flow: Flow) -> bool:
    """Whether `subject`'s policies let the flow pass in this direction; ends outside of our namespace have none."""
    if subject.address is not None or subject.namespace != SUITE:
        return True
    matching = [policy for policy in policies if _governs(policy["spec"], direction, subject)]
    return not matching or any(
        _rule_lets(rule, "to" if direction == "egress" else "from", peer, flow)
        for policy in matching
        for rule in policy["spec"].get(direction, [])
    )


def _governs(spec: Object, direction: str, subject: End) -> bool:
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])
    return direction.capitalize() in types and selects(spec["podSelector"], subject.labels)


def _rule_lets(rule: Object, key: str, peer: End, flow: Flow) -> bool:
    ports, peers = rule.get("ports") or [], rule.get(key) or []
    return (not ports or any(_is_port(port, flow) for port in ports)) and (
        not peers or any(_is_peer(candidate, peer) for candidate in peers)
    )


def _is_port(port: Object, flow: Flow) -> bool:
    if port.get("protocol", "TCP") != flow.protocol:
        return False
    wanted = port.get("port")
    if wanted is None:
        return True
    first = flow.receiver.ports.get(wanted) if isinstance(wanted, str) else wanted
    return first is not None and first <= flow.port <= port.get("endPort", first)


def _is_peer(candidate: Object, peer: End) -> bool:
    if "ipBlock" in candidate:
        if peer.address is None:
            return False  # pods are meant by their labels; that CNIs differ on pod addresses is why we never rely on it
        address = ipaddress.ip_address(peer.address)
        block = candidate["ipBlock"]
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(text) for text in block.get("except", [])
        )
    if peer.address is not None:
        return False
    if "namespaceSelector" in candidate:
        labels = {"kubernetes.io/metadata.name": peer.namespace}
        if not selects(candidate["namespaceSelector"], labels):
            return False
    elif peer.namespace != SUITE:
        return False
    return selects(candidate.get("podSelector"), peer.labels)


def problems(objects: list[Object]) -> list[str]:
    """Every flow that must work and does not, and every one that must not and does."""
    return [
        *(f"must work: {flow}" for flow in must_work(objects) if not is_allowed(objects, flow)),
        *(f"must not work: {flow}" for flow in must_not_work(objects) if is_allowed(objects, flow)),
    ]


DNS = End("cluster DNS", {"k8s-app": "kube-dns"}, "kube-system")
PROMETHEUS = End("Prometheus", {NAME: "prometheus"}, "monitoring")
COLLECTOR = End("trace collector", {NAME: "opentelemetry-collector"}, "monitoring")
KEDA = End("KEDA", {NAME: "keda-operator"}, "keda")
TOPOLOGY = End("topology operator", {NAME: "messaging-topology-operator"}, "rabbitmq-system")
GATEWAY = End("the platform's gateway", {NAME: "gateway"}, "gateway-system")
STRANGER = End("a pod of another team", {NAME: "other", COMPONENT: "api"}, "other")
NEWCOMER = End("a pod that no policy names", {NAME: "newcomer"})
PUBLIC = tuple(
    End(f"public {text}", address=text) for text in ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")
)
INSIDE = tuple(
    End(f"{what} {text}", address=text)
    for what, text in (
        ("metadata", "169.254.169.254"),
        ("metadata (Alibaba)", "100.100.100.200"),
        ("Azure's platform", "168.63.129.16"),
        ("a node", "10.0.0.10"),
        ("the API server", "172.20.0.1"),
        ("a private host", "192.168.1.1"),
        ("loopback", "127.0.0.1"),
        ("a private host", "fd00:ec2::254"),
        ("link-local", "fe80::1"),
        ("IPv4-mapped", "::ffff:10.0.0.1"),
        ("NAT64", "64:ff9b::a00:1"),
        ("6to4", "2002:a00:1::1"),
    )
)
BACKEND_PORTS = {"mongodb": 27017, "rabbitmq": 5672, "redis": 6379}
OBJECT_STORE = End("the object store (R2)", address="104.18.8.90")
RPC, METRICS, HTTP, OBJECTS = 50051, 9464, 8000, 8333


def pods(objects: list[Object]) -> list[End]:
    """One pod of each workload, those that operators make included."""
    found = [
        End(
            workload.item["metadata"]["name"],
            workload.labels,
            ports={port["name"]: port["containerPort"] for c in workload.containers for port in c.get("ports", [])},
        )
        for workload in workloads(objects)
    ]
    found += [
        End("rabbitmq", {NAME: item["metadata"]["name"], COMPONENT: "rabbitmq"})
        for item in of_kind(objects, "RabbitmqCluster")
    ]
    for item in of_kind(objects, "MongoDBCommunity"):
        template = item["spec"].get("statefulSet", {}).get("spec", {}).get("template", {})
        found.append(End("mongodb", template.get("metadata", {}).get("labels", {})))
    return found


def _of(ends: list[End], *components: str) -> list[End]:
    return [end for end in ends if end.labels.get(COMPONENT) in components]


def _backend(ends: list[End], name: str) -> list[End]:
    return [end for end in ends if end.name == name]


def must_work(objects: list[Object]) -> Iterator[Flow]:
    ends = pods(objects)
    edges, apis, workers = _of(ends, "edge"), _of(ends, "api"), _of(ends, "worker", "gpu-worker")
    for end in ends:
        yield Flow(end, DNS, 53, "UDP")
        yield Flow(end, DNS, 53)
    for edge in edges:
        yield Flow(GATEWAY, edge, HTTP)
        yield from (Flow(edge, api, RPC) for api in apis)
    for worker in _of(ends, "worker"):
        yield from (Flow(api, worker, RPC) for api in apis if api.labels.get(NAME) == worker.labels.get(NAME))
    for end in [*apis, *workers]:
        for name, port in BACKEND_PORTS.items():
            backends = _backend(ends, name)
            assert backends, f"the overlay has no {name}"
            yield from (Flow(end, backend, port) for backend in backends)
    for worker in workers:
        for public in PUBLIC:
            yield from (Flow(worker, public, port) for port in (80, 443))
    for end in [*edges, *apis, *workers]:
        yield Flow(PROMETHEUS, end, METRICS)
        yield Flow(end, COLLECTOR, 4317)
    if of_kind(objects, "RabbitmqCluster"):
        (rabbitmq,) = _backend(ends, "rabbitmq")
        yield from (Flow(rabbitmq, rabbitmq, port) for port in (4369, 25672))
        yield Flow(PROMETHEUS, rabbitmq, 15692)
        yield from (Flow(one, rabbitmq, 15672) for one in (KEDA, TOPOLOGY))
    if of_kind(objects, "MongoDBCommunity"):
        (mongodb,) = _backend(ends, "mongodb")
        yield Flow(mongodb, mongodb, 27017)
        yield Flow(mongodb, End("the API server", address="10.96.0.1"), 443)
    stores = _backend(ends, "objects")
    for store in stores:
        yield from (Flow(end, store, OBJECTS) for end in [*edges, *apis, *workers])
    if not stores:
        yield from (Flow(end, OBJECT_STORE, 443) for end in [*apis, *workers])


def must_not_work(objects: list[Object]) -> Iterator[Flow]:
    ends = pods(objects)
    edges, apis, workers = _of(ends, "edge"), _of(ends, "api"), _of(ends, "worker", "gpu-worker")
    stores = [end for end in ends if end.name in BACKEND_PORTS]
    # Only workers reach the internet, and only its public part, and only the web's ports.
    for end in [*edges, *apis, *stores]:
        yield from (Flow(end, public, port) for public in PUBLIC for port in (80, 443))
    for worker in workers:
        yield from (Flow(worker, inside, port) for inside in INSIDE for port in (80, 443))
        yield from (Flow(worker, public, port) for public in PUBLIC for port in (22, 25, 53, 8080))
    for end in [*edges, *apis, *workers, STRANGER]:
        yield Flow(end, NEWCOMER, 80)
    for other in [PUBLIC[0], INSIDE[0], *apis, *stores]:
        yield Flow(NEWCOMER, other, 80)
    # Only apis call workers, for plans, and a worker calls nobody of ours but the backends.
    gateways = [api for api in apis if api.labels.get(NAME) == "gateway"]
    for worker in workers:
        yield from (Flow(end, worker, RPC) for end in [*edges, *gateways, *workers, GATEWAY, STRANGER])
        yield from (Flow(worker, api, RPC) for api in apis)
        yield from (Flow(worker, edge, HTTP) for edge in edges)
    for worker in _of(ends, "gpu-worker"):
        yield from (Flow(api, worker, RPC) for api in apis)
    for end in edges:
        yield Flow(end, OBJECT_STORE, 443)
    for api in apis:
        yield Flow(api, OBJECT_STORE, 80)
        yield Flow(STRANGER, api, RPC)
        yield from (Flow(api, other, RPC) for other in apis if other is not api)
        yield from (Flow(api, inside, 80) for inside in INSIDE[:1])
    for store in stores:
        port = BACKEND_PORTS[store.name]
        yield from (Flow(end, store, port) for end in [*edges, STRANGER, GATEWAY, KEDA])
        yield from (Flow(store, api, RPC) for api in apis)
    for end in [*edges, *apis, *workers]:
        yield Flow(STRANGER, end, METRICS)
        yield from (Flow(end, store, 15672) for store in stores if store.name == "rabbitmq")
