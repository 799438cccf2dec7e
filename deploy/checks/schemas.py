"""Strict JSON schemas of the custom resources that we use, made of what we use of them.

The operators' own schemas are large and not in any package. A field that is not here is a mistake until somebody adds
it on purpose, which is what catches a misspelt one before a cluster does.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from deploy.checks.objects import Object, title

Schema = dict[str, Any]


def _fields(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": sorted(required),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _one_of(*values: str) -> Schema:
    return {"enum": list(values)}


TEXT: Schema = {"type": "string", "minLength": 1}
NUMBER: Schema = {"type": "integer", "minimum": 0}
DURATION: Schema = {"type": "string", "pattern": r"^\d+(ms|s|m|h)$"}
QUANTITY: Schema = {"type": "string", "pattern": r"^\d+(\.\d+)?(m|Ki|Mi|Gi|Ti)?$"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
NAMED = _fields({"name": TEXT})
KEYED: Schema = {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}
SELECTOR: Schema = _fields(
    {},
    {
        "matchLabels": LABELS,
        "matchExpressions": _list(
            _fields(
                {"key": TEXT, "operator": _one_of("In", "NotIn", "Exists", "DoesNotExist")}, {"values": _list(TEXT)}
            )
        ),
    },
)
RESOURCES = _fields({"requests": KEYED, "limits": KEYED})
ANTI_AFFINITY = _fields(
    {
        "podAntiAffinity": _fields(
            {
                "requiredDuringSchedulingIgnoredDuringExecution": _list(
                    _fields({"topologyKey": TEXT, "labelSelector": SELECTOR})
                )
            }
        )
    }
)
SCALING = _fields(
    {"policies": _list(_fields({"type": _one_of("Percent", "Pods"), "value": NUMBER, "periodSeconds": NUMBER}))},
    {"stabilizationWindowSeconds": NUMBER},
)
RULE = _fields(
    {
        "alert": {"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
        "expr": TEXT,
        "for": DURATION,
        "labels": _fields({"severity": _one_of("critical", "warning")}),
        "annotations": _fields({"summary": TEXT, "runbook_url": TEXT}),
    }
)

SPECS: dict[tuple[str, str], Schema] = {
    ("keda.sh/v1alpha1", "ScaledObject"): _fields(
        {
            "scaleTargetRef": NAMED,
            "pollingInterval": NUMBER,
            "cooldownPeriod": NUMBER,
            "minReplicaCount": NUMBER,
            "maxReplicaCount": {"type": "integer", "minimum": 1},
            "fallback": _fields(
                {
                    "failureThreshold": NUMBER,
                    "replicas": NUMBER,
                    "behavior": _one_of(
                        "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"
                    ),
                }
            ),
            "advanced": _fields(
                {
                    "horizontalPodAutoscalerConfig": _fields(
                        {"behavior": _fields({"scaleDown": SCALING}, {"scaleUp": SCALING})}
                    )
                }
            ),
            "triggers": _list(
                _fields(
                    {
                        "type": _one_of("rabbitmq"),
                        "metadata": _fields(
                            {
                                "protocol": _one_of("http", "amqp", "auto"),
                                "queueName": TEXT,
                                "mode": _one_of("QueueLength", "MessageRate"),
                                "value": {"type": "string", "pattern": r"^[1-9]\d*$"},
                                "excludeUnacknowledged": _one_of("true", "false"),
                            }
                        ),
                        "authenticationRef": NAMED,
                    }
                )
            ),
        }
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): _fields(
        {"secretTargetRef": _list(_fields({"parameter": TEXT, "name": TEXT, "key": TEXT}))}
    ),
    ("rabbitmq.com/v1beta1", "RabbitmqCluster"): _fields(
        {
            "replicas": {"enum": [1, 3, 5, 7]},
            "image": TEXT,
            "terminationGracePeriodSeconds": NUMBER,
            "resources": RESOURCES,
            "persistence": _fields({"storage": QUANTITY}, {"storageClassName": TEXT}),
            "rabbitmq": _fields({"additionalPlugins": _list(TEXT), "additionalConfig": TEXT}),
            "affinity": ANTI_AFFINITY,
        }
    ),
    ("rabbitmq.com/v1beta1", "Vhost"): _fields(
        {"name": TEXT, "rabbitmqClusterReference": NAMED}, {"defaultQueueType": _one_of("quorum", "classic", "stream")}
    ),
    ("rabbitmq.com/v1beta1", "User"): _fields(
        {"rabbitmqClusterReference": NAMED, "importCredentialsSecret": NAMED},
        {"tags": _list(_one_of("management", "policymaker", "monitoring", "administrator"))},
    ),
    ("rabbitmq.com/v1beta1", "Permission"): _fields(
        {
            "vhost": TEXT,
            "userReference": NAMED,
            "permissions": _fields({"configure": TEXT, "write": TEXT, "read": TEXT}),
            "rabbitmqClusterReference": NAMED,
        }
    ),
    ("mongodbcommunity.mongodb.com/v1", "MongoDBCommunity"): _fields(
        {
            "type": _one_of("ReplicaSet"),
            "members": {"enum": [3, 5, 7]},
            "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
            "security": _fields(
                {"authentication": _fields({"modes": _list(_one_of("SCRAM", "SCRAM-SHA-256", "SCRAM-SHA-1", "X509"))})}
            ),
            "users": _list(
                _fields(
                    {
                        "name": TEXT,
                        "db": TEXT,
                        "passwordSecretRef": NAMED,
                        "scramCredentialsSecretName": TEXT,
                        "roles": _list(_fields({"name": TEXT, "db": TEXT})),
                    }
                )
            ),
        },
        {
            "additionalMongodConfig": {"type": "object"},
            "statefulSet": _fields(
                {
                    "spec": _fields(
                        {
                            "selector": SELECTOR,
                            "template": _fields(
                                {
                                    "metadata": _fields({"labels": LABELS}),
                                    "spec": _fields(
                                        {
                                            "affinity": ANTI_AFFINITY,
                                            "containers": _list(_fields({"name": TEXT, "resources": RESOURCES})),
                                        }
                                    ),
                                }
                            ),
                            "volumeClaimTemplates": _list(
                                _fields(
                                    {
                                        "metadata": NAMED,
                                        "spec": _fields(
                                            {
                                                "accessModes": _list(_one_of("ReadWriteOnce")),
                                                "resources": _fields({"requests": _fields({"storage": QUANTITY})}),
                                            },
                                            {"storageClassName": TEXT},
                                        ),
                                    }
                                )
                            ),
                        }
                    )
                }
            ),
        },
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): _fields(
        {
            "selector": SELECTOR,
            "podMetricsEndpoints": _list(
                _fields(
                    {"port": TEXT, "path": {"type": "string", "pattern": "^/"}, "interval": DURATION},
                    {"params": {"type": "object", "additionalProperties": _list(TEXT)}},
                )
            ),
        },
        {"podTargetLabels": _list(TEXT)},
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _fields(
        {"groups": _list(_fields({"name": TEXT, "rules": _list(RULE)}))}
    ),
    ("external-secrets.io/v1", "ExternalSecret"): _fields(
        {
            "refreshInterval": DURATION,
            "secretStoreRef": _fields({"kind": _one_of("SecretStore", "ClusterSecretStore"), "name": TEXT}),
            "target": _fields(
                {"name": TEXT, "creationPolicy": _one_of("Owner", "Merge", "Orphan", "None")},
                {"template": _fields({"engineVersion": _one_of("v2"), "data": KEYED})},
            ),
            "data": _list(_fields({"secretKey": TEXT, "remoteRef": _fields({"key": TEXT, "property": TEXT})})),
        }
    ),
    ("cert-manager.io/v1", "Certificate"): _fields(
        {
            "secretName": TEXT,
            "duration": {"type": "string", "pattern": r"^\d+h$"},
            "renewBefore": {"type": "string", "pattern": r"^\d+h$"},
            "privateKey": _fields(
                {
                    "algorithm": _one_of("ECDSA", "RSA", "Ed25519"),
                    "size": NUMBER,
                    "rotationPolicy": _one_of("Always", "Never"),
                }
            ),
            "usages": _list(_one_of("digital signature", "client auth", "server auth")),
            "uris": _list({"type": "string", "pattern": "^spiffe://"}),
            "issuerRef": _fields({"kind": _one_of("Issuer", "ClusterIssuer"), "name": TEXT}),
        },
        {"dnsNames": _list(TEXT)},
    ),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): _fields(
        {
            "parentRefs": _list(_fields({"name": TEXT}, {"namespace": TEXT, "sectionName": TEXT})),
            "hostnames": _list({"type": "string", "pattern": r"^(\*\.)?([a-z0-9-]+\.)+[a-z]+$"}),
            "rules": _list(
                _fields(
                    {
                        "matches": _list(
                            _fields({"path": _fields({"type": _one_of("PathPrefix", "Exact"), "value": TEXT})})
                        ),
                        "backendRefs": _list(_fields({"name": TEXT, "port": PORT})),
                    },
                    {"timeouts": _fields({"request": DURATION})},
                )
            ),
        }
    ),
}

CORE_GROUPS = (
    "v1",
    "apps/v1",
    "policy/v1",
    "autoscaling/v2",
    "networking.k8s.io/v1",
    "batch/v1",
    "rbac.authorization.k8s.io/v1",
)
METADATA = _fields({"name": TEXT}, {"namespace": TEXT, "labels": LABELS, "annotations": LABELS})


def problems(objects: list[Object]) -> list[str]:
    """Every custom resource against its schema; a kind without one is a problem too."""
    found: list[str] = []
    for item in objects:
        if item.get("apiVersion") in CORE_GROUPS:
            continue
        spec = SPECS.get((item.get("apiVersion", ""), item.get("kind", "")))
        if spec is None:
            found.append(f"{title(item)}: {item.get('apiVersion')} {item.get('kind')} has no schema here")
            continue
        whole = _fields({"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA, "spec": spec})
        for error in Draft202012Validator(whole).iter_errors(item):
            found.append(f"{title(item)}: {error.json_path}: {error.message[:200]}")
    return found
