"""The ladder holds on every overlay, and catches every planted mistake."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Callable

import pytest

from deploy.checks import core, invariants, linters, network, schemas, watching
from deploy.checks.network import End, Flow, is_allowed
from deploy.checks.objects import OVERLAYS, Object, quantity, render, selects
from deploy.checks.tools import MissingProgram
from shared.addresses import FORBIDDEN_RANGES
from tests.support.missing import missing
from tests.unit.manifest_mutations import MUTATIONS

RUNGS: dict[str, Callable[[list[Object]], list[str]]] = {
    "schema": core.problems,
    "invariants": invariants.problems,
    "network": network.problems,
    "custom resources": schemas.problems,
    "watching": watching.problems,
    "promtool": watching.promtool_problems,
}


def climb(rung: str, objects: list[Object]) -> list[str]:
    try:
        return RUNGS[rung](objects)
    except MissingProgram as error:
        missing(str(error))


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rung", RUNGS)
def test_rung_holds(rung: str, overlay: str) -> None:
    assert climb(rung, render(overlay)) == []


@pytest.mark.parametrize("name", MUTATIONS)
def test_planted_mistake_is_caught(name: str) -> None:
    rung, plant = MUTATIONS[name]
    sound = render("prod")
    broken = copy.deepcopy(sound)
    plant(broken)
    changed = [item for item in broken if item not in sound]
    # The schema judges each object by itself, so those that did not change need not be judged again.
    assert climb(rung, changed if rung == "schema" else broken) != []


def test_mistakes_are_many() -> None:
    assert len(MUTATIONS) >= 25


def test_the_dockerfile_is_clean() -> None:
    try:
        assert linters.hadolint_problems() == []
    except MissingProgram as error:
        missing(str(error))


def test_production_without_gpus_is_production_less_its_gpu_pool() -> None:
    def named(overlay: str) -> set[tuple[str, str]]:
        # A generated ConfigMap's name ends in a hash of what is in it.
        return {
            (
                item["kind"],
                item["metadata"]["name"].rsplit("-", 1)[0] if item["kind"] == "ConfigMap" else item["metadata"]["name"],
            )
            for item in render(overlay)
        }

    with_gpus, without = named("prod"), named("cpu-only")
    assert without <= with_gpus
    assert {name.split("-")[1] for _, name in with_gpus - without} == {"gpu"}


# The evaluator itself


def policy(name: str, pods: dict[str, str], **directions: list[Object]) -> Object:
    spec = {
        "podSelector": {"matchLabels": pods},
        "policyTypes": [name.capitalize() for name in directions],
        **directions,
    }
    return {"kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}


A, B = End("a", {"app": "a"}, ports={"web": 80}), End("b", {"app": "b"}, ports={"web": 8080})
ELSEWHERE = End("c", {"app": "a"}, "elsewhere")


def test_without_policies_everything_flows() -> None:
    assert is_allowed([], Flow(A, B, 1))


def test_a_policy_without_rules_denies() -> None:
    assert not is_allowed([policy("deny", {}, ingress=[])], Flow(A, B, 80))
    assert is_allowed([policy("deny", {"app": "a"}, ingress=[])], Flow(A, B, 80))


def test_both_sides_must_open() -> None:
    out = policy("out", {"app": "a"}, egress=[{"to": [{"podSelector": {"matchLabels": {"app": "b"}}}]}])
    shut = policy("shut", {"app": "b"}, ingress=[])
    opened = policy("opened", {"app": "b"}, ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}])
    assert is_allowed([out], Flow(A, B, 80))
    assert not is_allowed([out, shut], Flow(A, B, 80))
    assert is_allowed([out, shut, opened], Flow(A, B, 80))


def test_a_pod_selector_alone_means_the_own_namespace() -> None:
    own = policy("own", {"app": "b"}, ingress=[{"from": [{"podSelector": {}}]}])
    everywhere = policy("all", {"app": "b"}, ingress=[{"from": [{"namespaceSelector": {}}]}])
    assert is_allowed([own], Flow(A, B, 80)) and not is_allowed([own], Flow(ELSEWHERE, B, 80))
    assert is_allowed([everywhere], Flow(ELSEWHERE, B, 80))


def test_selectors_in_one_peer_both_hold_and_peers_add_up() -> None:
    namespace = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}
    pod = {"podSelector": {"matchLabels": {"app": "x"}}}
    assert not is_allowed([policy("and", {"app": "b"}, ingress=[{"from": [namespace | pod]}])], Flow(ELSEWHERE, B, 80))
    assert is_allowed([policy("or", {"app": "b"}, ingress=[{"from": [namespace, pod]}])], Flow(ELSEWHERE, B, 80))


def test_ports_by_number_name_range_and_protocol() -> None:
    def opens(port: Object, wanted: int, protocol: str = "TCP") -> bool:
        rule = {"from": [{"podSelector": {}}], "ports": [port]}
        return is_allowed([policy("p", {"app": "b"}, ingress=[rule])], Flow(A, B, wanted, protocol))

    assert opens({"port": 8080}, 8080) and not opens({"port": 8080}, 8081)
    assert opens({"port": "web"}, 8080) and not opens({"port": "web"}, 80)
    assert opens({"port": 8000, "endPort": 8100}, 8080) and not opens({"port": 8000, "endPort": 8070}, 8080)
    assert not opens({"port": 8080}, 8080, "UDP") and opens({"port": 8080, "protocol": "UDP"}, 8080, "UDP")


def test_blocks_and_their_exceptions() -> None:
    block = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}
    rules = [policy("web", {"app": "a"}, egress=[{"to": [block]}])]
    assert is_allowed(rules, Flow(A, End("public", address="8.8.8.8"), 443))
    assert not is_allowed(rules, Flow(A, End("private", address="10.1.2.3"), 443))
    assert not is_allowed(rules, Flow(A, End("other family", address="2606::1"), 443))


def test_every_forbidden_range_is_shut_at_both_of_its_ends() -> None:
    objects = render("prod")
    worker = next(end for end in network.pods(objects) if end.name == "frames-worker")
    for row in FORBIDDEN_RANGES:
        for address in (row.network[0], row.network[-1]):
            assert not is_allowed(objects, Flow(worker, End(row.reason, address=str(address)), 443)), row
    beside = ipaddress.ip_address("198.20.0.0")  # the first after benchmarking's range
    assert is_allowed(objects, Flow(worker, End("public", address=str(beside)), 443))


def test_selector_expressions() -> None:
    def holds(operator: str, values: list[str] | None = None, **labels: str) -> bool:
        expression = {"key": "k", "operator": operator} | ({"values": values} if values else {})
        return selects({"matchExpressions": [expression]}, labels)

    assert holds("In", ["a"], k="a") and not holds("In", ["a"], k="b") and not holds("In", ["a"])
    assert not holds("NotIn", ["a"], k="a") and holds("NotIn", ["a"], k="b") and holds("NotIn", ["a"])
    assert holds("Exists", k="a") and not holds("Exists") and holds("DoesNotExist") and not holds("DoesNotExist", k="a")
    with pytest.raises(ValueError, match="Within"):
        holds("Within", ["a"], k="a")


@pytest.mark.parametrize(("text", "number"), [("100m", 0.1), ("2", 2.0), ("1Gi", 2.0**30), ("1.5k", 1500.0)])
def test_quantities(text: str, number: float) -> None:
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["9GB", "", "-1", "1 Gi", "Gi"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        quantity(text)
