"""H.264 by NVENC for a join: one clip as closed groups of pictures, whole groups at a time.

NVENC cannot be told which parameter set ids to use; the ones it uses are read back from its header. A group is handed
on only when it is complete, so that after a failure x264 can go on from the frame behind the last whole group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import av
import av.error
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from shared.media.accelerator import NVENC, NvencFailed
from shared.media.join.look import PROFILE_NAMES, Look
from shared.media.join.parameter_sets import ParameterSets, read_parameter_sets

QUANTIZERS: Final = {"low": 32, "medium": 27, "high": 20}
"""Of P frames. With these as constant quantizers x264 gives the PSNR of the qualities' rate factors less 0.2 dB, or
more (up to 5 dB on still pictures; measured on six clips). That NVENC does as well at the same quantizer is what
`scripts/gpu_check.py` measures; it has not run on a card with NVENC yet."""
_I_OFFSET, _B_OFFSET = -3, 2
"""x264's ipratio 1.4 and pbratio 1.3 as steps of the quantizer (6 log2 of them)."""
_B_FRAMES: Final = 2
"""Not used as references, so that decoding runs ahead of display by one frame: less than every plan allows."""
_SMALLEST, _LARGEST = (160, 64), (4096, 4096)
"""Width and height that every NVENC since Turing takes for H.264."""


def nvenc_takes(look: Look) -> bool:
    return _SMALLEST[0] <= look.width <= _LARGEST[0] and _SMALLEST[1] <= look.height <= _LARGEST[1]


def open_nvenc(look: Look, quality: str, key_frame_distance: int) -> VideoCodecContext:
    """NVENC for this look. Timestamps count frames.

    Raises:
        NvencFailed: no driver, no encoder on this card, or no session left.
    """
    rate = look.nominal_rate.limit_denominator(1001)
    quantizer = QUANTIZERS[quality]
    encoder = av.CodecContext.create(NVENC, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = look.width, look.height, "yuv420p"
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.sample_aspect_ratio = look.sample_aspect
    encoder.colorspace, encoder.color_primaries = look.colour.matrix, look.colour.primaries
    encoder.color_trc, encoder.color_range = look.colour.transfer, 2 if look.colour.full_range else 1
    encoder.flags |= Flags.global_header
    encoder.gop_size = key_frame_distance
    encoder.max_b_frames = 0 if PROFILE_NAMES[look.profile] == "baseline" else _B_FRAMES
    encoder.options = {
        "preset": "p5",
        "tune": "hq",
        "profile": PROFILE_NAMES[look.profile],
        "rc": "constqp",
        "init_qpP": str(quantizer),
        "init_qpI": str(quantizer + _I_OFFSET),
        "init_qpB": str(quantizer + _B_OFFSET),
        "b_ref_mode": "disabled",
        "a53cc": "0",
    }
    try:
        encoder.open()
    except av.error.FFmpegError as error:
        raise NvencFailed("NVENC cannot be opened") from error
    return encoder


def nvenc_parameter_sets(look: Look, quality: str, key_frame_distance: int) -> ParameterSets:
    """What every clip that NVENC encodes for this look is described by.

    Raises:
        NvencFailed: it cannot be opened, or gives no header.
    """
    sets = read_parameter_sets(open_nvenc(look, quality, key_frame_distance).extradata or b"")
    if sets is None:
        raise NvencFailed("NVENC gives no parameter sets")
    return sets


def nvenc_groups(
    encoder: VideoCodecContext, pictures: Iterator[tuple[int, VideoFrame]], frames: int
) -> Iterator[list[Packet[Any]]]:
    """Closed groups of pictures in order, each exactly the frames that follow the ones before it.

    Args:
        pictures: ready to encode, with their places in the clip, from 0; all `frames` of them.

    Raises:
        NvencFailed: an error, or a group that is not what it should be. Groups given out before stand.
    """
    done = 0
    group: list[Packet[Any]] = []
    for packet in _packets(encoder, pictures):
        if packet.is_keyframe and group:
            yield _checked(group, done)
            done += len(group)
            group = []
        group.append(packet)
    if done + len(group) != frames:
        raise NvencFailed(f"NVENC gave {done + len(group)} of {frames} pictures")
    yield _checked(group, done)


def _packets(encoder: VideoCodecContext, pictures: Iterator[tuple[int, VideoFrame]]) -> Iterator[Packet[Any]]:
    for place, picture in pictures:
        picture.pts, picture.time_base, picture.pict_type = place, 1 / encoder.framerate, 0
        yield from _encoded(encoder, picture)
    yield from _encoded(encoder, None)


def _encoded(encoder: VideoCodecContext, picture: VideoFrame | None) -> list[Packet[Any]]:
    try:
        return encoder.encode(picture)
    except av.error.FFmpegError as error:
        raise NvencFailed("NVENC failed") from error


def _checked(group: list[Packet[Any]], done: int) -> list[Packet[Any]]:
    places = {packet.pts for packet in group}
    if not group[0].is_keyframe or places != set(range(done, done + len(group))):
        raise NvencFailed(f"NVENC's pictures from {done} on are not a closed group")
    return group
