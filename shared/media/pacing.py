"""What a video says of the pace of its pictures, without what libavformat makes up where it says nothing."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from av.video.stream import VideoStream

_FASTEST_GUESS: Final = 500
"""Pictures a second. Where neither header nor times tell a rate (what browsers record into Matroska), libavformat takes
the container's clock for one: 1000."""
_PARSED_ANEW: Final = "vp9"
"""Of these in an mp4, libavformat drops the durations that the samples have."""


def declared_rate(stream: Any) -> Fraction | None:
    """Pictures a second; None where neither the header nor the first packets tell."""
    if stream.average_rate:
        return Fraction(stream.average_rate)
    guess = stream.guessed_rate
    return Fraction(guess) if guess and guess < _FASTEST_GUESS else None


def last_picture_ticks(format_name: str, stream: VideoStream, pts: int, packet_ticks: int) -> int:
    """How long the picture that is shown last stays, in ticks of its stream; 0 where the file does not say.

    Args:
        format_name: of the container, as FFmpeg calls it.
        pts: of that picture; packet_ticks: the duration that libavformat gives its packet: of no more than a tick, it
            may be made up.
    """
    if "mov" in format_name.split(","):
        is_parsed_anew = stream.codec_context.codec.canonical_name == _PARSED_ANEW
        return (max(0, _sample_end(stream, pts) - pts) if is_parsed_anew else 0) or packet_ticks
    if packet_ticks > 1 or not stream.time_base:
        return packet_ticks
    if stream.average_rate:
        return max(packet_ticks, round(1 / stream.average_rate / stream.time_base))
    return packet_ticks if declared_rate(stream) else 0


def _sample_end(stream: VideoStream, pts: int) -> int:
    """Where the next sample begins, which a file that was cut off need not have; of the last one, where the track ends.

    Samples are decoded in the order in which they are shown.
    """
    end = (stream.start_time or 0) + (stream.duration or 0)
    for entry in reversed(list(stream.index_entries)):
        if entry.timestamp <= pts:
            break
        end = entry.timestamp
    return end
