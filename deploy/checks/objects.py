"""Reading rendered manifests: what each object is, and the pods that it makes."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.checks.tools import needed_program

Object = dict[str, Any]

K8S = Path(__file__).resolve().parents[1] / "k8s"
OVERLAYS = ("dev", "cpu-only", "prod")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
SUITE_COMPONENTS = ("edge", "api", "worker", "gpu-worker")
COMPONENT, NAME = "app.kubernetes.io/component", "app.kubernetes.io/name"


def render(overlay: str) -> list[Object]:
    """All objects of an overlay, fresh copies. Raises `RuntimeError` with kustomize's words when it does not build."""
    return copy.deepcopy(_parsed(overlay))


@cache
def _parsed(overlay: str) -> list[Object]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there
    return [item for item in yaml.load_all(_kustomized(overlay), loader) if item is not None]


def _kustomized(overlay: str) -> str:
    done = subprocess.run(
        [needed_program("kubectl"), "kustomize", str(K8S / "overlays" / overlay)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"kustomize of {overlay}: {done.stderr.strip()}")
    return done.stdout


def title(item: Object) -> str:
    return f"{item.get('kind')}/{item.get('metadata', {}).get('name')}"


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    return [item for item in objects if item.get("kind") in kinds]


def names_of(objects: Iterable[Object], *kinds: str) -> set[str]:
    return {item["metadata"]["name"] for item in of_kind(objects, *kinds)}


@dataclass(frozen=True)
class Workload:
    """A Deployment or its like, opened."""

    item: Object

    @property
    def title(self) -> str:
        return title(self.item)

    @property
    def pod(self) -> Object:
        spec: Object = self.item["spec"]["template"]["spec"]
        return spec

    @property
    def labels(self) -> dict[str, str]:
        return self.item["spec"]["template"].get("metadata", {}).get("labels") or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.item["spec"]["template"].get("metadata", {}).get("annotations") or {}

    @property
    def containers(self) -> list[Object]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def component(self) -> str:
        return self.labels.get(COMPONENT, "")

    @property
    def is_suite(self) -> bool:
        return self.component in SUITE_COMPONENTS

    @property
    def is_worker(self) -> bool:
        return self.component in ("worker", "gpu-worker")


def workloads(objects: Iterable[Object]) -> Iterator[Workload]:
    return (Workload(item) for item in of_kind(objects, *WORKLOADS))


def environment(container: Object, objects: Iterable[Object]) -> dict[str, str]:
    """The plain variables that a container gets: of its ConfigMaps, then its own. Secrets are not opened."""
    maps = {item["metadata"]["name"]: item.get("data", {}) for item in of_kind(objects, "ConfigMap")}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if name := source.get("configMapRef", {}).get("name"):
            found |= maps.get(name, {})
    found |= {entry["name"]: entry["value"] for entry in container.get("env", []) if "value" in entry}
    return found


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Kubernetes' label selector with `matchLabels` and `matchExpressions`; an empty one selects everything.

    Raises:
        ValueError: an operator that Kubernetes does not know.
    """
    selector = selector or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression_holds(expression, labels) for expression in selector.get("matchExpressions") or [])


def _expression_holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f"a selector has no operator {operator!r}")


_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_FACTORS = {None: 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_FACTORS |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", start=1)}


def quantity(text: object) -> float:
    """A Kubernetes quantity as a number of its unit (cores, bytes). Raises ValueError on what is none."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    return float(match[1]) * _FACTORS[match[2]]
