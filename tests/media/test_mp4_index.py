"""The room for an mp4's index is enough for the worst that FFmpeg can make of as many packets."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from shared.media.mp4_index import index_bytes

FRAMES, RATE, TIMESCALE = 36_000, 48_000, 90_000  # ten minutes at 60 frames a second
EXTRADATA = bytes(20_000)


@pytest.mark.parametrize("sound_seconds", [0, 600])
@pytest.mark.parametrize("keys", ["all but one", "one"])
def test_the_room_is_enough_for_the_worst_case(tmp_path: Path, keys: str, sound_seconds: int) -> None:
    """No step between two pictures like the one before it, no chunk as long as the one before it, pictures that are
    shown in another order than they are stored."""
    room = index_bytes(FRAMES, FRAMES, EXTRADATA, sound_seconds * RATE)
    path = tmp_path / "worst.mp4"
    chance = random.Random(1)
    with av.open(str(path), "w", container_options={"moov_size": str(room)}) as output:
        video = output.add_stream("mpeg4", rate=60)
        video.width, video.height, video.time_base = 64, 64, Fraction(1, TIMESCALE)
        video.codec_context.extradata = EXTRADATA
        sounds = []
        if sound_seconds:
            audio = output.add_stream("aac", rate=RATE, layout="stereo")
            audio.time_base = Fraction(1, RATE)
            sounds = [(tick, audio) for tick in range(-1024, sound_seconds * RATE, 1024)]
        tick = 0
        for number in range(FRAMES):
            for _ in range(number % 3):  # chunks of one, two, one, ... samples where the other stream lets them end
                if sounds:
                    at, stream = sounds.pop(0)
                    mux(output, stream, at, at, key=True)
            mux(output, video, tick, tick + chance.randrange(9) * 1500, key=(number == 0) == (keys == "one"))
            tick += 1400 + number % 2 * 100 + chance.randrange(2)
        for at, stream in sounds:
            mux(output, stream, at, at, key=True)
    data = path.read_bytes()
    moov, free = (data.index(name) - 4 for name in (b"moov", b"free"))
    used = int.from_bytes(data[moov : moov + 4], "big")
    assert moov + used == free
    assert used + int.from_bytes(data[free : free + 4], "big") == room
    assert used > room * 0.3, "the test is not the worst case, or the room far too large"


def mux(output: av.container.OutputContainer, stream: av.stream.Stream, dts: int, pts: int, *, key: bool) -> None:
    packet: av.Packet[Any] = av.Packet(b"x" * 8)
    packet.stream, packet.dts, packet.pts, packet.duration = stream, dts, pts, 1024
    packet.is_keyframe = key
    output.mux_one(packet)
