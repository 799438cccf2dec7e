"""Times look alike to a client, whichever moment they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from shared.public import rfc3339, to_the_millisecond

SECOND = datetime(2026, 2, 3, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("microseconds", "shown"),
    [(0, "00.001Z"), (999, "00.001Z"), (1000, "00.001Z"), (1999, "00.001Z"), (2000, "00.002Z"), (999_999, "00.999Z")],
)
def test_every_time_has_its_milliseconds_over_rest_too(microseconds: int, shown: str) -> None:
    moment = SECOND + timedelta(microseconds=microseconds)
    assert rfc3339(moment) == f"2026-02-03T10:00:{shown}"
    stamp = Timestamp()
    stamp.FromJsonString(rfc3339(moment))
    assert MessageToDict(stamp) == rfc3339(moment)
    assert rfc3339(moment.astimezone(timezone(timedelta(hours=5)))) == rfc3339(moment)


def test_no_two_times_change_their_order() -> None:
    moments = [SECOND + timedelta(microseconds=step * 250) for step in range(-20, 20)]
    assert sorted(map(to_the_millisecond, moments)) == list(map(to_the_millisecond, moments))
