"""Videos for the benches: a clip of any length, and a film of ten minutes made by repeating one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from PIL import Image

from bench.support.peers import CACHE

RATE = 30
SOUND_RATE = 48_000
AAC_SAMPLES = 1024
SEGMENT_SECONDS = 20
SEGMENTS = 30
MEGABITS = 6.55  # with the sound about 500 MB in ten minutes, and below the service's limit of 500 MiB


@dataclass(frozen=True)
class Film:
    """Ten minutes of H.264 and AAC in MP4, with its index at each end, and its own last 20 s as a file.

    The excerpt's packets are the film's last ones, so its last frame is the film's.
    """

    faststart: Path
    end_moov: Path
    excerpt: Path

    seconds = SEGMENT_SECONDS * SEGMENTS
    frames = SEGMENT_SECONDS * SEGMENTS * RATE


def film() -> Film:
    """Encodes 2 x 20 s once, then repeats packets; cached in bench/.cache."""
    made = Film(CACHE / "film-faststart.mp4", CACHE / "film-end.mp4", CACHE / "film-excerpt.mp4")
    CACHE.mkdir(exist_ok=True)
    body, ending = CACHE / "segment-1.mp4", CACHE / "segment-2.mp4"
    for seed, path in enumerate((body, ending), 1):
        if not path.exists():
            _encode(path, (1920, 1080), SEGMENT_SECONDS, seed, {"b": f"{MEGABITS}M"})
    if not made.excerpt.exists():
        _repeat([ending], made.excerpt, faststart=True)
    for path, faststart in ((made.faststart, True), (made.end_moov, False)):
        if not path.exists():
            _repeat([*[body] * (SEGMENTS - 1), ending], path, faststart=faststart)
    return made


def short_clip(seconds: int = 5) -> Path:
    """What a video model gives: 720p at 30 frames a second, one group of pictures, with sound."""
    CACHE.mkdir(exist_ok=True)
    encoded, path = CACHE / f"encoded-{seconds}s.mp4", CACHE / f"clip-{seconds}s.mp4"
    if not path.exists():
        _encode(encoded, (1280, 720), seconds, 3, {"b": "4M"})
        _repeat([encoded], path, faststart=True)
    return path


def scene_clip(seconds: int = 8) -> Path:
    """A scene of the API guide's example: 1080p, soft shapes that drift under a fine grain, as cameras and models give
    them; what is encoded again stays of its size, which the noise of the other clips does not."""
    CACHE.mkdir(exist_ok=True)
    encoded, path = CACHE / f"encoded-scene-{seconds}s.mp4", CACHE / f"scene-{seconds}s.mp4"
    if not path.exists():
        _write(encoded, (1920, 1080), _drifting((1920, 1080), seconds * RATE), {"crf": "20"})
        _repeat([encoded], path, faststart=True)
    return path


def noise_clip(seconds: int = 2) -> Path:
    """Fresh noise in every picture, 640x360: what is encoded again stays as large as pictures can be."""
    CACHE.mkdir(exist_ok=True)
    path, chance = CACHE / f"noise-{seconds}s.mp4", np.random.default_rng(5)
    if not path.exists():
        pictures = (chance.integers(0, 255, (540, 640), np.uint8) for _ in range(seconds * RATE))
        _write(path, (640, 360), pictures, {"qp": "10"})
    return path


def song(seconds: int) -> Path:
    """A stereo MP3 of noise, 192 kbit/s."""
    CACHE.mkdir(exist_ok=True)
    path = CACHE / f"song-{seconds}s.mp3"
    if not path.exists():
        chance = np.random.default_rng(4)
        with av.open(str(path), "w") as output:
            stream = output.add_stream("libmp3lame", rate=SOUND_RATE, layout="stereo")
            stream.bit_rate = 192_000
            for second in range(seconds):
                noise = (chance.standard_normal((2, SOUND_RATE)) * 3000).clip(-32000, 32000).astype(np.int16)
                frame = AudioFrame.from_ndarray(noise, format="s16p", layout="stereo")
                frame.sample_rate, frame.pts = SOUND_RATE, second * SOUND_RATE
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


def _encode(path: Path, size: tuple[int, int], seconds: int, seed: int, options: dict[str, str]) -> None:
    """Noise that moves, so that the bit rate is used."""
    _write(path, size, _noise(size, seconds * RATE, seed), options)


def _noise(size: tuple[int, int], count: int, seed: int) -> Iterator[np.ndarray]:
    chance = np.random.default_rng(seed)
    width, height = size
    coarse = chance.integers(30, 220, (height // 4 * 3 // 2, width // 4), np.uint8)
    noise = coarse.repeat(4, axis=0).repeat(4, axis=1)
    for index in range(count):
        picture = np.roll(noise, index * 6, axis=1)
        picture[: height // 4] = np.roll(picture[: height // 4], index * 11 + seed, axis=0)
        picture[height // 2 : height // 2 + 64, : width // 3] = chance.integers(16, 235, (64, width // 3), np.uint8)
        yield picture


def _drifting(size: tuple[int, int], count: int) -> Iterator[np.ndarray]:
    chance = np.random.default_rng(11)
    width, height = size
    coarse = Image.fromarray(chance.integers(40, 200, (height // 60 * 3 // 2, width // 60), np.uint8))
    soft = np.asarray(coarse.resize((width, height * 3 // 2), Image.Resampling.BICUBIC)).astype(np.int16)
    grain = chance.normal(0, 1.5, soft.shape).astype(np.int16)
    for index in range(count):
        picture = np.roll(soft, (index, index * 3), (0, 1)) + np.roll(grain, (13 * index, 29 * index), (0, 1))
        yield picture.clip(16, 235).astype(np.uint8)


def _write(path: Path, size: tuple[int, int], pictures: Iterator[np.ndarray], options: dict[str, str]) -> None:
    """x264's own key frame interval (250 frames)."""
    part = path.with_suffix(".part")
    with av.open(str(part), "w", format="mp4") as output:
        video = output.add_stream("libx264", rate=RATE, options={"preset": "veryfast", **options})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        for index, picture in enumerate(pictures):
            frame = VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    part.rename(path)


def _sound_packets() -> Iterator[bytes]:
    """One second of AAC, stereo noise, for ever."""
    chance = np.random.default_rng(9)
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SOUND_RATE, "stereo", "fltp"
    encoder.bit_rate = 128_000
    packets = []
    for index in range(SOUND_RATE // AAC_SAMPLES):
        block = chance.standard_normal((2, AAC_SAMPLES)).astype(np.float32) * 0.05
        frame = AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = SOUND_RATE, index * AAC_SAMPLES
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    while True:
        yield from packets[2:]


def _repeat(segments: list[Path], path: Path, *, faststart: bool) -> None:
    """The segments' packets one after the other with shifted time stamps, and sound of the same length."""
    part = path.with_suffix(".part")
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(part), "w", format="mp4", options=options) as output:
        with av.open(str(segments[0])) as first:
            video = output.add_stream_from_template(first.streams.video[0])
        sound = output.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        sound.bit_rate = 128_000
        voice, said = _sound_packets(), 0
        for number, segment in enumerate(segments):
            with av.open(str(segment)) as source:
                stream = source.streams.video[0]
                assert stream.time_base is not None
                assert stream.codec_context.extradata == video.codec_context.extradata
                shift = round(number * SEGMENT_SECONDS / stream.time_base)
                for packet in source.demux(stream):
                    if packet.size == 0 or packet.pts is None or packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    presented = Fraction(packet.pts) * stream.time_base
                    packet.stream = video
                    output.mux(packet)
                    while said * AAC_SAMPLES < presented * SOUND_RATE:
                        output.mux(_sound_packet(next(voice), said, sound))
                        said += 1
    part.rename(path)


def _sound_packet(data: bytes, index: int, stream: av.AudioStream) -> av.Packet:
    packet = av.Packet(data)
    packet.stream = stream
    packet.time_base = Fraction(1, SOUND_RATE)
    packet.pts = packet.dts = index * AAC_SAMPLES
    packet.duration = AAC_SAMPLES
    packet.is_keyframe = True
    return packet
