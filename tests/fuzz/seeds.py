"""Small honest media in many containers and codecs, made once a run: what the mutations start from."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from fractions import Fraction

import av
import av.error
import numpy as np

RATE = 16000
FRAMES = 10


@dataclass(frozen=True)
class Recipe:
    container: str
    video: str | None = None
    audio: str | None = None
    pix_fmt: str = "yuv420p"
    rate: int = RATE
    options: dict[str, str] = field(default_factory=dict)


RECIPES = {
    "mp4-h264-aac": Recipe("mp4", "libx264", "aac"),
    "mp4-fragmented": Recipe(
        "mp4", "libx264", "aac", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    ),
    "mp4-hevc": Recipe("mp4", "libx265", None),
    "mov-mjpeg-pcm": Recipe("mov", "mjpeg", "pcm_s16le", pix_fmt="yuvj420p"),
    "mov-prores": Recipe("mov", "prores_ks", None, pix_fmt="yuv422p10le"),
    "m4a-alac": Recipe("ipod", None, "alac"),
    "mkv-h264-opus": Recipe("matroska", "libx264", "libopus"),
    "webm-vp8-opus": Recipe("webm", "libvpx", "libopus", rate=48000),
    "webm-vp9": Recipe("webm", "libvpx-vp9", None),
    "mkv-ffv1-flac": Recipe("matroska", "ffv1", "flac"),
    "ts-h264-aac": Recipe("mpegts", "libx264", "aac"),
    "ts-mpeg2": Recipe("mpegts", "mpeg2video", "mp2"),
    "ps-mpeg1": Recipe("mpeg", "mpeg1video", "mp2"),
    "flv-h264-aac": Recipe("flv", "libx264", "aac", rate=44100),
    "avi-mpeg4-mp3": Recipe("avi", "mpeg4", "libmp3lame"),
    "asf-wmv2": Recipe("asf", "wmv2", None),
    "gif": Recipe("gif", "gif", None, pix_fmt="rgb8"),
    "ivf-vp8": Recipe("ivf", "libvpx", None),
    "h264": Recipe("h264", "libx264", None),
    "y4m": Recipe("yuv4mpegpipe", "wrapped_avframe", None),
    "mp3": Recipe("mp3", None, "libmp3lame"),
    "wav": Recipe("wav", None, "pcm_s16le"),
    "aiff": Recipe("aiff", None, "pcm_s16be"),
    "flac": Recipe("flac", None, "flac"),
    "adts": Recipe("adts", None, "aac"),
    "ogg-opus": Recipe("ogg", None, "libopus"),
    "ogg-flac": Recipe("ogg", None, "flac"),
    "ac3": Recipe("ac3", None, "ac3", rate=48000),
    "caf": Recipe("caf", None, "pcm_s16be"),
    "nut": Recipe("nut", "mpeg4", "pcm_s16le"),
}


def make_seeds() -> dict[str, bytes]:
    """By name; a codec that this build lacks is left out."""
    seeds = {}
    for name, recipe in RECIPES.items():
        try:
            seeds[name] = _make(recipe)
        except (av.error.FFmpegError, ValueError):
            continue
    return seeds


def _make(recipe: Recipe) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=recipe.container, container_options=recipe.options) as output:
        video = sound = None
        if recipe.video:
            video = output.add_stream(recipe.video, rate=Fraction(25))
            video.width, video.height, video.pix_fmt = 96, 64, recipe.pix_fmt
            video.codec_context.gop_size = 5
            if recipe.video == "libx265":
                video.options = {"x265-params": "log-level=none:pools=1", "preset": "ultrafast"}
            elif recipe.video == "libx264":
                video.options = {"preset": "veryfast", "bf": "2"}
        if recipe.audio:
            sound = output.add_stream(recipe.audio, rate=recipe.rate, layout="mono")
        packets = []
        if video is not None:
            packets += _pictures(video, recipe)
        if sound is not None:
            packets += _sound(sound, recipe.rate)
        packets.sort(key=lambda packet: (packet.dts or 0) * packet.time_base)
        output.mux(packets)
    return buffer.getvalue()


def _pictures(stream, recipe: Recipe) -> list:
    packets = []
    for index in range(FRAMES):
        planes = np.full((96, 96), 60, np.uint8)
        planes[8 : 40 + index, 10 + 4 * index : 40 + 4 * index] = 200
        planes[64:] = 110 + index
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p").reformat(format=recipe.pix_fmt)
        frame.pts, frame.time_base = index, Fraction(1, 25)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _sound(stream, rate: int) -> list:
    wave = (9000 * np.sin(np.arange(rate * FRAMES // 25) * 0.11)).astype(np.int16)[None]
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
    frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    fifo, packets = av.AudioFifo(), []
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        fifo.write(piece)
    size = stream.codec_context.frame_size or 1024
    while piece := fifo.read(size) or fifo.read(partial=True):
        packets += stream.encode(piece)
    return packets + stream.encode(None)
