"""Alert rules and the dashboard: Prometheus' own checks, and that every name they use is exported and explained."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from deploy.checks.metrics import as_markdown, series
from deploy.checks.objects import Object, of_kind, title
from deploy.checks.tools import ROOT, promtool

RULES_TEST = Path(__file__).with_name("rules_test.yaml")
OPERATIONS = ROOT / "docs" / "operations.md"
_SERIES = re.compile(r"\b((?:lastframe|rabbitmq)_[a-z_]+)\b(?:\{([^}]*)\})?")
TARGET_LABELS = frozenset({"pod", "namespace", "app_kubernetes_io_name", "app_kubernetes_io_component"})
"""What the PodMonitors add."""


def problems(objects: list[Object]) -> list[str]:
    """What can be seen without Prometheus."""
    rules = [
        rule
        for item in of_kind(objects, "PrometheusRule")
        for group in item["spec"]["groups"]
        for rule in group["rules"]
    ]
    return [*_unknown_series(objects, rules), *_unexplained(rules), *_untested(rules)]


def promtool_problems(objects: list[Object]) -> list[str]:
    """`promtool check rules` and `promtool test rules` over the rendered rules. Raises `MissingProgram`."""
    tool = promtool()
    found: list[str] = []
    for item in of_kind(objects, "PrometheusRule"):
        with tempfile.TemporaryDirectory() as temporary:
            directory = Path(temporary)
            (directory / "rules.yaml").write_text(yaml.safe_dump(item["spec"]))
            (directory / RULES_TEST.name).write_text(RULES_TEST.read_text())
            for command in (["check", "rules", "rules.yaml"], ["test", "rules", RULES_TEST.name]):
                done = subprocess.run(
                    [tool, *command], cwd=directory, capture_output=True, text=True, timeout=60, check=False
                )
                if done.returncode != 0:
                    found.append(f"{title(item)}: promtool {command[0]}: {(done.stdout + done.stderr).strip()[-600:]}")
    return found


def _unknown_series(objects: list[Object], rules: list[Object]) -> Iterator[str]:
    for rule in rules:
        yield from (f"alert {rule['alert']}: {problem}" for problem in _expression_problems(rule["expr"]))
    for item in of_kind(objects, "ConfigMap"):
        if item["metadata"].get("labels", {}).get("grafana_dashboard") != "1":
            continue
        for text in item["data"].values():
            for panel in json.loads(text)["panels"]:
                for target in panel["targets"]:
                    yield from (f"dashboard, {panel['title']}: {text}" for text in _expression_problems(target["expr"]))


def _expression_problems(expression: str) -> Iterator[str]:
    known = series()
    for name, matchers in _SERIES.findall(expression):
        if name not in known:
            yield f"nothing exports {name}"
            continue
        for label in re.findall(r"([a-z_]+)\s*[=!]", matchers):
            if label not in known[name] | TARGET_LABELS:
                yield f"{name} has no label {label}"


def _unexplained(rules: list[Object]) -> Iterator[str]:
    pages = OPERATIONS.read_text() if OPERATIONS.exists() else ""
    headings = {
        re.sub(r"[^a-z0-9-]", "", line.lstrip("# ").lower().replace(" ", "-"))
        for line in pages.splitlines()
        if line.startswith("#")
    }
    for rule in rules:
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        if page != "docs/operations.md" or anchor not in headings:
            yield f"alert {rule['alert']}: {page}#{anchor} is not there"
    if rules and as_markdown() not in pages:
        yield "docs/operations.md: its table of metrics is old; renew it with `python -m deploy.checks metrics`"


def _untested(rules: list[Object]) -> Iterator[str]:
    tests = yaml.safe_load(RULES_TEST.read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for rule in rules:
        fired = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == rule["alert"]]
        if True not in fired or False not in fired:
            yield f"alert {rule['alert']}: no test makes it fire, or none keeps it quiet"
