"""What an API server or a bad day would find: rules over the rendered objects that no schema knows.

Each rule takes all objects of an overlay and yields sentences; none means that it holds.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from deploy.checks.objects import Object, Workload, names_of, of_kind, quantity, selects, title, workloads
from deploy.checks.policy_list import internet_policy_differs
from deploy.checks.runtime_rules import RUNTIME_RULES

Rule = Callable[[list[Object]], Iterator[str]]

BROKER_CLUSTER, DATABASE_CLUSTER = "RabbitmqCluster", "MongoDBCommunity"
MAX_NAME = 63


def problems(objects: list[Object]) -> list[str]:
    """All rules over one overlay; an object that a rule cannot read is a problem too."""
    found: list[str] = []
    for rule in RULES:
        try:
            found.extend(rule(objects))
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            found.append(f"{rule.__name__}: an object is not as expected: {type(error).__name__}: {error}")
    return found


def names_are_unique(objects: list[Object]) -> Iterator[str]:
    seen = Counter(
        (item["apiVersion"].split("/")[0], title(item), item["metadata"].get("namespace")) for item in objects
    )
    for (_, name, _), count in seen.items():
        if count > 1:
            yield f"{name} is there {count} times"


def objects_are_in_the_namespace(objects: list[Object]) -> Iterator[str]:
    namespaces = names_of(objects, "Namespace")
    for item in objects:
        if item["kind"] == "Namespace":
            if item["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
                yield f"{title(item)} does not enforce the restricted pod security"
        elif item["metadata"].get("namespace") not in namespaces:
            yield f"{title(item)} is in namespace {item['metadata'].get('namespace')!r}, which is not made here"


def selectors_match(objects: list[Object]) -> Iterator[str]:
    pods = [workload.labels for workload in workloads(objects)] + [dict(labels) for labels in _operators_pods(objects)]
    for workload in workloads(objects):
        selector = workload.item["spec"].get("selector")
        if not selector or not selects(selector, workload.labels):
            yield f"{workload.title}: its selector does not match its own pods"
        elif sum(selects(selector, labels) for labels in pods) > 1:
            yield f"{workload.title}: its selector matches pods of another workload too"
    for item in of_kind(objects, "Service"):
        if not any(selects({"matchLabels": item["spec"].get("selector")}, labels) for labels in pods):
            yield f"{title(item)}: selects no pod"
    for item in of_kind(objects, "PodDisruptionBudget", "PodMonitor"):
        if not any(selects(item["spec"]["selector"], labels) for labels in pods):
            yield f"{title(item)}: selects no pod"
    for item in of_kind(objects, "NetworkPolicy"):
        if not any(selects(item["spec"]["podSelector"], labels) for labels in pods):
            yield f"{title(item)}: selects no pod"
    for workload in workloads(objects):
        for spread in workload.pod.get("topologySpreadConstraints", []):
            if not selects(spread.get("labelSelector"), workload.labels):
                yield f"{workload.title}: its topology spread counts other pods"


def _operators_pods(objects: Iterable[Object]) -> Iterator[dict[str, str]]:
    """Labels of pods that operators make."""
    for item in of_kind(objects, BROKER_CLUSTER):
        yield {"app.kubernetes.io/name": item["metadata"]["name"], "app.kubernetes.io/component": "rabbitmq"}
    for item in of_kind(objects, DATABASE_CLUSTER):
        template = item["spec"].get("statefulSet", {}).get("spec", {}).get("template", {})
        yield template.get("metadata", {}).get("labels", {})


def service_ports_exist(objects: list[Object]) -> Iterator[str]:
    for item in of_kind(objects, "Service"):
        selector = {"matchLabels": item["spec"].get("selector")}
        for workload in workloads(objects):
            if selects(selector, workload.labels):
                declared = {port["name"] for container in workload.containers for port in container.get("ports", [])}
                numbers = {p["containerPort"] for container in workload.containers for p in container.get("ports", [])}
                for port in item["spec"]["ports"]:
                    target = port.get("targetPort", port["port"])
                    if target not in declared | numbers:
                        yield f"{title(item)}: {workload.title} has no port {target!r}"
    # A headless service of something that speaks gRPC: Envoy must see every pod, and gateways the protocol.
    for item in of_kind(objects, "Service"):
        for port in item["spec"]["ports"]:
            if port.get("name") == "rpc":
                if item["spec"].get("clusterIP") != "None":
                    yield f"{title(item)}: serves gRPC but is not headless"
                if port.get("appProtocol") != "kubernetes.io/h2c":
                    yield f"{title(item)}: serves gRPC but does not say appProtocol kubernetes.io/h2c"


def probes_use_declared_ports(objects: list[Object]) -> Iterator[str]:
    for workload in workloads(objects):
        for container in workload.containers:
            ports = container.get("ports", [])
            known = {port["containerPort"] for port in ports} | {port["name"] for port in ports}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                for how in ("grpc", "tcpSocket", "httpGet"):
                    port = container.get(probe, {}).get(how, {}).get("port")
                    if port is not None and port not in known:
                        yield f"{workload.title}: {probe} asks port {port}, which the container does not declare"
            if "readinessProbe" not in container:
                yield f"{workload.title}: {container['name']} has no readiness probe"


def references_exist(objects: list[Object]) -> Iterator[str]:
    maps, accounts = names_of(objects, "ConfigMap"), names_of(objects, "ServiceAccount")
    secrets = _secret_names(objects)
    for workload in workloads(objects):
        pod = workload.pod
        if pod.get("serviceAccountName") not in accounts:
            yield f"{workload.title}: ServiceAccount {pod.get('serviceAccountName')!r} does not exist"
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in workload.item["spec"].get("volumeClaimTemplates", [])}
        for volume in pod.get("volumes", []):
            if (name := volume.get("configMap", {}).get("name")) and name not in maps:
                yield f"{workload.title}: ConfigMap {name!r} does not exist"
            if (name := volume.get("secret", {}).get("secretName")) and name not in secrets:
                yield f"{workload.title}: Secret {name!r} does not exist"
        for container in workload.containers:
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{workload.title}: mounts volume {mount['name']!r}, which the pod does not have"
            for kind, name in _env_references(container):
                if name not in (maps if kind == "ConfigMap" else secrets):
                    yield f"{workload.title}: {kind} {name!r} does not exist"
    for item in objects:
        for name in _secrets_that_custom_resources_read(item):
            if name not in secrets:
                yield f"{title(item)}: Secret {name!r} does not exist"
    for item in of_kind(objects, "HTTPRoute"):
        services = {service["metadata"]["name"]: service for service in of_kind(objects, "Service")}
        for rule in item["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                service = services.get(backend["name"])
                if service is None or backend["port"] not in [port["port"] for port in service["spec"]["ports"]]:
                    yield f"{title(item)}: no Service {backend['name']} with port {backend['port']}"


def _secret_names(objects: Iterable[Object]) -> set[str]:
    made = names_of(objects, "Secret")
    made |= {item["spec"]["target"]["name"] for item in of_kind(objects, "ExternalSecret")}
    made |= {item["spec"]["secretName"] for item in of_kind(objects, "Certificate")}
    return made


def _env_references(container: Object) -> Iterator[tuple[str, str]]:
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            yield "ConfigMap", source["configMapRef"]["name"]
        if "secretRef" in source:
            yield "Secret", source["secretRef"]["name"]
    for entry in container.get("env", []):
        taken = entry.get("valueFrom", {})
        if "configMapKeyRef" in taken:
            yield "ConfigMap", taken["configMapKeyRef"]["name"]
        if "secretKeyRef" in taken:
            yield "Secret", taken["secretKeyRef"]["name"]


def _secrets_that_custom_resources_read(item: Object) -> Iterator[str]:
    spec = item.get("spec", {})
    if item["kind"] == "TriggerAuthentication":
        yield from (reference["name"] for reference in spec["secretTargetRef"])
    if item["kind"] == "User" and "importCredentialsSecret" in spec:
        yield spec["importCredentialsSecret"]["name"]
    if item["kind"] == DATABASE_CLUSTER:
        yield from (user["passwordSecretRef"]["name"] for user in spec["users"])


def scaling_targets_exist(objects: list[Object]) -> Iterator[str]:
    deployments = names_of(objects, "Deployment")
    authentications = names_of(objects, "TriggerAuthentication")
    owned: list[str] = []
    for item in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        name = item["spec"]["scaleTargetRef"]["name"]
        owned.append(name)
        if name not in deployments:
            yield f"{title(item)}: scales Deployment {name!r}, which does not exist"
        for trigger in item["spec"].get("triggers", []):
            if trigger.get("authenticationRef", {}).get("name") not in authentications:
                yield f"{title(item)}: its TriggerAuthentication does not exist"
    for name, count in Counter(owned).items():
        if count > 1:
            yield f"Deployment/{name} is scaled by {count} autoscalers"
    for item in of_kind(objects, "Deployment"):
        if item["metadata"]["name"] in owned and "replicas" in item["spec"]:
            yield f"{title(item)}: says `replicas`, which an autoscaler owns"


def quantities_are_sane(objects: list[Object]) -> Iterator[str]:
    for workload in workloads(objects):
        for container in workload.containers:
            resources = container.get("resources", {})
            requests, limits = resources.get("requests", {}), resources.get("limits", {})
            try:
                wanted = {name: quantity(text) for name, text in requests.items()}
                allowed = {name: quantity(text) for name, text in limits.items()}
            except ValueError as error:
                yield f"{workload.title}: {error}"
                continue
            for name in wanted.keys() & allowed.keys():
                if wanted[name] > allowed[name]:
                    yield f"{workload.title}: asks for more {name} than its limit"
            for name in ("memory", "ephemeral-storage"):
                if name not in allowed:
                    yield f"{workload.title}: {container['name']} has no limit of {name}"
            if "cpu" not in wanted or "memory" not in wanted:
                yield f"{workload.title}: {container['name']} does not ask for cpu and memory"
            if "cpu" in allowed:
                yield f"{workload.title}: {container['name']} has a CPU limit, which throttles it on an idle node"
            if any(
                wanted.get(name) != allowed.get(name) for name in {*wanted, *allowed} if name.startswith("nvidia.com")
            ):
                yield f"{workload.title}: devices need equal requests and limits"
        yield from _volumes_fit(workload)


def _volumes_fit(workload: Workload) -> Iterator[str]:
    room = sum(
        quantity(container.get("resources", {}).get("limits", {}).get("ephemeral-storage", "0"))
        for container in workload.containers
    )
    for volume in workload.pod.get("volumes", []):
        empty = volume.get("emptyDir")
        if empty is None:
            continue
        if "sizeLimit" not in empty:
            yield f"{workload.title}: emptyDir {volume['name']!r} has no sizeLimit"
        elif empty.get("medium") != "Memory" and quantity(empty["sizeLimit"]) > room:
            yield f"{workload.title}: emptyDir {volume['name']!r} is larger than the ephemeral-storage limit"


def addresses_parse(objects: list[Object]) -> Iterator[str]:
    for item in of_kind(objects, "NetworkPolicy"):
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in item["spec"].get(direction, []):
                if not rule.get(peers):
                    yield f"{title(item)}: an {direction} rule without `{peers}` is open to everything"
                for peer in rule.get(peers, []):
                    yield from (f"{title(item)}: {sentence}" for sentence in _block_problems(peer.get("ipBlock")))


def _block_problems(block: Object | None) -> Iterator[str]:
    if block is None:
        return
    try:
        outer = ipaddress.ip_network(block["cidr"])
        inner = [ipaddress.ip_network(text) for text in block.get("except", [])]
    except ValueError as error:
        yield str(error)
        return
    for network in inner:
        if network.version != outer.version or not (
            network.network_address in outer and network.prefixlen > outer.prefixlen
        ):
            yield f"{network} is no part of {outer}"


def pods_are_restricted(objects: list[Object]) -> Iterator[str]:
    for workload in workloads(objects):
        pod = workload.pod
        security = pod.get("securityContext", {})
        for holds, complaint in (
            (security.get("runAsNonRoot") is True and security.get("runAsUser", 0) > 0, "may run as root"),
            (security.get("seccompProfile", {}).get("type") == "RuntimeDefault", "has no seccomp profile"),
            (pod.get("automountServiceAccountToken") is False, "mounts a service account's token"),
            (pod.get("enableServiceLinks") is False, "gets service links"),
            (not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), "shares the host's namespaces"),
            (not any("hostPath" in volume for volume in pod.get("volumes", [])), "mounts the host's disk"),
        ):
            if not holds:
                yield f"{workload.title}: {complaint}"
        for container in workload.containers:
            inner = container.get("securityContext", {})
            for holds, complaint in (
                (inner.get("allowPrivilegeEscalation") is False, "may gain privileges"),
                (inner.get("readOnlyRootFilesystem") is True, "may write its root"),
                (inner.get("capabilities", {}).get("drop") == ["ALL"], "keeps capabilities"),
                (not inner.get("capabilities", {}).get("add"), "adds capabilities"),
                (not inner.get("privileged"), "is privileged"),
                (inner.get("runAsNonRoot", True) is True and inner.get("runAsUser", 1) > 0, "may run as root"),
            ):
                if not holds:
                    yield f"{workload.title}: {container['name']} {complaint}"
            if ":" not in container["image"].rsplit("/", 1)[-1] or container["image"].endswith(":latest"):
                yield f"{workload.title}: image {container['image']!r} has no fixed tag"


def budgets_allow_drains(objects: list[Object]) -> Iterator[str]:
    for item in of_kind(objects, "PodDisruptionBudget"):
        spec = item["spec"]
        if spec.get("maxUnavailable") in (0, "0%") or spec.get("minAvailable") == "100%":
            yield f"{title(item)}: no node with such a pod could ever be drained"
    guarded = [item["spec"]["selector"] for item in of_kind(objects, "PodDisruptionBudget")]
    for workload in workloads(objects):
        if workload.is_suite and not any(selects(selector, workload.labels) for selector in guarded):
            yield f"{workload.title}: has no PodDisruptionBudget"


def internet_policy_is_the_codes(objects: list[Object]) -> Iterator[str]:
    for item in of_kind(objects, "NetworkPolicy"):
        if item["metadata"]["name"] == "internet":
            yield from (f"{title(item)}: {difference}" for difference in internet_policy_differs(item))
            return
    yield "NetworkPolicy/internet is missing"


def monitors_scrape_declared_ports(objects: list[Object]) -> Iterator[str]:
    for item in of_kind(objects, "PodMonitor"):
        for workload in workloads(objects):
            if selects(item["spec"]["selector"], workload.labels):
                declared = {port["name"] for container in workload.containers for port in container.get("ports", [])}
                for endpoint in item["spec"]["podMetricsEndpoints"]:
                    if endpoint["port"] not in declared:
                        yield f"{title(item)}: {workload.title} has no port {endpoint['port']!r}"


def certificates_outlive_their_renewal(objects: list[Object]) -> Iterator[str]:
    for item in of_kind(objects, "Certificate"):
        spec = item["spec"]
        duration, before = (float(spec[key].removesuffix("h")) for key in ("duration", "renewBefore"))
        if not 0 < before < duration or duration > 168:
            yield f"{title(item)}: lives {duration:g} h and is renewed {before:g} h before its end"
        account = item["metadata"]["name"]
        if f"spiffe://lastframe/ns/lastframe/sa/{account}" not in spec["uris"]:
            yield f"{title(item)}: its SPIFFE id is not that of ServiceAccount {account}"
        if account not in names_of(objects, "ServiceAccount"):
            yield f"{title(item)}: ServiceAccount {account} does not exist"


def names_are_short(objects: list[Object]) -> Iterator[str]:
    for item in objects:
        if len(item["metadata"]["name"]) > MAX_NAME:
            yield f"{title(item)}: a name has at most {MAX_NAME} characters"


RULES: tuple[Rule, ...] = (
    names_are_unique,
    objects_are_in_the_namespace,
    selectors_match,
    service_ports_exist,
    probes_use_declared_ports,
    references_exist,
    scaling_targets_exist,
    quantities_are_sane,
    addresses_parse,
    pods_are_restricted,
    budgets_allow_drains,
    internet_policy_is_the_codes,
    monitors_scrape_declared_ports,
    certificates_outlive_their_renewal,
    names_are_short,
    *RUNTIME_RULES,
)
