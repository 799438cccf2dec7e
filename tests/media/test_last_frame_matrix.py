"""Nasty inputs, made here, each judged against a plain full decode of the same bytes."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av import AudioFrame, VideoFrame

from shared.media.final_frame import find_last_frame
from shared.media.frame_search import FinalFrame
from tests.support.sources import CountingSource

WIDTH, HEIGHT = 96, 64


@dataclass(frozen=True)
class Clip:
    """One generated file: what it is made of."""

    name: str
    container: str
    codec: str
    pixel_format: str = "yuv420p"
    frames: int = 60
    rate: Fraction = Fraction(25)
    options: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)
    audio: str | None = None
    audio_seconds: float = 0.0
    first_pts: int = 0
    uneven: bool = False
    seekable: bool = True
    size: tuple[int, int] = (WIDTH, HEIGHT)
    change: Callable[[bytes], bytes] | None = None


def picture(number: int, pixel_format: str, size: tuple[int, int]) -> VideoFrame:
    """A picture that differs from its neighbours everywhere: a moving pattern and the number as bits."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([(x * 2 + number * 5) % 256, (y * 3 + number * 3) % 256, (x + y + number * 7) % 256], axis=-1)
    for bit in range(12):
        rgb[4:12, 4 + bit * 7 : 10 + bit * 7] = 255 if number >> bit & 1 else 0
    return VideoFrame.from_ndarray(rgb.astype(np.uint8), format="rgb24").reformat(format=pixel_format)


class Pipe(io.RawIOBase):
    """A writer that cannot go back: muxers leave out indexes and durations."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.parts.append(bytes(data))
        return len(data)


def make(clip: Clip, folder: Path) -> bytes:
    """The file's bytes; written by name, because `faststart` reads its own output again."""
    path = folder / "clip"
    target: str | Pipe = str(path) if clip.seekable else Pipe()
    with av.open(target, "w", format=clip.container, options=clip.muxer) as out:
        video = out.add_stream(clip.codec, rate=clip.rate, options=dict(clip.options))
        video.width, video.height = clip.size
        video.pix_fmt = clip.pixel_format
        sound = out.add_stream(clip.audio, rate=48000) if clip.audio else None
        if clip.codec in {"prores_ks", "dnxhd"}:
            video.bit_rate = 0
        for number in range(clip.frames):
            frame = picture(number, clip.pixel_format, clip.size)
            steps = number + (number * number // 40 if clip.uneven else 0) + clip.first_pts
            frame.pts, frame.time_base = steps, 1 / clip.rate
            frame.pict_type = 0
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if sound is not None:
            for start in range(0, int(clip.audio_seconds * 48000), 1024):
                tone = np.sin(np.arange(start, start + 1024) / 20).astype(np.float32)[None, :]
                piece = AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = 48000, start, Fraction(1, 48000)
                out.mux(sound.encode(piece))
            out.mux(sound.encode(None))
    data = b"".join(target.parts) if isinstance(target, Pipe) else path.read_bytes()
    return clip.change(data) if clip.change else data


def digest(frame: VideoFrame) -> str:
    return hashlib.md5(frame.reformat(format="rgb48le").to_ndarray().tobytes()).hexdigest()


def all_frames(data: bytes) -> Iterator[tuple[int | None, str]]:
    """PTS and digest of every frame that a plain decode shows, damage concealed."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # threads conceal damage each in their own way
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    yield frame.pts, digest(frame)
            except av.error.FFmpegError:
                continue


def found(data: bytes) -> tuple[FinalFrame, CountingSource]:
    source = CountingSource(data)
    return find_last_frame(source, max_duration_seconds=600), source


H264 = {"preset": "ultrafast", "bf": "2", "g": "15", "x264-params": "bframes=2:b-adapt=0"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}
DASH = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
WITH_SIDX = {"movflags": "dash+global_sidx+frag_keyframe"}
REALTIME = {"cpu-used": "8", "deadline": "realtime"}
SINGLE = {"preset": "ultrafast", "g": "1000", "sc_threshold": "0"}


def h264(**params: str) -> dict[str, str]:
    text = ":".join(f"{name.replace('_', '-')}={value}" for name, value in {"b-adapt": "0", **params}.items())
    return {"preset": "veryfast", "x264-params": text}


def hevc(**params: str) -> dict[str, str]:
    text = ":".join(f"{name.replace('_', '-')}={value}" for name, value in params.items())
    return {"preset": "ultrafast", "x265-params": f"{text}:log-level=none:pools=1"}


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


def shortened_edit(seconds: float) -> Callable[[bytes], bytes]:
    """End the (single) edit `seconds` earlier: its last frames are in the file and must not be shown."""

    def change(data: bytes) -> bytes:
        at = data.index(b"elst") + 4
        version, count = data[at], struct.unpack_from(">I", data, at + 4)[0]
        assert (version, count) == (0, 1)
        movie_header = data.index(b"mvhd") + 4
        timescale = struct.unpack_from(">I", data, movie_header + 12)[0]
        duration = struct.unpack_from(">I", data, at + 8)[0] - round(seconds * timescale)
        return data[: at + 8] + struct.pack(">I", duration) + data[at + 12 :]

    return change


OPEN_PYRAMID = h264(open_gop="1", keyint="12", bframes="3", b_pyramid="normal")

CLIPS = [
    Clip("h264 mp4", "mp4", "libx264", options=H264),
    Clip("h264 mp4 faststart", "mp4", "libx264", options=H264, muxer={"movflags": "faststart"}),
    Clip("h264 mp4 one group, faststart", "mp4", "libx264", options=SINGLE, muxer={"movflags": "faststart"}),
    Clip("h264 mp4 audio longer", "mp4", "libx264", options=H264, audio="aac", audio_seconds=6),
    Clip("h264 mp4 audio shorter", "mp4", "libx264", options=H264, audio="aac", audio_seconds=1),
    Clip("h264 mkv audio longer", "matroska", "libx264", options=H264, audio="aac", audio_seconds=6),
    Clip("h264 mkv piped", "matroska", "libx264", options=H264, seekable=False),
    Clip("h264 mov", "mov", "libx264", options=H264),
    Clip("h264 mp4 late start", "mp4", "libx264", options=H264, first_pts=40),
    Clip("h264 mp4 edit ends early", "mp4", "libx264", options=H264, change=shortened_edit(0.3)),
    Clip("h264 mp4 edit ends a group early", "mp4", "libx264", options=H264, change=shortened_edit(0.9)),
    Clip("h264 fragmented", "mp4", "libx264", options=H264, muxer=FRAGMENTED),
    Clip("h264 dash-like", "mp4", "libx264", options=H264, muxer=DASH),
    Clip("h264 fragmented with sidx", "mp4", "libx264", options=H264, muxer=WITH_SIDX),
    Clip("h264 ts", "mpegts", "libx264", options=H264),
    Clip("h264 ts one key frame", "mpegts", "libx264", options=SINGLE, frames=125),
    Clip("h264 ts with audio", "mpegts", "libx264", options=H264, audio="aac", audio_seconds=4),
    Clip("h264 flv", "flv", "libx264", options=H264, audio="aac", audio_seconds=3),
    Clip("h264 flv piped", "flv", "libx264", options=H264, seekable=False),
    Clip("h264 avi", "avi", "libx264", options=H264),
    Clip("h264 elementary", "h264", "libx264", options=H264),
    Clip("h264 open gop mp4", "mp4", "libx264", options=h264(open_gop="1", keyint="12", bframes="3")),
    Clip("h264 open gop ts", "mpegts", "libx264", options=h264(open_gop="1", keyint="12", bframes="3")),
    Clip("h264 open gop mkv", "matroska", "libx264", options=h264(open_gop="1", keyint="12", bframes="3")),
    Clip("h264 open gop b-pyramid", "mp4", "libx264", options=OPEN_PYRAMID),
    Clip("h264 open gop b-pyramid avi", "avi", "libx264", options=OPEN_PYRAMID),
    Clip("h264 open gop b-pyramid ts", "mpegts", "libx264", options=OPEN_PYRAMID),
    Clip("h264 intra refresh mp4", "mp4", "libx264", options=h264(intra_refresh="1", keyint="20", bframes="0")),
    Clip("h264 intra refresh ts", "mpegts", "libx264", options=h264(intra_refresh="1", keyint="20", bframes="0")),
    Clip("h264 intra refresh mkv", "matroska", "libx264", options=h264(intra_refresh="1", keyint="20", bframes="0")),
    Clip("h264 b-pyramid vfr mp4", "mp4", "libx264", options=h264(bframes="5", keyint="30"), uneven=True),
    Clip("h264 vfr mkv", "matroska", "libx264", options=H264, uneven=True),
    Clip("h264 interlaced mp4", "mp4", "libx264", options=h264(tff="1", keyint="15", bframes="2")),
    Clip("h264 interlaced ts", "mpegts", "libx264", options=h264(tff="1", keyint="15", bframes="2")),
    Clip("h264 10 bit 4:2:2", "mp4", "libx264", "yuv422p10le", options=H264),
    Clip("h264 4:4:4", "matroska", "libx264", "yuv444p", options=H264),
    Clip("h264 grey", "mp4", "libx264", "gray", options=H264),
    Clip("h264 full range", "mp4", "libx264", "yuvj420p", options=H264),
    Clip("h264 one frame", "mp4", "libx264", options=H264, frames=1),
    Clip("h264 one frame ts", "mpegts", "libx264", options=H264, frames=1),
    Clip("h264 one frame a second", "mp4", "libx264", options=H264, frames=20, rate=Fraction(1)),
    Clip("h264 23.976", "mov", "libx264", options=H264, rate=Fraction(24000, 1001)),
    Clip("hevc mp4", "mp4", "libx265", options=hevc(keyint="20", bframes="3")),
    Clip("hevc open gop ts", "mpegts", "libx265", options=hevc(keyint="20", bframes="3", open_gop="1")),
    Clip("hevc mkv 10 bit", "matroska", "libx265", "yuv420p10le", options=hevc(keyint="20")),
    Clip("av1 mp4", "mp4", "libsvtav1", options={"preset": "12", "g": "20"}, frames=40),
    Clip("av1 webm", "webm", "libsvtav1", options={"preset": "12"}, frames=40),
    Clip("vp9 webm", "webm", "libvpx-vp9", options=REALTIME | {"g": "20"}),
    Clip("vp9 mp4", "mp4", "libvpx-vp9", options=REALTIME | {"auto-alt-ref": "1", "lag-in-frames": "12"}),
    Clip("vp8 webm", "webm", "libvpx", options=REALTIME, audio="libopus", audio_seconds=4),
    Clip("mpeg4 avi", "avi", "mpeg4"),
    Clip("mpeg4 avi b-frames", "avi", "mpeg4", options={"bf": "2"}),
    Clip("mpeg4 mp4 b-frames", "mp4", "mpeg4", options={"bf": "2"}),
    Clip("mpeg4 mkv", "matroska", "mpeg4", options={"bf": "2"}),
    Clip("mpeg2 ts", "mpegts", "mpeg2video", options={"bf": "2"}),
    Clip("mpeg2 ps", "mpeg", "mpeg2video", options={"bf": "2"}, audio="mp2", audio_seconds=4),
    Clip("mpeg2 elementary", "mpeg2video", "mpeg2video", options={"bf": "2"}),
    Clip("mpeg2 mxf", "mxf", "mpeg2video", options={"bf": "2"}),
    Clip("mpeg1 ps", "mpeg", "mpeg1video", options={"bf": "2"}),
    Clip("wmv asf", "asf", "wmv2", audio="mp3", audio_seconds=4),
    Clip("msmpeg4 avi", "avi", "msmpeg4"),
    Clip("sorenson flv", "flv", "flv"),
    Clip("h263 avi, every packet flagged", "avi", "h263p", size=(176, 144), options={"g": "25"}),
    Clip("h263 elementary, every packet flagged", "h263", "h263", size=(176, 144), rate=Fraction(30000, 1001)),
    Clip("h263 3gp", "3gp", "h263", size=(176, 144), rate=Fraction(30000, 1001)),
    Clip("mjpeg avi", "avi", "mjpeg", "yuvj420p"),
    Clip("mjpeg mov", "mov", "mjpeg", "yuvj422p"),
    Clip("prores mov", "mov", "prores_ks", "yuv422p10le", frames=20),
    Clip("dnxhr mov", "mov", "dnxhd", "yuv422p", options={"profile": "dnxhr_hq"}, frames=12, size=(256, 128)),
    Clip("dv avi", "avi", "dvvideo", size=(720, 576), frames=8),
    Clip("ffv1 mkv", "matroska", "ffv1", frames=20),
    Clip("qtrle mov", "mov", "qtrle", "rgb24"),
    Clip("png mov with alpha", "mov", "png", "rgba", frames=12),
    Clip("gif", "gif", "gif", "rgb8", frames=20),
    Clip("apng", "apng", "apng", "rgb24", frames=20),
    Clip("ivf vp8", "ivf", "libvpx", options=REALTIME),
    Clip("nut h264", "nut", "libx264", options=H264),
    Clip("raw avi", "avi", "rawvideo", "yuv420p", frames=12),
    Clip("cinepak avi", "avi", "cinepak", "rgb24", frames=12),
    Clip("zmbv avi", "avi", "zmbv", "bgr0", frames=12),
    Clip("h264 ts joined with itself", "mpegts", "libx264", options=H264, change=lambda data: data + data),
    Clip("h264 mkv cut off", "matroska", "libx264", options=H264, change=cut(0.7)),
    Clip("h264 fragmented cut off", "mp4", "libx264", options=H264, muxer=FRAGMENTED, change=cut(0.7)),
]  # fmt: skip


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_equals_a_full_decode(clip: Clip, tmp_path: Path) -> None:
    data = make(clip, tmp_path)
    frames = list(all_frames(data))
    assert frames
    last = frames[-1]
    result, _ = found(data)
    assert (result.frame.pts, digest(result.frame)) == last, (result.method, result.warnings, len(frames))
    if result.frame_index is not None:
        assert result.frame_index == len(frames) - 1
    if clip.change is None:
        assert not result.warnings


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_avi_counts_its_pictures(codec: str, tmp_path: Path) -> None:
    """AVI stores no presentation times: the last picture's turn is the last."""
    data = make(Clip("", "avi", codec, options={"bf": "2", "g": "15"}), tmp_path)
    result, _ = found(data)
    assert result.pts_seconds == pytest.approx(59 / 25)
    assert result.method == "last_gop"
