"""How long the sound in a file is, from as few bytes as its format allows."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from shared.errors import UnsupportedMedia
from shared.media.container import audio_streams, describe_streams, open_container
from shared.media.probe.hollow_file import HollowFile
from shared.media.probe.timeline import measure_timeline
from shared.media.source import ByteSource


@dataclass(frozen=True)
class SoundLength:
    """Of the first sound stream: presented seconds, Hz, channels."""

    seconds: Fraction
    sample_rate: int
    channels: int


def measure_sound(source: ByteSource) -> SoundLength:
    """Measure the first sound stream; a video's sound will do.

    Raises:
        UnsupportedMedia: no sound in it, or no length.
        LastFrameError: whatever the source raised.
    """
    file = HollowFile(source)
    with open_container(file, header_only=True) as container:
        streams = audio_streams(container)
        if not streams or not streams[0].codec_context.sample_rate:
            raise UnsupportedMedia(f"the file has no sound; found: {describe_streams(container)}")
        codec = streams[0].codec_context
        shape = codec.sample_rate, codec.channels
        timeline = measure_timeline(file, container, [streams[0]], lambda share: None)
        if not timeline.duration:
            raise UnsupportedMedia("nothing in the file's sound can be decoded")
        return SoundLength(timeline.duration, *shape)
