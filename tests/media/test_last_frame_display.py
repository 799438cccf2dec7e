"""Rotation and pixel aspect ratio of whole files, against the ffmpeg program as an independent judge."""

from __future__ import annotations

import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from services.frames.last_frame import extract
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.media.test_last_frame_matrix import picture
from tests.support.missing import needed

ONE = 65536
ORIENTATIONS = [
    (ONE, 0, 0, ONE), (-ONE, 0, 0, ONE), (ONE, 0, 0, -ONE), (-ONE, 0, 0, -ONE),
    (0, ONE, ONE, 0), (0, ONE, -ONE, 0), (0, -ONE, ONE, 0), (0, -ONE, -ONE, 0),
]  # fmt: skip


@pytest.fixture
def ffmpeg() -> str:
    """The independent judge."""
    return needed("ffmpeg")


def turned_clip(path: Path, matrix: tuple[int, int, int, int], aspect: Fraction) -> None:
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        video.codec_context.sample_aspect_ratio = aspect
        for number in range(10):
            frame = picture(number, "yuv420p", (160, 96))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    data = bytearray(path.read_bytes())
    # tkhd, version 0: the matrix stands 40 bytes behind the box's version field (ISO/IEC 14496-12 section 8.3.2).
    a, b, c, d = matrix
    struct.pack_into(">9i", data, data.index(b"tkhd") + 4 + 40, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(16, 11)], ids=["square", "wide"])
@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_turned_and_stretched_like_ffmpeg(
    matrix: tuple[int, int, int, int], aspect: Fraction, tmp_path: Path, ffmpeg: str
) -> None:
    path = tmp_path / "turned.mp4"
    turned_clip(path, matrix, aspect)
    command = [
        ffmpeg,
        "-v",
        "error",
        "-i",
        str(path),
        "-vf",
        "scale=iw*sar:ih:flags=bicubic+full_chroma_int+accurate_rnd",
    ]
    subprocess.run([*command, "-update", "1", str(tmp_path / "judge.png")], check=True, timeout=60)
    source = FileSource(path)
    result = extract(StepContext(scratch=tmp_path), source, image_format="png")
    source.close()
    with Image.open(tmp_path / "judge.png") as image:
        judge = np.asarray(image.convert("RGB")).astype(int)
    with Image.open(tmp_path / result.file_name) as image:
        ours = np.asarray(image).astype(int)
    assert ours.shape == judge.shape
    assert np.abs(ours - judge).mean() < 4
