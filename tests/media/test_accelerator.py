"""The GPU's paths, tried without one: its engines are played by software that gives NVDEC's layouts and fails where it
is told to, and by this machine's own missing driver."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import pytest

from scripts import gpu_check
from services.stitch.stitch import Stitched, stitch
from shared.media import accelerator
from shared.media.accelerator import Engines, NvdecFailed, NvencFailed, nvdec_takes, probe
from shared.media.join import encoder as join_encoder
from shared.media.join import nvenc
from shared.media.join.clip import read_clip
from shared.media.join.parameter_sets import read_parameter_sets
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.support.clips import ClipRecipe, look_at, make_clip

FRAMES = 100
"""Of each clip here: more than one group of pictures at 30 fps."""


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


without_driver = pytest.mark.skipif(has_driver(), reason="an NVIDIA driver is loaded here: `make gpu-check` has this")


class Nvdec:
    """Decodes in software, gives NVDEC's layouts, and fails at a packet when told to."""

    def __init__(self, stream: Any, max_pixels: int, *, fails_at: int | None, error: BaseException | None) -> None:
        own = stream.codec_context
        self._decoder = av.CodecContext.create(own.codec.canonical_name, "r")
        self._decoder.extradata, self._decoder.reorder_depth = own.extradata, own.reorder_depth
        self._decoder.thread_count = 1
        self._fails_at, self._error, self._packets = fails_at, error, 0

    def decode(self, packet: Any) -> list[av.VideoFrame]:
        if self._packets == self._fails_at and self._error is not None:
            raise self._error
        self._packets += 1
        layouts = {"yuv420p": "nv12", "yuv420p10le": "p010le"}
        return [frame.reformat(format=layouts[frame.format.name], threads=1) for frame in self._decoder.decode(packet)]


class Nvenc:
    """x264 in NVENC's manner (closed groups, ids from 0, no B references), which fails at a frame when told to."""

    opened = 0

    def __init__(self, look: Any, key_frame_distance: int, fails_at: int | None, breaks: bool) -> None:
        Nvenc.opened += 1
        self._encoder = av.CodecContext.create("libx264", "w")
        encoder, rate = self._encoder, look.nominal_rate.limit_denominator(1001)
        encoder.width, encoder.height, encoder.pix_fmt = look.width, look.height, "yuv420p"
        encoder.framerate, encoder.time_base = rate, 1 / rate
        encoder.flags |= av.codec.context.Flags.global_header
        encoder.options = {
            "preset": "ultrafast",
            "crf": "10",
            "profile": "high",
            "x264-params": f"keyint={key_frame_distance}:bframes=2:b-pyramid=none:open-gop=0:scenecut=0",
        }
        encoder.open()
        self._frames, self._fails_at, self._breaks = 0, fails_at, breaks

    @property
    def framerate(self) -> Fraction:
        return self._encoder.framerate

    @property
    def extradata(self) -> bytes:
        return self._encoder.extradata

    def encode(self, picture: av.VideoFrame | None) -> list[Any]:
        if self._fails_at is not None and self._frames >= self._fails_at:
            if not self._breaks:
                raise av.error.ExternalError(1, "the GPU has fallen off the bus")
            if picture is None:
                return self._encoder.encode(None)[:-1]  # loses a picture without a word
        self._frames += 1
        return self._encoder.encode(picture)


@pytest.fixture
def play_nvdec(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def play(fails_at: int | None = None, error: BaseException | None = None) -> None:
        def opened(stream: Any, max_pixels: int) -> Nvdec:
            return Nvdec(stream, max_pixels, fails_at=fails_at, error=error)

        monkeypatch.setattr(accelerator, "open_nvdec", opened)

    return play


@contextmanager
def watching() -> Iterator[list[tuple[int, str]]]:
    """Every picture that is handed to an encoder: its place in the clip and a digest of its pixels.

    (x264 itself writes other bytes in every run, from the same pictures.)
    """
    seen: list[tuple[int, str]] = []
    on_clock = join_encoder._on_clock

    def watched(*arguments: Any) -> Iterator[tuple[int, av.VideoFrame]]:
        for place, picture in on_clock(*arguments):
            seen.append((place, hashlib.md5(picture.to_ndarray().tobytes()).hexdigest()))
            yield place, picture

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join_encoder, "_on_clock", watched)
        yield seen


@dataclass(frozen=True)
class Reference:
    """Two clips that differ, and what software makes of them with everything encoded."""

    sources: list[FileSource]
    done: Stitched
    path: Path
    pictures: list[tuple[int, str]]


@pytest.fixture(scope="module")
def software(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("software")
    sources = clips(folder)
    with watching() as pictures:
        done, path = join(folder, sources, "cpu", strategy="reencode")
    assert done.accelerator is None
    assert len(pictures) == 2 * FRAMES
    return Reference(sources, done, path, pictures)


@pytest.fixture
def play_nvenc(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def play(fails_at: int | None = None, *, opens: int = 1000, breaks: bool = False) -> None:
        Nvenc.opened = 0

        def opened(look: Any, quality: str, key_frame_distance: int) -> Nvenc:
            if Nvenc.opened >= opens:
                raise NvencFailed("no session left")
            return Nvenc(look, key_frame_distance, fails_at, breaks)

        monkeypatch.setattr(nvenc, "open_nvenc", opened)
        monkeypatch.setattr(join_encoder, "open_nvenc", opened)

    return play


def clips(folder: Path) -> list[FileSource]:
    """Two clips that differ in everything but their picture's layout."""
    paths = [
        make_clip(folder / "one.mp4", ClipRecipe(frames=FRAMES, flash_frame=None, layout=None)),
        make_clip(folder / "two.mp4", ClipRecipe(frames=FRAMES, flash_frame=50, layout=None, size=(192, 96))),
    ]
    return [FileSource(path, path.stem) for path in paths]


def join(folder: Path, sources: list[FileSource], gpu: str, **options: Any) -> tuple[Stitched, Path]:
    """`gpu` is `cpu`, `nvdec`, or `nvdec+nvenc`."""
    scratch = folder / f"scratch{len(list(folder.iterdir()))}"
    scratch.mkdir()
    context = StepContext(scratch, accelerator="cpu" if gpu == "cpu" else "cuda", nvenc=gpu.endswith("nvenc"))
    done = stitch(context, list(sources), **options)
    return done, scratch / done.file_name


def luma(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray()[: frame.height] for frame in container.decode(video=0)])


def test_the_probe_says_no_without_a_driver_and_why(tmp_path: Path) -> None:
    if has_driver():
        pytest.skip("an NVIDIA driver is loaded here")
    begun = time.monotonic()
    found = probe(StepContext(tmp_path))
    assert (found.nvdec, found.nvenc) == (False, False)
    assert "libcuda.so.1" in found.findings[0]
    assert time.monotonic() - begun < 5


def test_the_probe_tries_both_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, play_nvdec: Callable[..., None]
) -> None:
    """An H100 has NVDEC and no NVENC; here the one is played, and the other is truly missing."""
    monkeypatch.setattr(accelerator.ctypes, "CDLL", lambda name: None)
    monkeypatch.setattr(accelerator, "NVENC", "h264_nvenc" if not has_driver() else "no_such_encoder")
    play_nvdec()
    found = probe(StepContext(tmp_path))
    assert found.nvdec
    assert found.findings[0] == "NVDEC works: 5 pictures"
    assert not found.nvenc
    assert found.findings[1].startswith("NVENC is not usable: ")


@pytest.mark.parametrize("error", [av.error.PermissionError(1, "no"), av.error.ExitError(2, "no"), None])
def test_the_probe_survives_every_failure_of_a_driver(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    play_nvdec: Callable[..., None],
    error: BaseException | None,
) -> None:
    monkeypatch.setattr(accelerator.ctypes, "CDLL", lambda name: None)
    play_nvdec(fails_at=2, error=error or av.error.UnknownError(3, "no"))
    found = probe(StepContext(tmp_path))
    assert not found.nvdec
    assert "NVDEC is not usable" in found.findings[0]


def test_nvdec_gets_what_it_decodes_to_the_bit() -> None:
    assert nvdec_takes("h264", "yuv420p", 1920, 1080)
    assert nvdec_takes("av1", "yuv420p10le", 1280, 720)
    assert not nvdec_takes("h264", "yuv422p", 1920, 1080)
    assert not nvdec_takes("h264", "yuv420p10le", 1920, 1080)
    assert not nvdec_takes("mpeg4", "yuv420p", 640, 480)
    assert not nvdec_takes("h264", "yuv420p", 641, 480)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_pictures_come_in_the_layout_of_software(tmp_path: Path, pix_fmt: str, play_nvdec: Callable[..., None]) -> None:
    play_nvdec()
    codec = "libx264" if pix_fmt == "yuv420p" else "libx265"
    options = {"preset": "ultrafast"} | ({"x265-params": "log-level=none"} if codec == "libx265" else {})
    recipe = ClipRecipe(frames=8, codec=codec, pix_fmt=pix_fmt, options=options, layout=None, size=(162, 98))
    path = make_clip(tmp_path / "in.mp4", recipe)
    with av.open(str(path)) as container:
        wanted = [(f.pts, f.format.name, f.to_ndarray().tobytes()) for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = accelerator.nvdec_frames(stream, container.demux(stream), 1 << 20, (162, 98))
        assert [(f.pts, f.format.name, f.to_ndarray().tobytes()) for f in frames] == wanted


def test_pictures_of_another_size_are_a_failure(tmp_path: Path, play_nvdec: Callable[..., None]) -> None:
    play_nvdec()
    path = make_clip(tmp_path / "in.mp4", ClipRecipe(frames=4, layout=None))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        with pytest.raises(NvdecFailed, match="160x96 pixels instead of 160x90"):
            list(accelerator.nvdec_frames(stream, container.demux(stream), 1 << 20, (160, 90)))


@pytest.mark.parametrize("fails_at", [None, 0, 1, 37, FRAMES])
def test_a_join_is_the_same_however_far_nvdec_comes(
    tmp_path: Path, software: Reference, play_nvdec: Callable[..., None], fails_at: int | None
) -> None:
    play_nvdec(fails_at, av.error.ExternalError(1, "the GPU has fallen off the bus"))
    with watching() as pictures:
        done, path = join(tmp_path, software.sources, "nvdec", strategy="reencode")
    assert pictures == software.pictures
    assert look_at(path).pts == look_at(software.path).pts
    assert done.warnings == software.done.warnings
    if fails_at is None:
        assert done.accelerator == {"decode": "nvdec", "encode": "libx264"}
    else:
        assert done.accelerator == {"decode": "software", "encode": "libx264", "fallback": "nvdec_failed"}


def test_a_damaged_file_is_no_fault_of_the_gpu(
    tmp_path: Path, software: Reference, play_nvdec: Callable[..., None]
) -> None:
    play_nvdec(37, av.error.InvalidDataError(1, "damaged"))
    with watching() as pictures:
        done, _ = join(tmp_path, software.sources, "nvdec", strategy="reencode")
    assert pictures == software.pictures
    assert done.accelerator == {"decode": "software", "encode": "libx264"}


@without_driver
@pytest.mark.parametrize(("gpu", "reason"), [("nvdec", "nvdec_failed"), ("nvdec+nvenc", "nvenc_failed")])
def test_a_gpu_that_is_gone_costs_nothing_but_time(tmp_path: Path, software: Reference, gpu: str, reason: str) -> None:
    """The real calls, against the driver that this machine does not have."""
    with watching() as pictures:
        done, path = join(tmp_path, software.sources, gpu, strategy="reencode")
    assert pictures == software.pictures
    assert look_at(path).pts == look_at(software.path).pts
    assert done.accelerator == {"decode": "software", "encode": "libx264", "fallback": reason}


def test_nvenc_encodes_where_it_may(
    tmp_path: Path, software: Reference, play_nvdec: Callable[..., None], play_nvenc: Callable[..., None]
) -> None:
    play_nvdec()
    play_nvenc()
    done, path = join(tmp_path, software.sources, "nvdec+nvenc", strategy="reencode")
    assert done.accelerator == {"decode": "nvdec", "encode": "nvenc"}
    assert Nvenc.opened == 3  # for the header, and once a clip
    same_pictures(path, software.path)
    with av.open(str(path)) as container:
        sets = read_parameter_sets(container.streams.video[0].codec_context.extradata)
    assert sets is not None
    assert len(sets.sps) == 2, "x264's own sets are there to fall back on"


@pytest.mark.parametrize(
    ("fails_at", "opens", "breaks"),
    [(0, 1000, False), (1, 1000, False), (59, 1000, False), (60, 1000, False), (61, 1000, False), (99, 1000, False),
     (100, 1000, False), (100, 1000, True), (None, 2, False), (None, 1, False), (None, 0, False)],
)  # fmt: skip
def test_no_frame_is_doubled_or_lost_where_nvenc_fails(
    tmp_path: Path,
    software: Reference,
    play_nvdec: Callable[..., None],
    play_nvenc: Callable[..., None],
    fails_at: int | None,
    opens: int,
    breaks: bool,
) -> None:
    """At the first frame, around the second key frame (60), at the last, in flushing, and at every opening."""
    play_nvdec()
    play_nvenc(fails_at, opens=opens, breaks=breaks)
    done, path = join(tmp_path, software.sources, "nvdec+nvenc", strategy="reencode")
    assert done.accelerator == {"decode": "software", "encode": "libx264", "fallback": "nvenc_failed"}
    same_pictures(path, software.path)


def same_pictures(path: Path, wanted: Path) -> None:
    assert look_at(path).pts == look_at(wanted).pts
    ours, theirs = luma(path).astype(np.int16), luma(wanted).astype(np.int16)
    assert np.abs(ours - theirs).mean(axis=(1, 2)).max() < 1.5
    # Each is nearer to the picture of its own number than to its neighbours': none is doubled.
    following = np.abs(ours[:-1] - theirs[1:]).mean(axis=(1, 2))
    assert (np.abs(ours - theirs).mean(axis=(1, 2))[:-1] < following).all()


@pytest.mark.parametrize("sps_id", [0, 3])
def test_nvenc_stands_beside_copied_clips_that_leave_it_its_ids(
    tmp_path: Path, play_nvdec: Callable[..., None], play_nvenc: Callable[..., None], sps_id: int
) -> None:
    options = {"preset": "ultrafast", "x264-params": f"sps-id={sps_id}"}
    long = make_clip(
        tmp_path / "long.mp4", ClipRecipe(frames=FRAMES, layout=None, options=options | {"profile": "high"})
    )
    odd = make_clip(tmp_path / "odd.mp4", ClipRecipe(frames=40, layout=None, size=(192, 112)))
    sources = [FileSource(long, "long"), FileSource(odd, "odd")]
    assert read_clip(0, sources[0], StepContext(tmp_path)).parameter_sets is not None
    _, path = join(tmp_path, sources, "cpu")
    play_nvdec()
    play_nvenc(20)
    done, other = join(tmp_path, sources, "nvdec+nvenc")
    assert [entry["index"] for entry in done.copied] == [0]
    assert done.accelerator is not None
    if sps_id == 0:  # taken: x264 it is, and that is no failure
        assert done.accelerator == {"decode": "nvdec", "encode": "libx264"}
    else:
        assert done.accelerator["fallback"] == "nvenc_failed"
    same_pictures(other, path)


def test_a_join_that_copies_has_used_no_engine(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "one.mp4", ClipRecipe(layout=None))
    done, _ = join(tmp_path, [FileSource(path, "a"), FileSource(path, "b")], "nvdec+nvenc")
    assert done.accelerator is None


def test_engines_are_left_alone_after_the_first_failure(tmp_path: Path) -> None:
    engines = Engines(StepContext(tmp_path, accelerator="cuda", nvenc=True))
    assert engines.may_encode
    assert engines.may_decode("h264", "yuv420p", 640, 480)
    engines.fall_back("nvdec_failed", NvdecFailed("gone"))
    engines.fall_back("nvenc_failed", NvencFailed("gone too"))
    engines.has_worked = True
    assert not engines.may_encode
    assert not engines.may_decode("h264", "yuv420p", 640, 480)
    assert engines.use() == {"decode": "software", "encode": "libx264", "fallback": "nvdec_failed"}


@without_driver
def test_gpu_check_has_nothing_to_say_without_a_driver() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "scripts.gpu_check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("no NVIDIA driver on this machine, so there is nothing to check")


def test_gpu_check_finds_a_picture_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, play_nvdec: Callable[..., None]
) -> None:
    path = make_clip(tmp_path / "in.mp4", ClipRecipe(frames=8, layout=None))
    play_nvdec()
    ((right, _, found),) = gpu_check.decode_part(path)
    assert right
    assert found.startswith("8 pictures equal to the bit")
    with av.open(str(path)) as container:
        spotted = [frame.pts for frame in container.decode(video=0)][5]
    decode = Nvdec.decode

    def with_a_spot(self: Nvdec, packet: Any) -> list[av.VideoFrame]:
        frames = decode(self, packet)
        for frame in frames:
            if frame.pts >= spotted:
                pixels = bytearray(frame.planes[0])
                pixels[40] ^= 1
                frame.planes[0].update(pixels)
        return frames

    monkeypatch.setattr(Nvdec, "decode", with_a_spot)
    ((right, _, found),) = gpu_check.decode_part(path)
    assert not right
    assert "the first that differs is 5" in found


@pytest.mark.parametrize("quality", ["low", "medium", "high"])
def test_the_quantizers_give_x264_the_quality_that_it_is_asked_for(
    quality: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The anchor of NVENC's table: x264 itself at those constant quantizers, against its own rate factors."""

    def by_quantizer(look: Any, asked: str, key_frame_distance: int) -> Any:
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = look.width, look.height, "yuv420p"
        encoder.framerate, encoder.time_base = look.nominal_rate, 1 / look.nominal_rate
        encoder.flags |= av.codec.context.Flags.global_header
        parameters = f"keyint={key_frame_distance}:bframes=2:b-pyramid=none:scenecut=0"
        quantizer = str(nvenc.QUANTIZERS[asked])
        encoder.options = {"preset": "faster", "qp": quantizer, "x264-params": parameters}
        encoder.open()
        return encoder

    monkeypatch.setattr(gpu_check, "open_nvenc", by_quantizer)
    monkeypatch.setattr(gpu_check, "ENCODED", ((640, 360), 20))
    rows = gpu_check.encode_part(quality)
    assert rows[0][0], rows[0]
    assert nvenc.QUANTIZERS == {"low": 32, "medium": 27, "high": 20}, "left as they were"
