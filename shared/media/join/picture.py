"""Bring any decoded picture to the look of the join: upright, scaled, letterboxed, in its colours."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.filter import Graph
from av.video.frame import VideoFrame

from shared.media.join.clip import Clip
from shared.media.join.colour import Colour
from shared.media.join.look import Look
from shared.media.join.tone_map import write_cube


class PictureFitter:
    """A filter graph for one clip, rebuilt where the clip changes its size or format on the way."""

    def __init__(self, clip: Clip, look: Look, scratch: Path) -> None:
        self._clip, self._look, self._scratch = clip, look, scratch
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None

    def fit(self, frame: VideoFrame, time_base: Fraction) -> Iterator[VideoFrame]:
        """The pictures that can be given out after `frame` (deinterlacing holds one back)."""
        shape = (frame.width, frame.height, frame.format.name)
        if shape != self._shape:
            yield from self.finish()
            self._graph, self._shape = self._build(frame, time_base), shape
        colour = self._source_colour()
        frame.colorspace, frame.color_range = colour.matrix, 2 if colour.full_range else 1
        assert self._graph is not None
        self._graph.push(frame)
        yield from self._pull()

    def finish(self) -> Iterator[VideoFrame]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
            self._graph = None

    def _pull(self) -> Iterator[VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                picture = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(picture, VideoFrame)
            yield picture

    def _source_colour(self) -> Colour:
        """The clip's colour with an untagged matrix replaced by the one it is taken for."""
        colour = self._clip.colour
        names = {"bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "bt2020": 9}
        matrix = names[colour.matrix_name(self._clip.width, self._clip.height)]
        return Colour(matrix, colour.primaries, colour.transfer, colour.full_range)

    def _build(self, frame: VideoFrame, time_base: Fraction) -> Graph:
        """buffer -> deinterlace -> turn -> scale (and convert colours) -> pad -> buffersink.

        `Graph.add_buffer` would force square pixels and drop the colour tags, so the buffer is described by hand.
        """
        look, colour = self._look, self._source_colour()
        in_matrix = colour.matrix_name(self._clip.width, self._clip.height)
        out_matrix = look.colour.matrix_name(look.width, look.height)
        out_range = "full" if look.colour.full_range else "limited"
        width, height = fitted_size(self._upright_shape(frame), look)
        steps: list[tuple[str, str]] = []
        if self._clip.interlaced:
            steps.append(("bwdif", "mode=send_frame:deint=interlaced"))
        for name in self._clip.orientation:
            filter_name, _, argument = name.partition("=")
            steps.append((filter_name, argument))
        source = f"in_color_matrix={in_matrix}:in_range={colour.range_name}"
        if colour.is_hdr:
            cube = write_cube(colour.transfer, self._scratch)
            steps += [
                ("scale", f"{width}:{height}:{source}:out_range=full"),
                ("format", "gbrp10"),
                ("lut3d", f"file={cube}:interp=tetrahedral"),
                ("scale", f"in_range=full:out_color_matrix={out_matrix}:out_range={out_range}"),
            ]
        else:
            steps.append(("scale", f"{width}:{height}:{source}:out_color_matrix={out_matrix}:out_range={out_range}"))
        steps.append(("format", "yuv420p"))
        if (width, height) != (look.width, look.height):
            steps.append(("pad", f"{look.width}:{look.height}:(ow-iw)/4*2:(oh-ih)/4*2:black"))
        aspect = look.sample_aspect
        steps.append(("setsar", f"{aspect.numerator}/{aspect.denominator}"))

        graph = Graph()
        last = graph.add(
            "buffer",
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
            f":time_base={time_base.numerator}/{time_base.denominator}:pixel_aspect=1/1"
            f":colorspace={colour.matrix}:range={2 if colour.full_range else 1}",
        )
        for filter_name, arguments in [*steps, ("buffersink", "")]:
            following = graph.add(filter_name, arguments or None)
            last.link_to(following)
            last = following
        graph.configure()
        return graph

    def _upright_shape(self, frame: VideoFrame) -> Fraction:
        """Width over height as shown."""
        shape = Fraction(frame.width, frame.height) * self._clip.sample_aspect
        return 1 / shape if self._clip.is_turned else shape


def fitted_size(shape: Fraction, look: Look) -> tuple[int, int]:
    """Stored size of a picture whose displayed width over height is `shape`, as large as fits the look; even sides.

    A picture that misses the frame by less than two pixels fills it: rounding is no reason for a black line.
    """
    frame_shape = Fraction(look.width, look.height) * look.sample_aspect
    width, height = Fraction(look.width), Fraction(look.height)
    if shape > frame_shape:
        height = height * frame_shape / shape
    else:
        width = width * shape / frame_shape
    sides = []
    for side, full in ((width, look.width), (height, look.height)):
        sides.append(full if full - side < 2 else max(2, round(side / 2) * 2))
    return sides[0], sides[1]
