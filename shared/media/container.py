"""Opening a medium that a stranger chose.

Everything that reads containers goes through `open_container`: libavformat gets bytes and nothing else, may use only
the demuxers listed here, may not open a second file or any protocol, and its failures come out as `LastFrameError`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NoReturn

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from shared.errors import LastFrameError, LimitExceeded, ProcessingFailed, UnsupportedMedia
from shared.media.byte_file import ByteFile
from shared.media.mp4_boxes import read_layout
from shared.media.signatures import describe_bytes
from shared.media.source import ByteSource

MAX_PIXELS: Final = 8192 * 4320

_MEDIA_FORMATS: Final = """
    mov mp4 m4a 3gp 3g2 mj2 matroska webm avi flv live_flv mpegts mpeg mpegvideo m4v asf ogg nut mxf gxf dv rm ivf obu
    h261 h263 h264 hevc vvc evc av1 vc1 vc1test cavsvideo avs2 avs3 dirac apv mjpeg mpjpeg smjpeg yuv4mpegpipe wtv nsv
    pva pmp ty vivo viv dhav ifv mods moflex lmlm4 cine r3d ser frm kux gif apng jpegxl_anim swf flic roq smk bink
    film_cpk filmstrip idcin ipmovie wc3movie vmd dsicin thp 4xm mtv mv mvi anm bethsoftvid bfi bmv c93 cdxl dxa ea gdv
    hnm iv8 jv lvf mlv mm msnwctcp nc nuv paf psxstr rl2 rpl siff smush tmv txd vc vividas xmv yop
    mp3 wav w64 aac flac aiff au ac3 ac4 eac3 dts dtshd truehd mlp amr amrnb amrwb caf ape wv tta tak mpc mpc8 opus
    oma voc dsf iff rso sox shn adx ircam nistsphere qcp gsm avr pvf ast aa aax loas usm wsaud qoa osq spdif sbc
"""
# Not listed, and so refused: playlists and manifests (hls, concat, dash, sdp, rtsp, webm_dash_manifest), demuxers that
# open siblings (vobsub, image2), still pictures, subtitles, raw samples without a header, capture devices.

OPTIONS: Final = {
    "format_whitelist": ",".join(_MEDIA_FORMATS.split()),
    "protocol_whitelist": "none",
    "enable_drefs": "0",
    "use_absolute_path": "0",
    "max_streams": "32",
    "probesize": "5000000",
    "analyzeduration": "10000000",
}

_STILL_CODECS: Final = frozenset({"mjpeg", "png", "bmp", "gif", "tiff", "webp", "jpeg2000", "av1", "hevc"})

_SMALLEST_HELD_BYTES: Final = 128 * 1024
"""libavformat skips less than its 32 KiB read-ahead by reading, so a small range must stay readable."""

# What PyAV lets through besides its own classes: bad tags, streams that appear late, NULL names on odd files.
_FOREIGN_ERRORS: Final = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, OSError)


@contextmanager
def open_container(
    source: ByteSource | ByteFile,
    *,
    max_pixels: int = MAX_PIXELS,
    header_only: bool = False,
) -> Iterator[InputContainer]:
    """Open any supported medium, closed again on exit.

    Args:
        source: where the bytes are; a `ByteFile` where the caller plans reads or opens the same medium twice.
        max_pixels: decoders refuse larger pictures.
        header_only: for mp4 and mov, read no sample while opening (pixel format and the like stay unknown until the
            first packet is decoded); other containers ignore it.

    Raises:
        UnsupportedMedia: not a medium, not one of the listed containers, or damaged beyond reading. Errors of PyAV
            and libav that the body of the `with` lets out become this, too.
        LimitExceeded: more pixels than `max_pixels`.
        LastFrameError: whatever the source raised, unchanged.
    """
    file = source if isinstance(source, ByteFile) else ByteFile(source)
    with media_errors(file):
        options = {**OPTIONS, "max_pixels": str(max_pixels)}
        if not file.source.is_local or header_only:
            layout = read_layout(file)
            if header_only and layout is not None and layout.indexed and not layout.fragmented:
                file.hold([(start, end) for start, end in layout.samples if end - start >= _SMALLEST_HELD_BYTES])
                options["skip_frame"] = "all"
        file.seek(0)
        try:
            container = av.open(
                file, "r", options=options, io_open=_refuse_to_open, metadata_errors="replace", buffer_size=32768
            )
        finally:
            file.release()
        try:
            for stream in container.streams:
                if stream.codec_context is not None:
                    # PyAV's own decoders do not inherit the container's options.
                    stream.codec_context.options = {"max_pixels": str(max_pixels)}
            yield container
        finally:
            container.close()
    if file.failure is not None:
        raise file.failure


@contextmanager
def media_errors(source: ByteSource | ByteFile) -> Iterator[None]:
    """Turn what PyAV raises inside the body into `LastFrameError`s that name the source.

    Raises:
        UnsupportedMedia, LimitExceeded, ProcessingFailed: see `open_container`.
    """
    file = source if isinstance(source, ByteFile) else None
    label = file.source.label if file else source.label  # type: ignore[union-attr]
    try:
        yield
    except LastFrameError as error:
        raise error.at(label) from error.__cause__
    except (av.error.MemoryError, MemoryError) as error:
        raise ProcessingFailed("the medium needs more memory than a job may use", input_name=label) from error
    except (av.error.FFmpegError, *_FOREIGN_ERRORS) as error:
        if file is not None and file.failure is not None:
            raise file.failure.at(label) from error
        _raise_unsupported(error, file, label)


def video_streams(container: InputContainer) -> list[VideoStream]:
    """The real video streams in file order: cover art and posters are not videos, declared as such or not.

    Some cameras and editors store a thumbnail as a track of one still picture in front of the film, and an animated
    AVIF or HEIF begins with its primary item, a still.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    moving = [s for s in streams if not _is_still(s)]
    return moving or streams


def _is_still(stream: VideoStream) -> bool:
    return (
        stream.frames == 1
        and stream.codec_context is not None
        and stream.codec_context.codec.canonical_name in _STILL_CODECS
    )


def first_video_stream(container: InputContainer) -> VideoStream:
    """The first real video stream that can be decoded.

    Raises:
        UnsupportedMedia: there is none; the detail lists what was found instead.
    """
    streams = video_streams(container)
    for stream in streams:
        if stream.codec_context is not None:
            return stream
    if streams:
        raise UnsupportedMedia("the file's video stream has a codec that cannot be decoded here")
    raise UnsupportedMedia(f"the file has no video stream; found: {describe_streams(container)}")


def audio_streams(container: InputContainer) -> list[AudioStream]:
    """The audio streams that can be decoded, in file order."""
    return [s for s in container.streams.audio if s.codec_context is not None]


def only(container: InputContainer, wanted: Sequence[Any]) -> None:
    """Tell the demuxer to skip every stream but `wanted` (their bytes are then not even read where it can seek)."""
    indexes = {stream.index for stream in wanted}
    for stream in container.streams:
        stream.discard = Discard.default if stream.index in indexes else Discard.all


def packets_to_damage(packets: Iterator[Any]) -> Iterator[Any]:
    """All packets up to where the demuxer finds nothing more that it understands (tags behind WavPack, a file that
    broke off): there FFmpeg's own tools take a medium to end, too."""
    try:
        yield from packets
    except av.error.InvalidDataError:
        return


def packets_of(container: InputContainer, *streams: Any) -> Iterator[Packet[Any]]:
    """The streams' packets from where the container stands, then one empty packet a stream to flush its decoder.

    A file may bring a stream that its header does not announce: script data of FLV, a transport stream's new program.
    PyAV skips its packets, but fails on it when all is read and it makes the flushing packets.
    """
    with suppress(IndexError):
        yield from container.demux(*streams)


def describe_streams(container: InputContainer) -> str:
    """What is inside, for a sentence: `audio aac, 3 × attached picture mjpeg`; `nothing` for no stream."""
    names: Counter[str] = Counter()
    for stream in container.streams:
        codec = stream.codec_context.codec.canonical_name if stream.codec_context is not None else "of an unknown codec"
        is_cover = bool(stream.disposition & Disposition.attached_pic)
        names[f"{'attached picture' if is_cover else stream.type or 'data'} {codec}"] += 1
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in names.items()) or "nothing"


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError("a medium may not open other files")


def _raise_unsupported(error: Exception, file: ByteFile | None, label: str) -> NoReturn:
    if isinstance(error, av.error.ArgumentError) and "max_pixels" in str(error):
        raise LimitExceeded("the picture has too many pixels", word="too_many_pixels", input_name=label) from error
    found = describe_bytes(file.bytes_at(0, 4096)) if file is not None else None
    if found is None and file is not None and has_lost_its_index(file):
        raise UnsupportedMedia("the file is cut off: its index (moov) is missing", input_name=label) from error
    if found is None and isinstance(error, av.error.PatchWelcomeError):
        raise UnsupportedMedia(
            "the file does what cannot be read here, such as another number of channels from its middle on",
            input_name=label,
        ) from error
    if found is None:
        raise UnsupportedMedia("the file is damaged or in a format that cannot be read", input_name=label) from error
    raise UnsupportedMedia(f"this is not a video or audio file; it looks like {found}", input_name=label) from error


def has_lost_its_index(file: ByteFile) -> bool:
    """Whether this is an mp4 or mov with samples, but without a whole index: a recording or download that broke off."""
    layout = read_layout(file)
    return layout is not None and not layout.indexed and bool(layout.samples)
