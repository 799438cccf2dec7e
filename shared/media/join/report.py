"""What became of each clip of a join, as a step's result tells it."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic refuses typing.TypedDict before Python 3.12

from shared.media.join.plan import JoinPlan


class Copied(TypedDict):
    """A clip that went through untouched, by its place among the inputs."""

    index: int


class Reencoded(TypedDict):
    """A clip that did not, and why, in words: `1080x1920 != 1920x1080`."""

    index: int
    reasons: list[str]


def copied(plan: JoinPlan) -> list[Copied]:
    return [{"index": part.clip.index} for part in plan.copied]


def reencoded(plan: JoinPlan) -> list[Reencoded]:
    return [{"index": part.clip.index, "reasons": list(part.reasons)} for part in plan.encoded]
