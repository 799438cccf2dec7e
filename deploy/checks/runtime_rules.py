"""Rules that tie the manifests to the product: its settings, queues, modules and the times that a drain takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from deploy.checks.objects import (
    NAME,
    Object,
    Workload,
    environment,
    names_of,
    of_kind,
    quantity,
    title,
    workloads,
)
from deploy.checks.tools import ROOT
from services.gateway.edge.render import render
from shared.backends.rabbit_topology import CONSUMER_TIMEOUT_MILLISECONDS, FEATURES, queue_name
from shared.jobs.planner import PLAN_MEMORY_BYTES
from shared.runtime.process import RPC_GRACE_SECONDS
from shared.runtime.settings import Settings

GIBIBYTE = 1024**3
PARENT_BYTES = GIBIBYTE
"""What a worker's own process may take beside its children: it fetches, spools and uploads."""

OTHER_VARIABLES = frozenset(  # read by the driver of the object store
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    }
)
API_KEYS, WORKER_SECRET = "lastframe-api-keys", "lastframe-worker"  # names of Secrets


def suite(objects: list[Object]) -> Iterator[tuple[Workload, Object, dict[str, str]]]:
    """Our own workloads, each with its one container and the plain variables that it gets."""
    for workload in workloads(objects):
        if workload.is_suite:
            container = workload.containers[0]
            yield workload, container, environment(container, objects)


def drains_fit_into_the_grace(objects: list[Object]) -> Iterator[str]:
    broker_seconds = min([CONSUMER_TIMEOUT_MILLISECONDS / 1000, *_broker_timeouts(objects)])
    for workload, container, variables in suite(objects):
        grace = workload.pod.get("terminationGracePeriodSeconds", 30)
        wait = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain = _drain_seconds(workload, variables)
        if wait + drain >= grace:
            yield f"{workload.title}: preStop {wait} s and a drain of {drain:g} s do not fit into {grace} s"
        if not workload.is_worker:
            if not wait:
                yield f"{workload.title}: has no preStop sleep, so callers still come while it stops"
            continue
        deadline = float(
            variables.get("LASTFRAME_JOB_DEADLINE_SECONDS", Settings.model_fields["job_deadline_seconds"].default)
        )
        if drain < deadline:
            yield f"{workload.title}: drains {drain:g} s, a job may take {deadline:g} s"
        if grace >= broker_seconds:
            yield f"{workload.title}: the broker takes messages away after {broker_seconds:g} s, within the grace"


def _drain_seconds(workload: Workload, variables: dict[str, str]) -> float:
    if workload.component == "edge":
        return float(variables["EDGE_GRACE_SECONDS"])
    if workload.is_worker:
        return float(variables["LASTFRAME_DRAIN_SECONDS"])
    return RPC_GRACE_SECONDS


def _broker_timeouts(objects: list[Object]) -> Iterator[float]:
    texts = [
        item["spec"].get("rabbitmq", {}).get("additionalConfig", "") for item in of_kind(objects, "RabbitmqCluster")
    ]
    texts += [text for item in of_kind(objects, "ConfigMap") for text in item.get("data", {}).values()]
    for text in texts:
        for found in re.findall(r"^\s*consumer_timeout\s*=\s*(\d+)", text, re.MULTILINE):
            yield int(found) / 1000


def memory_holds_every_slot(objects: list[Object]) -> Iterator[str]:
    for workload, container, variables in suite(objects):
        if not workload.is_worker:
            continue
        slots = int(variables["LASTFRAME_WORKER_SLOTS"])
        child = int(variables["LASTFRAME_CHILD_MEMORY_BYTES"])
        plans = int(variables["LASTFRAME_MAX_PLANS"])
        limit = quantity(container["resources"]["limits"]["memory"])
        needed = slots * child + plans * PLAN_MEMORY_BYTES + PARENT_BYTES
        if needed > limit:
            asked = f"{slots} children and {plans} plans need {needed / GIBIBYTE:g} GiB"
            yield f"{workload.title}: {asked}, above the limit: one could end them all"


def variables_are_known(objects: list[Object]) -> Iterator[str]:
    known = {f"LASTFRAME_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    for workload, container, variables in suite(objects):
        names = set(variables) | {entry["name"] for entry in container.get("env", [])}
        for name in sorted(names):
            if name not in known and not (workload.component == "edge" and name.startswith("EDGE_")):
                yield f"{workload.title}: sets {name}, which nothing reads"


def secrets_are_seen_by_need(objects: list[Object]) -> Iterator[str]:
    for workload, container, _ in suite(objects):
        # A generated Secret has a hash at the end of its name.
        seen = [source["secretRef"]["name"] for source in container.get("envFrom", []) if "secretRef" in source]
        seen += [volume["secret"]["secretName"] for volume in workload.pod.get("volumes", []) if "secret" in volume]
        keys = any(name.startswith(API_KEYS) for name in seen)
        work = any(name.startswith(WORKER_SECRET) for name in seen)
        if workload.component == "edge" and any(not name.endswith("-tls") for name in seen):
            yield f"{workload.title}: sees secrets and needs none"
        if workload.component == "api" and (work or not keys):
            yield f"{workload.title}: must see the API keys, and not the workers' secrets"
        if workload.is_worker and (keys or not work):
            yield f"{workload.title}: must see the workers' secrets, and not the API keys"


def commands_exist(objects: list[Object]) -> Iterator[str]:
    for workload, container, _ in suite(objects):
        module, *rest = container.get("args", [""])
        folder = ROOT.joinpath(*module.split("."))
        if "command" in container or not (folder.is_dir() and module.startswith("services.")):
            yield f"{workload.title}: runs {container.get('command', [])} {module!r}, which is no service"
            continue
        role = {"api": ["api"], "worker": ["worker"], "gpu-worker": ["worker"], "edge": []}[workload.component]
        if rest != role:
            yield f"{workload.title}: is of role {workload.component} but runs {rest}"
        if workload.component != "edge" and module != f"services.{workload.labels.get(NAME)}":
            yield f"{workload.title}: is named {workload.labels.get(NAME)} but runs {module}"
    served = {(workload.labels.get(NAME), workload.component) for workload, _, _ in suite(objects)}
    for feature in FEATURES:
        for role in ("api", "worker"):
            if (feature, role) not in served:
                yield f"nothing runs the {role} of {feature}"


def the_edge_reaches_every_service(objects: list[Object]) -> Iterator[str]:
    services = {item["metadata"]["name"]: item for item in of_kind(objects, "Service")}
    for workload, _, variables in suite(objects):
        if workload.component != "edge":
            continue
        own = {name.removeprefix("EDGE_"): text for name, text in variables.items() if name.startswith("EDGE_")}
        if complaint := _edge_refuses(frozenset({**own, "PORT": variables.get("LASTFRAME_PORT", "")}.items())):
            yield f"{workload.title}: {complaint}"
        for name, text in own.items():
            if re.fullmatch(r"[a-z0-9.-]+:\d+", text) is None:
                continue
            host, _, port = text.rpartition(":")
            if port not in [str(entry["port"]) for entry in services.get(host, {}).get("spec", {}).get("ports", [])]:
                yield f"{workload.title}: EDGE_{name}={text} is no Service and port of ours"
            if name.lower() in FEATURES and host != f"{name.lower()}-api":
                yield f"{workload.title}: EDGE_{name} leads to {host}"


def apis_reach_their_workers(objects: list[Object]) -> Iterator[str]:
    """For plans. The name is also what a worker's certificate must have."""
    services = {item["metadata"]["name"]: item for item in of_kind(objects, "Service")}
    certificates = {item["metadata"]["name"]: item["spec"] for item in of_kind(objects, "Certificate")}
    for workload, _, variables in suite(objects):
        feature = workload.labels.get(NAME)
        if workload.component != "api" or feature not in FEATURES:
            continue
        address = variables.get("LASTFRAME_PLANNER_ADDRESS", "").replace("{feature}", feature)
        host, _, port = address.rpartition(":")
        if host != f"{feature}-worker" or port not in [
            str(entry["port"]) for entry in services.get(host, {}).get("spec", {}).get("ports", [])
        ]:
            yield f"{workload.title}: LASTFRAME_PLANNER_ADDRESS={address} is no Service and port of its workers"
        if certificates and host not in certificates.get(host, {}).get("dnsNames", []):
            yield f"{workload.title}: no certificate of its workers says {host}"
        if certificates and "client auth" not in certificates[f"{feature}-api"]["usages"]:
            yield f"{workload.title}: its certificate is not good for calling its workers"


@cache
def _edge_refuses(variables: frozenset[tuple[str, str]]) -> str | None:
    """What the edge's own renderer says to these variables."""
    try:
        render({**dict(variables), "DESCRIPTORS": "edge.binpb"})
    except ValueError as error:
        return str(error)
    return None


def autoscalers_fit_the_queues(objects: list[Object]) -> Iterator[str]:
    targets = {workload.item["metadata"]["name"]: workload for workload in workloads(objects)}
    scaled = set()
    for item in of_kind(objects, "ScaledObject"):
        spec = item["spec"]
        target = targets.get(spec["scaleTargetRef"]["name"])
        if target is None or not target.is_worker:
            yield f"{title(item)}: scales no worker"
            continue
        scaled.add(target.item["metadata"]["name"])
        on_gpu = target.component == "gpu-worker"
        wanted = queue_name(target.labels[NAME]) + (".gpu" if on_gpu else "")
        slots = environment(target.containers[0], objects)["LASTFRAME_WORKER_SLOTS"]
        if spec.get("minReplicaCount", 0) != (0 if on_gpu else 1):
            yield f"{title(item)}: a CPU pool keeps one pod, a GPU pool none"
        if on_gpu and spec.get("cooldownPeriod", 0) < 600:
            yield f"{title(item)}: a GPU node that goes at once comes back for minutes"
        if spec.get("fallback", {}).get("behavior") != "currentReplicasIfHigher":
            yield f"{title(item)}: would shrink the pool while the broker cannot be asked"
        for trigger in spec["triggers"]:
            data = trigger["metadata"]
            if data.get("queueName") != wanted:
                yield f"{title(item)}: looks at queue {data.get('queueName')!r}, its workers consume {wanted!r}"
            if data.get("value") != slots:
                yield f"{title(item)}: counts {data.get('value')} jobs a pod, a pod has {slots} slots"
            if (data.get("protocol"), data.get("mode")) != ("http", "QueueLength"):
                yield f"{title(item)}: only QueueLength over http sees running jobs"
            if data.get("excludeUnacknowledged") != "false":
                yield f"{title(item)}: would scale away the pod that works on the last job"
        policies = (
            spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {}).get("scaleDown", {})
        ).get("policies", [])
        if not policies or any(policy["type"] != "Percent" or policy["value"] > 20 for policy in policies):
            yield f"{title(item)}: shrinks by more than 20 % a minute"
    if of_kind(objects, "ScaledObject"):
        for workload, _, _ in suite(objects):
            if workload.is_worker and workload.item["metadata"]["name"] not in scaled:
                yield f"{workload.title}: nothing scales it"


def servers_listen_outside(objects: list[Object]) -> Iterator[str]:
    for workload, _, variables in suite(objects):
        if workload.component != "edge" and variables.get("LASTFRAME_RPC_BIND_ADDRESS") not in ("0.0.0.0", "::"):
            yield f"{workload.title}: listens where neither Envoy nor the kubelet reaches it"
        declared = {str(port["containerPort"]) for container in workload.containers for port in container["ports"]}
        for name in (
            "LASTFRAME_PORT",
            "LASTFRAME_RPC_PORT",
            "LASTFRAME_METRICS_PORT",
            "LASTFRAME_HEALTH_PORT",
            "EDGE_METRICS_PORT",
        ):
            if variables.get(name, next(iter(declared))) not in declared:
                yield f"{workload.title}: {name} {variables[name]} is not a port that it declares"


def workers_are_left_alone(objects: list[Object]) -> Iterator[str]:
    for workload, _, _ in suite(objects):
        if workload.is_worker:
            if workload.annotations.get("cluster-autoscaler.kubernetes.io/safe-to-evict") != "false":
                yield f"{workload.title}: the cluster autoscaler may evict it within a job"
            if workload.annotations.get("karpenter.sh/do-not-disrupt") != "true":
                yield f"{workload.title}: Karpenter may disrupt it within a job"


def gpu_workers_get_gpus(objects: list[Object]) -> Iterator[str]:
    for workload, container, variables in suite(objects):
        devices = [name for name in container["resources"].get("limits", {}) if name.startswith("nvidia.com/")]
        if workload.component != "gpu-worker":
            if devices or workload.pod.get("runtimeClassName"):
                yield f"{workload.title}: holds a GPU and has no use for it"
            continue
        tolerated = {entry.get("key") for entry in workload.pod.get("tolerations", [])}
        for holds, complaint in (
            (devices, "asks for no GPU"),
            (workload.pod.get("runtimeClassName") == "nvidia", "does not run under the RuntimeClass nvidia"),
            (workload.pod.get("nodeSelector"), "selects no kind of node"),
            ("nvidia.com/gpu" in tolerated, "does not tolerate GPU nodes"),
            (variables.get("LASTFRAME_POOL") == "gpu", "consumes the CPU queue"),
            (variables.get("LASTFRAME_ACCELERATOR") != "cpu", "never uses its GPU"),
            (
                workload.labels.get(NAME) in variables.get("LASTFRAME_GPU_FEATURES", "").split(","),
                "gets no jobs: LASTFRAME_GPU_FEATURES does not name its feature",
            ),
        ):
            if not holds:
                yield f"{workload.title}: {complaint}"
    pools = {workload.labels.get(NAME) for workload, _, _ in suite(objects) if workload.component == "gpu-worker"}
    for workload, _, variables in suite(objects):
        for feature in filter(None, variables.get("LASTFRAME_GPU_FEATURES", "").split(",")):
            if feature not in pools:
                yield f"{workload.title}: would queue jobs of {feature} for GPUs, and nothing consumes them"


def tls_is_on_at_both_ends(objects: list[Object]) -> Iterator[str]:
    ends = {workload.title: (workload, container, variables) for workload, container, variables in suite(objects)}
    speaks = {
        name: ("EDGE_TLS_DIR" if workload.component == "edge" else "LASTFRAME_TLS_DIR") in variables
        for name, (workload, _, variables) in ends.items()
        if workload.component != "gpu-worker"
    }
    if len(set(speaks.values())) > 1:
        plain = sorted(name for name, on in speaks.items() if not on)
        yield f"TLS is on, but not for {', '.join(plain)}"
    for name, on in speaks.items():
        workload, container, variables = ends[name]
        mounts = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
        directory = variables.get("EDGE_TLS_DIR") or variables.get("LASTFRAME_TLS_DIR")
        if on and directory not in mounts:
            yield f"{name}: its certificate is not mounted at {directory}"
        for volume in workload.pod.get("volumes", []):
            if (
                volume["name"] == "tls"
                and volume["secret"]["secretName"] != f"{workload.pod['serviceAccountName']}-tls"
            ):
                yield f"{name}: mounts the certificate of another workload"
        if on and workload.component != "edge":
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if str(container.get(probe, {}).get("grpc", {}).get("port")) != variables.get("LASTFRAME_HEALTH_PORT"):
                    yield f"{name}: {probe} asks a TLS port, and gRPC probes speak no TLS"


def accounts_are_their_own(objects: list[Object]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for workload in workloads(objects):
        account = workload.pod.get("serviceAccountName", "default")
        if account == "default" or account in seen:
            yield f"{workload.title}: shares ServiceAccount {account!r}"
        seen[account] = workload.title


def the_broker_is_named_alike(objects: list[Object]) -> Iterator[str]:
    vhosts = {item["spec"]["name"] for item in of_kind(objects, "Vhost")}
    clusters, users = names_of(objects, "RabbitmqCluster"), names_of(objects, "User")
    for item in of_kind(objects, "Vhost", "User", "Permission"):
        if item["spec"]["rabbitmqClusterReference"]["name"] not in clusters:
            yield f"{title(item)}: its RabbitmqCluster does not exist"
    for item in of_kind(objects, "Vhost"):
        if item["spec"].get("defaultQueueType", "classic") != "classic":
            yield f"{title(item)}: dead letters in a queue of another type than classic end after twenty looks"
    for item in of_kind(objects, "Permission"):
        if item["spec"]["vhost"] not in vhosts:
            yield f"{title(item)}: its vhost does not exist"
        if item["spec"]["userReference"]["name"] not in users:
            yield f"{title(item)}: its user does not exist"


RUNTIME_RULES: tuple[Callable[[list[Object]], Iterator[str]], ...] = (
    drains_fit_into_the_grace,
    memory_holds_every_slot,
    variables_are_known,
    secrets_are_seen_by_need,
    commands_exist,
    the_edge_reaches_every_service,
    autoscalers_fit_the_queues,
    servers_listen_outside,
    workers_are_left_alone,
    gpu_workers_get_gpus,
    apis_reach_their_workers,
    tls_is_on_at_both_ends,
    accounts_are_their_own,
    the_broker_is_named_alike,
)
