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

from services.assembly.plan import plan as assembly_plan
from services.frames.last_frame import extract
from services.probe.length import measure
from services.stitch.stitch import stitch
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


ASPECTS = [Fraction(1), Fraction(8, 3), Fraction(16, 11), Fraction(3, 8), Fraction(65535, 1), Fraction(1, 65535)]


@pytest.mark.parametrize("aspect", ASPECTS, ids=lambda aspect: f"{aspect.numerator}to{aspect.denominator}")
@pytest.mark.parametrize("matrix", [ORIENTATIONS[0], ORIENTATIONS[5]], ids=["upright", "turned"])
def test_every_answer_names_the_same_size(matrix: tuple[int, int, int, int], aspect: Fraction, tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    turned_clip(path, matrix, aspect)
    sources = [FileSource(path, f"video_urls[{number}]") for number in range(2)]
    context = StepContext(scratch=tmp_path)
    image = extract(context, sources[0], image_format="png")
    assert image.video_resolution == f"{image.width}x{image.height}"
    assert measure(context, sources[0]).video_resolution == image.video_resolution
    assert stitch(context, list(sources)).resolution == image.video_resolution
    sound = FileSource(Path(tone(tmp_path / "tone.wav")), "master_audio.audio_url")
    assert assembly_plan(context, list(sources), sound).output_resolution == image.video_resolution


@pytest.mark.parametrize("aspect", ASPECTS, ids=lambda aspect: f"{aspect.numerator}to{aspect.denominator}")
@pytest.mark.parametrize("matrix", [ORIENTATIONS[0], ORIENTATIONS[5]], ids=["upright", "turned"])
def test_an_encoded_stitch_is_as_large_as_shown(
    matrix: tuple[int, int, int, int], aspect: Fraction, tmp_path: Path
) -> None:
    path = tmp_path / "turned.mp4"
    turned_clip(path, matrix, aspect)
    context = StepContext(scratch=tmp_path)
    image = extract(context, FileSource(path), image_format="png")
    done = stitch(context, [FileSource(path), FileSource(path)], strategy="reencode")
    with av.open(str(tmp_path / done.file_name)) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio in (None, 1)
        assert (stream.width, stream.height) == (image.width // 2 * 2, image.height // 2 * 2)


def tone(path: Path) -> str:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.full((1, 6400), 900, np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        out.mux([*stream.encode(frame), *stream.encode(None)])
    return str(path)
