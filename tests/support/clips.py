"""Small videos made for tests: a white flash and a click at the same instant, so that sound and picture can be
measured against each other in whatever comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CLICK_SECONDS = 0.001
"""Standard deviation of the click's bell curve."""


@dataclass(frozen=True)
class ClipRecipe:
    """How to make a clip.

    Attributes:
        flash_frame: which frame is white; the click's centre is at that frame's time.
        times: presentation times of the frames in `time_base` units; None for a constant rate.
        start_seconds: shifts the whole clip; sound_delay_seconds: starts the sound that much after the picture
            (negative: before), without moving the click.
        layout: audio layout, None for a mute clip; sound_seconds: None for as long as the picture.
    """

    size: tuple[int, int] = (160, 96)
    rate: Fraction = Fraction(30)
    frames: int = 30
    hue: int = 128
    flash_frame: int | None = 9
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(
        default_factory=lambda: {"preset": "ultrafast", "bf": "2", "x264-params": "b-adapt=0"}
    )
    times: tuple[int, ...] | None = None
    time_base: Fraction | None = None
    sample_aspect: Fraction | None = None
    rotation: int = 0
    colour: tuple[int, int, int, int] | None = None
    interlaced: bool = False
    layout: str | None = "stereo"
    sample_rate: int = 48000
    sound_codec: str = "aac"
    sound_seconds: float | None = None
    sound_delay_seconds: float = 0.0
    start_seconds: Fraction = Fraction(0)
    gop: int = 12


def make_clip(path: Path, recipe: ClipRecipe | None = None) -> Path:
    """Write the clip that the recipe describes; the container follows from the file's suffix."""
    recipe = recipe or ClipRecipe()
    time_base = recipe.time_base or 1 / recipe.rate
    times = recipe.times or tuple(range(recipe.frames))
    offset = round(recipe.start_seconds / time_base)
    with av.open(str(path), "w") as output:
        video = output.add_stream(recipe.codec, rate=recipe.rate)
        video.width, video.height = recipe.size
        video.pix_fmt = recipe.pix_fmt
        video.codec_context.time_base = time_base
        video.codec_context.gop_size = recipe.gop
        if recipe.sample_aspect:
            video.codec_context.sample_aspect_ratio = recipe.sample_aspect
        if recipe.colour:
            context = video.codec_context
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = recipe.colour
        if recipe.rotation:
            video.set_display_rotation(recipe.rotation)
        options = dict(recipe.options)
        if recipe.interlaced:
            options["flags"] = "+ilme+ildct"
        video.options = options
        sound = None
        if recipe.layout:
            sound = output.add_stream(recipe.sound_codec, rate=recipe.sample_rate, layout=recipe.layout)
            sound.time_base = Fraction(1, recipe.sample_rate)
        packets = []
        for number, time in enumerate(times):
            picture = _picture(recipe, number)
            if recipe.pix_fmt != "yuv420p":
                picture = picture.reformat(format=recipe.pix_fmt)
            picture.pts, picture.time_base = time + offset, time_base
            packets += video.encode(picture)
        packets += video.encode(None)
        if sound is not None:
            packets += _sound_packets(sound, recipe, times, time_base)
        packets.sort(key=lambda packet: (packet.dts or 0) * packet.time_base)
        output.mux(packets)
    return path


def _picture(recipe: ClipRecipe, number: int) -> av.VideoFrame:
    pixels = _pixels(recipe, number)
    if recipe.size[0] % 2 or recipe.size[1] % 2:
        return av.VideoFrame.from_ndarray(pixels[: recipe.size[1]], format="gray")
    return av.VideoFrame.from_ndarray(pixels, format="yuv420p")


def _pixels(recipe: ClipRecipe, number: int) -> np.ndarray:
    width, height = recipe.size
    luma = np.full((height, width), 235 if number == recipe.flash_frame else 60, np.uint8)
    luma[: height // 4, : width // 4] = (number * 11) % 150 + 40  # every frame differs
    if number != recipe.flash_frame:
        luma[height // 2 :: 4, (number * 3) % width // 2 :: 5] = 90
    chroma = np.full((height // 2, width), recipe.hue, np.uint8)
    return np.concatenate([luma, chroma])


def _sound_packets(sound, recipe: ClipRecipe, times, time_base) -> list:
    rate = recipe.sample_rate
    if recipe.sound_seconds is not None:
        seconds = recipe.sound_seconds
    else:
        seconds = float((times[-1] - times[0]) * time_base + 1 / recipe.rate) - recipe.sound_delay_seconds
    samples = round(seconds * rate)
    clock = np.arange(samples) / rate + recipe.sound_delay_seconds
    wave = 0.02 * np.sin(2 * np.pi * 300 * clock)
    if recipe.flash_frame is not None and recipe.flash_frame < len(times):
        flash = float((times[recipe.flash_frame] - times[0]) * time_base)
        wave = wave + 0.8 * np.exp(-0.5 * ((clock - flash) / CLICK_SECONDS) ** 2)
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[recipe.layout]
    block = np.tile(wave.astype(np.float32), (channels, 1))
    first = round((float(recipe.start_seconds) + float(times[0] * time_base) + recipe.sound_delay_seconds) * rate)
    packets = []
    for at in range(0, samples, 4096):
        piece = np.ascontiguousarray(block[:, at : at + 4096])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=recipe.layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), first + at
        packets += sound.encode(frame)
    return packets + sound.encode(None)


@dataclass(frozen=True)
class Seen:
    """What a finished file shows when it is decoded.

    Attributes:
        pts: seconds of every picture; md5: of its pixels; flashes: when each white picture begins, seconds;
        clicks: seconds of every click; sound_start: seconds of the first sample; samples: decoded, a channel.
    """

    pts: list[Fraction]
    md5: list[str]
    flashes: list[float]
    clicks: list[float]
    sound_start: float | None
    samples: int


def look_at(path: Path, *, pictures: bool = True) -> Seen:
    """Decode a whole file and measure it; without `pictures` only its sound."""
    from hashlib import md5

    pts, sums, flashes, was_white = [], [], [], False
    with av.open(str(path)) as container:
        for frame in container.decode(video=0) if pictures else ():
            pts.append(frame.pts * frame.time_base)
            planes = frame.to_ndarray()
            sums.append(md5(planes.tobytes()).hexdigest())
            middle = planes[frame.height // 2 - 4 : frame.height // 2 + 4, frame.width // 2 - 4 : frame.width // 2 + 4]
            is_white = middle.mean() > (200 if planes.dtype == np.uint8 else 800)
            if is_white and not was_white:
                flashes.append(float(pts[-1]))
            was_white = is_white
    clicks, start, samples = [], None, 0
    with av.open(str(path)) as container:
        if container.streams.audio:
            parts = []
            for frame in container.decode(audio=0):
                if start is None:
                    start = float(frame.pts * frame.time_base)
                data = frame.to_ndarray()
                if not frame.format.is_planar:
                    data = data.reshape(-1, frame.layout.nb_channels).T
                parts.append(data.sum(axis=0))
                rate = frame.sample_rate
            wave = np.concatenate(parts)
            samples = len(wave)
            clicks = [start + at / rate for at in _click_places(wave, rate)]
    return Seen(pts, sums, flashes, clicks, start, samples)


def with_index_in_front(source: Path, target: Path) -> Path:
    """The picture of an mp4 in another whose index comes first: what is cut off behind it is still announced."""
    with av.open(str(source)) as container, av.open(str(target), "w", options={"movflags": "+faststart"}) as output:
        stream = output.add_stream_from_template(container.streams.video[0], opaque=True)
        for packet in container.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return target


def boxes(path: Path) -> list[str]:
    """The names of an mp4's outermost boxes."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        names.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    return names


def _click_places(wave: np.ndarray, rate: int) -> list[float]:
    reach = round(CLICK_SECONDS * 4 * rate)
    bell = np.exp(-0.5 * ((np.arange(-reach, reach + 1) / rate) / CLICK_SECONDS) ** 2)
    loud = np.flatnonzero(wave > 0.3)
    places = []
    for group in np.split(loud, np.flatnonzero(np.diff(loud) > rate // 20) + 1) if loud.size else []:
        first = max(0, int(group[0]) - reach)
        near = wave[first : int(group[-1]) + reach]
        places.append(first + int(np.convolve(near, bell, "same").argmax()))
    return places
