"""The worker's way to the internet, held equal to the list that the code judges addresses by."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from deploy.checks.objects import Object
from shared.addresses import FORBIDDEN_RANGES, PUBLIC_SPACE, IPNetwork
from shared.runtime.settings import Settings


def internet_policy_differs(policy: Object) -> Iterator[str]:
    """Sentences on every range and port in which the policy and `shared/addresses.py` or the settings differ."""
    blocks = [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule.get("to", []) if "ipBlock" in peer]
    allowed = {block["cidr"]: _networks(block.get("except", [])) for block in blocks}
    for space in PUBLIC_SPACE:
        wanted = {row.network for row in FORBIDDEN_RANGES if row.network.version == space.version}
        if str(space) not in allowed:
            yield f"does not open {space}"
            continue
        excepted = allowed.pop(str(space))
        yield from (f"leaves {network} open, which the code forbids" for network in sorted(wanted - excepted, key=str))
        yield from (f"closes {network}, which the code opens" for network in sorted(excepted - wanted, key=str))
    yield from (f"opens {cidr}, which is not public space" for cidr in allowed)
    ports = {entry.get("port") for rule in policy["spec"]["egress"] for entry in rule.get("ports", [])}
    default = {int(text) for text in str(Settings.model_fields["source_ports"].default).split(",")}
    if ports != default:
        yield f"opens ports {sorted(map(str, ports))}, the settings {sorted(map(str, default))}"


def _networks(texts: list[str]) -> set[IPNetwork]:
    return {ipaddress.ip_network(text) for text in texts}
