"""NVIDIA's video engines: what a machine really has of them, and what one job uses of them and gives up.

NVDEC decodes what `nvdec_takes` names; its pictures are downloaded and brought to the layout of software decoding, so
that everything behind a decoder is the same with and without a GPU. NVENC encodes for the join (`shared.media.join`).
Without a driver libav answers both with errors of odd classes (`PermissionError` for a missing libcuda.so.1), never
with a fallback of its own, so every `FFmpegError` counts here.
"""

from __future__ import annotations

import ctypes
import io
import logging
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Final

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shared.media.step import Accelerators, AcceleratorUse, FallbackReason, StepContext

NVDEC_FORMATS: Final = {
    "h264": ("yuv420p",),
    "hevc": ("yuv420p", "yuv420p10le"),
    "vp9": ("yuv420p", "yuv420p10le"),
    "av1": ("yuv420p", "yuv420p10le"),
}
"""Codecs whose decoding is defined to the bit, in the formats that every NVDEC since Turing may have. (MPEG-2 and
MPEG-4 leave the inverse transform's rounding to the decoder: their pictures would differ from software's.)"""

NVENC: Final = "h264_nvenc"
_PLANAR: Final = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
"""What NVDEC gives, and the same samples in the layout of software decoders."""
_PROBE_FRAMES: Final = 5
_PROBE_SIDE: Final = 256

log = logging.getLogger(__name__)


class NvdecFailed(Exception):
    """The GPU gave an error instead of a picture; its cause is libav's."""


class NvdecMetDamage(NvdecFailed):
    """The stream is damaged, or so odd that software has to look at it: no fault of the GPU."""


class NvencFailed(Exception):
    """The GPU gave an error, or other packets than it should, instead of the encoded pictures."""


class Engines:
    """The video engines that one job may use. What fails once is left alone for the rest of the job."""

    def __init__(self, context: StepContext) -> None:
        self._on_gpu_worker = context.accelerator == "cuda"
        self._fallback: FallbackReason | None = None
        self.may_encode = self._on_gpu_worker and context.nvenc
        self.has_decoded = self.has_encoded = False
        self.has_worked = False

    def may_decode(self, codec: str, pixel_format: str, width: int, height: int) -> bool:
        """Whether to try NVDEC on such a stream."""
        return self._on_gpu_worker and self._fallback is None and nvdec_takes(codec, pixel_format, width, height)

    def fall_back(self, reason: FallbackReason, error: BaseException) -> None:
        """The GPU failed: software from here to the end of the job."""
        log.warning("the GPU failed, the job goes on in software: %s: %r", reason, error.__cause__ or error)
        self._fallback = self._fallback or reason
        self.may_encode = False

    def use(self) -> AcceleratorUse | None:
        """For the result's metadata; None where nothing was re-encoded, or no GPU was meant to be used."""
        if not (self._on_gpu_worker and self.has_worked):
            return None
        on_gpu = self._fallback is None
        use = AcceleratorUse(
            decode="nvdec" if on_gpu and self.has_decoded else "software",
            encode="nvenc" if on_gpu and self.has_encoded else "libx264",
        )
        if self._fallback is not None:
            use["fallback"] = self._fallback
        return use


def nvdec_takes(codec: str, pixel_format: str, width: int, height: int) -> bool:
    """Whether NVDEC decodes such a stream to the same bits as software. Odd sizes are left to software, where the
    last chroma sample survives every change of layout."""
    return pixel_format in NVDEC_FORMATS.get(codec, ()) and width % 2 == 0 and height % 2 == 0


def open_nvdec(stream: VideoStream, max_pixels: int) -> VideoCodecContext:
    """A decoder of this stream's packets on the GPU. The stream's own decoder is not touched.

    It is opened by its native name: libav's first choice for AV1 (dav1d) knows no GPU.

    Raises:
        av.error.FFmpegError: no driver, no GPU, or no memory on it.
    """
    own = stream.codec_context
    codec = av.Codec(own.codec.canonical_name, "r")
    decoder = av.CodecContext.create(codec, hwaccel=HWAccel("cuda", allow_software_fallback=False))
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = own.extradata
    decoder.reorder_depth = own.reorder_depth
    decoder.thread_count = 1  # the engine works alone; more threads only hold more surfaces
    # `explode`: damage must be seen here, because software is to conceal it, as it does without a GPU.
    decoder.options = {"max_pixels": str(max_pixels), "err_detect": "explode"}
    return decoder


def nvdec_frames(
    stream: VideoStream, packets: Iterator[Packet[Any]], max_pixels: int, size: tuple[int, int]
) -> Iterator[VideoFrame]:
    """The pictures of `packets` (the last one empty, as `demux` gives them) as software would decode them.

    Args:
        size: width and height of the pictures as software decodes them; NVDEC ignores some croppings.

    Raises:
        NvdecFailed: the GPU failed, or cannot decode this stream; `NvdecMetDamage` where the stream is at fault.
    """
    try:
        decoder = open_nvdec(stream, max_pixels)
    except av.error.FFmpegError as error:
        raise NvdecFailed("NVDEC cannot be opened") from error
    is_first = True
    for packet in packets:
        for frame in _decoded(decoder, packet if packet.size else None):
            if is_first and (frame.width, frame.height) != size:
                raise NvdecFailed(f"NVDEC gives {frame.width}x{frame.height} pixels instead of {size[0]}x{size[1]}")
            is_first = False
            yield frame


def _decoded(decoder: VideoCodecContext, packet: Packet[Any] | None) -> list[VideoFrame]:
    try:
        frames = [_in_planes(frame) for frame in decoder.decode(packet)]
    except av.error.InvalidDataError as error:
        raise NvdecMetDamage("a packet cannot be decoded") from error
    except av.error.FFmpegError as error:
        raise NvdecFailed("NVDEC failed") from error
    if any(frame.is_corrupt for frame in frames):
        raise NvdecMetDamage("a picture is damaged")
    return frames


def _in_planes(frame: VideoFrame) -> VideoFrame:
    layout = _PLANAR.get(frame.format.name)
    # One thread: libswscale's threads overwrite each other's edges (p010le of 854x480: 17 wrong pictures of 40).
    return frame.reformat(format=layout, threads=1) if layout else frame


def probe(context: StepContext) -> Accelerators:
    """Try both engines on a few pictures; a media step, because a driver may also crash or hang. Never raises."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return Accelerators(findings=(f"no NVIDIA driver: {error}",))
    nvdec, decoding = _try(lambda: _decode_some(context.max_pixels))
    nvenc, encoding = _try(_encode_some)
    return Accelerators(nvdec, nvenc, (f"NVDEC {decoding}", f"NVENC {encoding}"))


def _try(attempt: Callable[[], int]) -> tuple[bool, str]:
    try:
        count = attempt()
    except (av.error.FFmpegError, NvdecFailed, NotImplementedError, ValueError, RuntimeError) as error:
        cause = error.__cause__ or error
        return False, f"is not usable: {type(cause).__name__}: {cause}"
    if count != _PROBE_FRAMES:
        return False, f"is not usable: it gave {count} of {_PROBE_FRAMES} pictures"
    return True, f"works: {count} pictures"


def _decode_some(max_pixels: int) -> int:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=25, width=_PROBE_SIDE, height=_PROBE_SIDE)
        stream.codec_context.thread_count = 1
        for frame in _grey_frames():
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as container:
        size = (_PROBE_SIDE, _PROBE_SIDE)
        video = container.streams.video[0]
        return sum(1 for _ in nvdec_frames(video, container.demux(video), max_pixels, size))


def _encode_some() -> int:
    encoder = av.CodecContext.create(NVENC, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width = encoder.height = _PROBE_SIDE
    encoder.pix_fmt, encoder.framerate, encoder.time_base = "yuv420p", Fraction(25), Fraction(1, 25)
    packets = [packet for frame in _grey_frames() for packet in encoder.encode(frame)]
    return len(packets) + len(encoder.encode(None))


def _grey_frames() -> Iterator[VideoFrame]:
    for number in range(_PROBE_FRAMES):
        frame = VideoFrame(_PROBE_SIDE, _PROBE_SIDE, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes((64 + 16 * number,)) * plane.buffer_size)
        frame.pts, frame.time_base = number, Fraction(1, 25)
        yield frame
