"""Kubernetes' own schemas, strictly: an unknown field is an error."""

from __future__ import annotations

import kubernetes_validate  # type: ignore[import-untyped]

from deploy.checks.objects import Object, title
from deploy.checks.schemas import CORE_GROUPS

KUBERNETES = "1.37"


def problems(objects: list[Object]) -> list[str]:
    found: list[str] = []
    for item in objects:
        if item.get("apiVersion") not in CORE_GROUPS:
            continue
        try:
            kubernetes_validate.validate(item, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            found.append(f"{title(item)}: {path}: {str(error.message)[:200]}")
        except kubernetes_validate.SchemaNotFoundError:
            found.append(f"{title(item)}: Kubernetes {KUBERNETES} has no {item['apiVersion']} {item['kind']}")
    return found
