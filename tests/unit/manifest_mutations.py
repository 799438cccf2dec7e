"""Mistakes that a person makes in manifests, each planted into the rendered production overlay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
Mutation = Callable[[list[Object]], None]

MUTATIONS: dict[str, tuple[str, Mutation]] = {}
"""Name → (the rung that must catch it, what it does to the objects)."""


def mistake(rung: str) -> Callable[[Mutation], Mutation]:
    def keep(mutation: Mutation) -> Mutation:
        MUTATIONS[mutation.__name__] = (rung, mutation)
        return mutation

    return keep


def get(objects: list[Object], kind: str, name: str) -> Object:
    return next(item for item in objects if item["kind"] == kind and item["metadata"]["name"].startswith(name))


def pod(objects: list[Object], name: str) -> Object:
    spec: Object = get(objects, "Deployment", name)["spec"]["template"]["spec"]
    return spec


def container(objects: list[Object], name: str) -> Object:
    first: Object = pod(objects, name)["containers"][0]
    return first


def variable(objects: list[Object], name: str, key: str) -> Object:
    return next(entry for entry in container(objects, name)["env"] if entry["name"] == key)


def remove(objects: list[Object], kind: str, name: str) -> None:
    objects.remove(get(objects, kind, name))


# Kubernetes' own schema


@mistake("schema")
def a_misspelt_field(objects: list[Object]) -> None:
    pod(objects, "frames-api")["terminationGracePeriodSecond"] = 45


@mistake("schema")
def a_number_where_text_belongs(objects: list[Object]) -> None:
    variable(objects, "frames-worker", "LASTFRAME_DRAIN_SECONDS")["value"] = 930


@mistake("schema")
def a_probe_that_says_the_ports_name_to_grpc(objects: list[Object]) -> None:
    container(objects, "frames-worker")["livenessProbe"]["grpc"]["port"] = "rpc"


@mistake("schema")
def a_resource_of_no_such_kind(objects: list[Object]) -> None:
    get(objects, "HorizontalPodAutoscaler", "frames-api")["apiVersion"] = "v1"


# What an API server or a bad day would find


@mistake("invariants")
def a_selector_that_misses_its_pods(objects: list[Object]) -> None:
    get(objects, "Deployment", "stitch-api")["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = "stich"


@mistake("invariants")
def a_selector_that_takes_a_neighbours_pods(objects: list[Object]) -> None:
    deployment = get(objects, "Deployment", "stitch-worker")
    deployment["spec"]["selector"]["matchLabels"] = {"app.kubernetes.io/name": "stitch"}


@mistake("invariants")
def a_service_without_pods(objects: list[Object]) -> None:
    get(objects, "Service", "audio-api")["spec"]["selector"]["app.kubernetes.io/component"] = "server"


@mistake("invariants")
def a_service_port_that_no_container_has(objects: list[Object]) -> None:
    get(objects, "Service", "audio-api")["spec"]["ports"][0]["targetPort"] = "grpc"


@mistake("invariants")
def a_virtual_address_in_front_of_grpc(objects: list[Object]) -> None:
    del get(objects, "Service", "frames-api")["spec"]["clusterIP"]


@mistake("invariants")
def a_service_that_does_not_say_h2c(objects: list[Object]) -> None:
    del get(objects, "Service", "frames-api")["spec"]["ports"][0]["appProtocol"]


@mistake("invariants")
def a_probe_of_an_undeclared_port(objects: list[Object]) -> None:
    container(objects, "frames-worker")["readinessProbe"]["grpc"]["port"] = 50053


@mistake("invariants")
def no_readiness_probe(objects: list[Object]) -> None:
    del container(objects, "gateway-api")["readinessProbe"]


@mistake("invariants")
def a_config_map_that_does_not_exist(objects: list[Object]) -> None:
    container(objects, "frames-api")["envFrom"][0]["configMapRef"]["name"] = "lastframe"


@mistake("invariants")
def a_secret_that_nothing_makes(objects: list[Object]) -> None:
    remove(objects, "ExternalSecret", "lastframe-worker")


@mistake("invariants")
def a_service_account_that_does_not_exist(objects: list[Object]) -> None:
    remove(objects, "ServiceAccount", "probe-worker")


@mistake("invariants")
def two_workloads_with_one_account(objects: list[Object]) -> None:
    pod(objects, "probe-worker")["serviceAccountName"] = "frames-worker"


@mistake("invariants")
def a_mount_without_its_volume(objects: list[Object]) -> None:
    pod(objects, "frames-worker")["volumes"].pop()


@mistake("invariants")
def an_autoscaler_of_nothing(objects: list[Object]) -> None:
    get(objects, "HorizontalPodAutoscaler", "stitch-api")["spec"]["scaleTargetRef"]["name"] = "stitch"


@mistake("invariants")
def replicas_that_an_autoscaler_owns(objects: list[Object]) -> None:
    get(objects, "Deployment", "frames-worker")["spec"]["replicas"] = 3


@mistake("invariants")
def two_autoscalers_of_one_deployment(objects: list[Object]) -> None:
    get(objects, "HorizontalPodAutoscaler", "stitch-api")["spec"]["scaleTargetRef"]["name"] = "frames-api"


@mistake("invariants")
def a_request_above_its_limit(objects: list[Object]) -> None:
    container(objects, "frames-worker")["resources"]["requests"]["memory"] = "12Gi"


@mistake("invariants")
def a_quantity_that_is_none(objects: list[Object]) -> None:
    container(objects, "frames-worker")["resources"]["limits"]["memory"] = "9GB"


@mistake("invariants")
def no_memory_limit(objects: list[Object]) -> None:
    del container(objects, "audio-api")["resources"]["limits"]["memory"]


@mistake("invariants")
def a_cpu_limit(objects: list[Object]) -> None:
    container(objects, "audio-worker")["resources"]["limits"]["cpu"] = "2"


@mistake("invariants")
def scratch_without_a_size(objects: list[Object]) -> None:
    volume = next(volume for volume in pod(objects, "stitch-worker")["volumes"] if volume["name"] == "scratch")
    volume["emptyDir"] = {}


@mistake("invariants")
def scratch_larger_than_the_pod_may_use(objects: list[Object]) -> None:
    volume = next(volume for volume in pod(objects, "stitch-worker")["volumes"] if volume["name"] == "scratch")
    volume["emptyDir"]["sizeLimit"] = "100Gi"


@mistake("invariants")
def more_slots_than_the_memory_holds(objects: list[Object]) -> None:
    variable(objects, "assembly-worker", "LASTFRAME_WORKER_SLOTS")["value"] = "4"
    get(objects, "ScaledObject", "assembly-worker")["spec"]["triggers"][0]["metadata"]["value"] = "4"


@mistake("invariants")
def a_range_that_does_not_parse(objects: list[Object]) -> None:
    get(objects, "NetworkPolicy", "internet")["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"] = "0.0.0.0/33"


@mistake("invariants")
def a_rule_without_peers(objects: list[Object]) -> None:
    del get(objects, "NetworkPolicy", "redis")["spec"]["ingress"][0]["from"]


@mistake("invariants")
def a_root_user(objects: list[Object]) -> None:
    pod(objects, "frames-worker")["securityContext"]["runAsUser"] = 0


@mistake("invariants")
def a_writable_root(objects: list[Object]) -> None:
    container(objects, "envoy")["securityContext"]["readOnlyRootFilesystem"] = False


@mistake("invariants")
def a_capability_kept(objects: list[Object]) -> None:
    container(objects, "envoy")["securityContext"]["capabilities"]["add"] = ["NET_BIND_SERVICE"]


@mistake("invariants")
def a_token_that_nobody_needs(objects: list[Object]) -> None:
    del pod(objects, "frames-worker")["automountServiceAccountToken"]


@mistake("invariants")
def an_image_that_moves(objects: list[Object]) -> None:
    container(objects, "frames-worker")["image"] = "registry.example.com/lastframe:latest"


@mistake("invariants")
def a_namespace_without_pod_security(objects: list[Object]) -> None:
    get(objects, "Namespace", "lastframe")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "baseline"


@mistake("invariants")
def an_object_in_the_default_namespace(objects: list[Object]) -> None:
    get(objects, "ScaledObject", "frames-worker")["metadata"]["namespace"] = "default"


@mistake("invariants")
def a_budget_that_stops_every_drain(objects: list[Object]) -> None:
    get(objects, "PodDisruptionBudget", "gateway-api")["spec"]["maxUnavailable"] = 0


@mistake("invariants")
def a_drain_longer_than_the_grace(objects: list[Object]) -> None:
    pod(objects, "frames-worker")["terminationGracePeriodSeconds"] = 900


@mistake("invariants")
def a_drain_shorter_than_a_job(objects: list[Object]) -> None:
    variable(objects, "stitch-worker", "LASTFRAME_DRAIN_SECONDS")["value"] = "60"


@mistake("invariants")
def a_broker_that_takes_long_jobs_away(objects: list[Object]) -> None:
    get(objects, "RabbitmqCluster", "rabbitmq")["spec"]["rabbitmq"]["additionalConfig"] = "consumer_timeout = 900000\n"


@mistake("invariants")
def dead_letters_that_end_after_twenty_looks(objects: list[Object]) -> None:
    get(objects, "Vhost", "lastframe")["spec"]["defaultQueueType"] = "quorum"


@mistake("invariants")
def no_pause_before_the_end(objects: list[Object]) -> None:
    del container(objects, "frames-api")["lifecycle"]


@mistake("invariants")
def a_setting_that_nothing_reads(objects: list[Object]) -> None:
    variable(objects, "frames-worker", "LASTFRAME_DRAIN_SECONDS")["name"] = "LASTFRAME_DRAIN_SECOND"
    container(objects, "frames-worker")["env"].append({"name": "LASTFRAME_DRAIN_SECONDS", "value": "930"})


@mistake("invariants")
def api_keys_in_a_worker(objects: list[Object]) -> None:
    container(objects, "frames-worker")["envFrom"].append({"secretRef": {"name": "lastframe-api-keys"}})


@mistake("invariants")
def a_server_that_only_its_own_pod_reaches(objects: list[Object]) -> None:
    for item in objects:
        if item["kind"] == "ConfigMap":
            item["data"].pop("LASTFRAME_RPC_BIND_ADDRESS", None)


@mistake("invariants")
def the_webhook_secret_in_an_api(objects: list[Object]) -> None:
    container(objects, "frames-api")["envFrom"].append({"secretRef": {"name": "lastframe-worker"}})


@mistake("invariants")
def a_worker_that_runs_another_feature(objects: list[Object]) -> None:
    container(objects, "stitch-worker")["args"] = ["services.audio", "worker"]


@mistake("invariants")
def a_service_that_does_not_exist(objects: list[Object]) -> None:
    container(objects, "stitch-worker")["args"] = ["services.stich", "worker"]


@mistake("invariants")
def a_feature_without_workers(objects: list[Object]) -> None:
    for kind in ("Deployment", "ScaledObject", "PodDisruptionBudget", "ServiceAccount"):
        remove(objects, kind, "probe-worker")


@mistake("invariants")
def an_edge_that_lacks_a_service(objects: list[Object]) -> None:
    del get(objects, "ConfigMap", "edge")["data"]["EDGE_ASSEMBLY"]


@mistake("invariants")
def an_edge_that_calls_a_wrong_port(objects: list[Object]) -> None:
    get(objects, "ConfigMap", "edge")["data"]["EDGE_ASSEMBLY"] = "assembly-api:50052"


@mistake("invariants")
def an_edge_that_mixes_up_services(objects: list[Object]) -> None:
    get(objects, "ConfigMap", "edge")["data"]["EDGE_ASSEMBLY"] = "audio-api:50051"


@mistake("invariants")
def a_scaler_of_a_queue_that_does_not_exist(objects: list[Object]) -> None:
    trigger = get(objects, "ScaledObject", "frames-worker")["spec"]["triggers"][0]
    trigger["metadata"]["queueName"] = "lastframe.frames"


@mistake("invariants")
def a_gpu_pool_scaled_by_the_cpu_queue(objects: list[Object]) -> None:
    trigger = get(objects, "ScaledObject", "stitch-gpu-worker")["spec"]["triggers"][0]
    trigger["metadata"]["queueName"] = "lastframe.v1.stitch"


@mistake("invariants")
def a_scaler_that_kills_the_last_job(objects: list[Object]) -> None:
    trigger = get(objects, "ScaledObject", "stitch-gpu-worker")["spec"]["triggers"][0]
    trigger["metadata"]["excludeUnacknowledged"] = "true"


@mistake("invariants")
def a_scaler_that_counts_only_ready_messages(objects: list[Object]) -> None:
    get(objects, "ScaledObject", "frames-worker")["spec"]["triggers"][0]["metadata"]["protocol"] = "amqp"


@mistake("invariants")
def a_scaler_that_miscounts_slots(objects: list[Object]) -> None:
    get(objects, "ScaledObject", "frames-worker")["spec"]["triggers"][0]["metadata"]["value"] = "20"


@mistake("invariants")
def a_pool_that_collapses_at_once(objects: list[Object]) -> None:
    advanced = get(objects, "ScaledObject", "frames-worker")["spec"]["advanced"]
    advanced["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]["policies"][0]["value"] = 100


@mistake("invariants")
def a_cpu_pool_that_goes_to_zero(objects: list[Object]) -> None:
    get(objects, "ScaledObject", "frames-worker")["spec"]["minReplicaCount"] = 0


@mistake("invariants")
def a_worker_that_may_be_evicted(objects: list[Object]) -> None:
    del get(objects, "Deployment", "stitch-worker")["spec"]["template"]["metadata"]["annotations"]


@mistake("invariants")
def a_gpu_worker_without_a_gpu(objects: list[Object]) -> None:
    resources = container(objects, "stitch-gpu-worker")["resources"]
    del resources["limits"]["nvidia.com/gpu"], resources["requests"]["nvidia.com/gpu"]


@mistake("invariants")
def a_gpu_worker_on_the_plain_runtime(objects: list[Object]) -> None:
    del pod(objects, "stitch-gpu-worker")["runtimeClassName"]


@mistake("invariants")
def jobs_for_gpus_that_nobody_runs(objects: list[Object]) -> None:
    for item in objects:
        if item["kind"] == "ConfigMap" and "LASTFRAME_GPU_FEATURES" in item["data"]:
            item["data"]["LASTFRAME_GPU_FEATURES"] = "stitch,assembly,audio"


@mistake("invariants")
def tls_at_one_end_only(objects: list[Object]) -> None:
    api = container(objects, "frames-api")
    api["env"] = [entry for entry in api["env"] if entry["name"] != "LASTFRAME_TLS_DIR"]


@mistake("invariants")
def a_probe_of_the_tls_port(objects: list[Object]) -> None:
    container(objects, "frames-api")["livenessProbe"]["grpc"]["port"] = 50051


@mistake("invariants")
def a_certificate_of_another_workload(objects: list[Object]) -> None:
    get(objects, "Certificate", "frames-api")["spec"]["uris"] = ["spiffe://lastframe/ns/lastframe/sa/stitch-api"]


@mistake("invariants")
def a_certificate_renewed_too_late(objects: list[Object]) -> None:
    get(objects, "Certificate", "frames-api")["spec"]["renewBefore"] = "168h"


@mistake("invariants")
def a_monitor_of_a_port_that_no_pod_has(objects: list[Object]) -> None:
    get(objects, "PodMonitor", "lastframe")["spec"]["podMetricsEndpoints"][0]["port"] = "prometheus"


@mistake("invariants")
def a_forbidden_range_left_open(objects: list[Object]) -> None:
    block = get(objects, "NetworkPolicy", "internet")["spec"]["egress"][0]["to"][0]["ipBlock"]
    block["except"].remove("198.18.0.0/15")


@mistake("invariants")
def plans_asked_of_nobody(objects: list[Object]) -> None:
    remove(objects, "Service", "stitch-worker")


@mistake("invariants")
def an_api_that_cannot_call_its_workers(objects: list[Object]) -> None:
    get(objects, "Certificate", "stitch-api")["spec"]["usages"].remove("client auth")


@mistake("invariants")
def more_plans_than_memory(objects: list[Object]) -> None:
    variable(objects, "frames-worker", "LASTFRAME_MAX_PLANS")["value"] = "4"


# Flows


@mistake("network")
def metadata_left_open(objects: list[Object]) -> None:
    block = get(objects, "NetworkPolicy", "internet")["spec"]["egress"][0]["to"][0]["ipBlock"]
    block["except"].remove("169.254.0.0/16")


@mistake("network")
def no_default_deny(objects: list[Object]) -> None:
    remove(objects, "NetworkPolicy", "default-deny")


@mistake("network")
def names_cannot_be_resolved(objects: list[Object]) -> None:
    get(objects, "NetworkPolicy", "names")["spec"]["egress"][0]["ports"].pop(0)


@mistake("network")
def the_broker_refuses_the_autoscaler(objects: list[Object]) -> None:
    get(objects, "NetworkPolicy", "rabbitmq")["spec"]["ingress"].pop(2)


@mistake("network")
def gpu_workers_forgotten(objects: list[Object]) -> None:
    spec = get(objects, "NetworkPolicy", "internet")["spec"]
    spec["podSelector"] = {"matchLabels": {"app.kubernetes.io/component": "worker"}}


@mistake("network")
def the_internet_for_everybody(objects: list[Object]) -> None:
    get(objects, "NetworkPolicy", "internet")["spec"]["podSelector"] = {}


@mistake("network")
def egress_without_its_ingress(objects: list[Object]) -> None:
    remove(objects, "NetworkPolicy", "mongodb")


@mistake("network")
def a_selector_and_where_or_was_meant(objects: list[Object]) -> None:
    peers = get(objects, "NetworkPolicy", "rabbitmq")["spec"]["ingress"][2]["from"]
    peers[0] = {**peers[0], "podSelector": {"matchLabels": {"app.kubernetes.io/name": "keda"}}}


@mistake("network")
def plans_that_nobody_may_ask_for(objects: list[Object]) -> None:
    remove(objects, "NetworkPolicy", "plans")


@mistake("network")
def workers_that_the_gateway_may_call(objects: list[Object]) -> None:
    get(objects, "NetworkPolicy", "plans")["spec"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"].pop()
    get(objects, "NetworkPolicy", "to-plans")["spec"]["podSelector"]["matchExpressions"].pop()


@mistake("network")
def another_team_may_call(objects: list[Object]) -> None:
    get(objects, "NetworkPolicy", "api")["spec"]["ingress"][0]["from"].append({"namespaceSelector": {}})


# Custom resources, rules, dashboard


@mistake("custom resources")
def a_misspelt_field_of_a_scaler(objects: list[Object]) -> None:
    spec = get(objects, "ScaledObject", "frames-worker")["spec"]
    spec["minReplicas"] = spec.pop("minReplicaCount")


@mistake("custom resources")
def an_even_number_of_brokers(objects: list[Object]) -> None:
    get(objects, "RabbitmqCluster", "rabbitmq")["spec"]["replicas"] = 2


@mistake("custom resources")
def the_old_version_of_external_secrets(objects: list[Object]) -> None:
    get(objects, "ExternalSecret", "lastframe-worker")["apiVersion"] = "external-secrets.io/v1beta1"


@mistake("custom resources")
def a_bare_number_in_a_trigger(objects: list[Object]) -> None:
    get(objects, "ScaledObject", "frames-worker")["spec"]["triggers"][0]["metadata"]["value"] = 4


@mistake("watching")
def an_alert_on_a_metric_that_nobody_exports(objects: list[Object]) -> None:
    rules = get(objects, "PrometheusRule", "lastframe")["spec"]["groups"][0]["rules"]
    rules[0]["expr"] = "max(lastframe_stuck_tasks) > 0"


@mistake("watching")
def an_alert_on_a_label_that_nobody_sets(objects: list[Object]) -> None:
    rules = get(objects, "PrometheusRule", "lastframe")["spec"]["groups"][0]["rules"]
    rules[0]["expr"] = 'max(lastframe_tasks{state="processing"}) > 0'


@mistake("watching")
def an_alert_without_a_page(objects: list[Object]) -> None:
    rules = get(objects, "PrometheusRule", "lastframe")["spec"]["groups"][0]["rules"]
    rules[0]["annotations"]["runbook_url"] = "docs/operations.md#nowhere"


@mistake("promtool")
def an_alert_that_never_fires(objects: list[Object]) -> None:
    rules = get(objects, "PrometheusRule", "lastframe")["spec"]["groups"][0]["rules"]
    rules[1]["expr"] = "max(lastframe_queue_age_seconds) > 30000"


@mistake("promtool")
def an_alert_that_does_not_parse(objects: list[Object]) -> None:
    rules = get(objects, "PrometheusRule", "lastframe")["spec"]["groups"][0]["rules"]
    rules[0]["expr"] = "max(lastframe_tasks > 0"
