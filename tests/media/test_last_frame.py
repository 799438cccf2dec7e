"""The last frame of real files, its price in bytes, damage, and refusals."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import random
import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av import AudioFrame, VideoFrame
from av.stream import Disposition
from PIL import Image

from services.frames.last_frame import extract
from shared.errors import InvalidRequest, LastFrameError, LimitExceeded, SourceUnavailable, UnsupportedMedia
from shared.media.final_frame import find_last_frame
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.media.test_last_frame_matrix import (
    FRAGMENTED,
    H264,
    REALTIME,
    SINGLE,
    Clip,
    all_frames,
    digest,
    found,
    hevc,
    make,
    picture,
)
from tests.support.media import MediaFile, manifest, media_file
from tests.support.sources import CountingSource


def native_md5(frame: VideoFrame, quarter_turns: int) -> str:
    """MD5 of the planes without padding, turned as the manifest's were (by autorotation)."""
    result = hashlib.md5()
    bytes_per_sample = (frame.format.components[0].bits + 7) // 8
    for plane in frame.planes:
        samples = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        samples = samples[:, : plane.width * bytes_per_sample]
        result.update(np.ascontiguousarray(np.rot90(samples, quarter_turns)).tobytes())
    return result.hexdigest()


# Real files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", manifest("video"), ids=lambda media: media.name)
def test_real_file_is_exact(media: MediaFile) -> None:
    source = CountingSource(media.path.read_bytes())
    result = find_last_frame(source, max_duration_seconds=600)
    assert native_md5(result.frame, media.rotation_degrees // 90) == media.last_frame_native_md5
    assert result.pts_seconds == pytest.approx(media.last_pts_seconds, abs=0.0025)
    assert result.frame_index in (None, media.frames - 1)
    assert not result.warnings
    assert result.method in {"last_gop", "earlier_key_frame"}
    assert source.bytes_fetched <= media.path.stat().st_size


@pytest.mark.parametrize("media", manifest("video"), ids=lambda media: media.name)
def test_real_file_looks_like_its_picture(media: MediaFile, tmp_path: Path) -> None:
    """The references were converted with BT.601 where untagged and without tone mapping: near, not equal."""
    source = FileSource(media.path)
    result = extract(StepContext(scratch=tmp_path), source, image_format="png")
    source.close()
    with Image.open(media.last_frame_png) as image:
        reference = np.asarray(image.convert("RGB")).astype(int)
    with Image.open(tmp_path / result.file_name) as image:
        ours = np.asarray(image.convert("RGB")).astype(int)
    assert ours.shape == reference.shape
    if "hdr" in media.name:
        assert np.corrcoef(ours.ravel(), reference.ravel())[0, 1] > 0.9
    else:
        assert np.abs(ours - reference).mean() < 3


def test_facts_are_json_and_true(tmp_path: Path) -> None:
    media = media_file("input_3sec_rotation_90deg.mp4")
    source = FileSource(media.path)
    phases: list[str] = []
    result = extract(StepContext(scratch=tmp_path, progress=lambda phase, _: phases.append(phase)), source)
    source.close()
    image = (tmp_path / result.file_name).read_bytes()
    assert json.loads(json.dumps(dataclasses.asdict(result)))
    assert (result.width, result.height, result.video_resolution) == (720, 1280, "720x1280")
    assert (result.frame_index, result.video_codec) == (74, "h264")
    assert result.video_duration == pytest.approx(3.0)
    assert result.file_size == media.path.stat().st_size
    assert (result.image_bytes, result.sha256) == (len(image), hashlib.sha256(image).hexdigest())
    assert list(dict.fromkeys(phases)) == ["reading", "decoding", "encoding"]


@pytest.mark.parametrize(("image_format", "kind"), [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_image_formats(image_format: str, kind: str, tmp_path: Path) -> None:
    source = FileSource(media_file("sampleMKV.mkv").path)
    result = extract(StepContext(scratch=tmp_path), source, image_format=image_format, quality=80)
    source.close()
    with Image.open(tmp_path / result.file_name) as image:
        assert (image.format, image.size) == (kind, (560, 320))
        assert image.get_format_mimetype() == result.content_type


# Bytes -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Ten noisy seconds with sound (some MB): indexed at the end, at the start, by cues, and not at all."""
    folder = tmp_path_factory.mktemp("big")
    noise = np.random.default_rng(1).integers(0, 255, (8, 180, 320, 3), np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    frames = [VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p") for picture in noise]
    files = {}
    kinds = (("end.mp4", {}), ("start.mp4", {"movflags": "faststart"}), ("x.mkv", {}), ("x.flv", {}), ("x.mpg", {}))
    for name, muxer in kinds:
        with av.open(str(folder / name), "w", options=muxer) as out:
            codec, options = "libx264", {"preset": "ultrafast", "g": "25", "crf": "30"}
            if name == "x.mpg":
                codec, options = "mpeg2video", {"g": "25", "qmin": "6", "qmax": "6"}
            video = out.add_stream(codec, rate=25, options=options)
            video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
            sound = out.add_stream("mp2" if name == "x.mpg" else "aac", rate=48000)
            for number in range(250):
                frame = frames[number % len(frames)]
                frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 25), 0
                out.mux(video.encode(frame))
                tone = np.zeros((1, 1920), np.float32)
                piece = AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = 48000, number * 1920, Fraction(1, 48000)
                out.mux(sound.encode(piece))
            out.mux(video.encode(None))
            out.mux(sound.encode(None))
        files[name] = (folder / name).read_bytes()
    return files


@pytest.mark.parametrize(("name", "most_requests"), [("start.mp4", 2), ("end.mp4", 3)])
def test_mp4_costs_its_header_and_its_last_group(big: dict[str, bytes], name: str, most_requests: int) -> None:
    data = big[name]
    result, source = found(data)
    assert result.frame.pts is not None
    assert result.frame_index == 249
    with av.open(io.BytesIO(data)) as container:
        entries = list(container.streams.video[0].index_entries)
    last_key = max(i for i, entry in enumerate(entries) if entry.is_keyframe)
    needed = entries[-1].pos + entries[-1].size - entries[last_key].pos
    assert len(data) > 10 * needed / 2
    assert source.bytes_fetched <= needed + 64 * 1024 + 32 * 1024, (source.requests, needed)
    assert len(source.requests) <= most_requests


def test_matroska_costs_a_fraction(big: dict[str, bytes]) -> None:
    data = big["x.mkv"]
    result, source = found(data)
    assert result.method == "last_gop"
    assert source.bytes_fetched < len(data) * 0.45


@pytest.mark.parametrize("name", ["x.flv", "x.mpg"])
def test_a_container_without_an_index_is_read_from_its_end(big: dict[str, bytes], name: str) -> None:
    data = big[name]
    result, source = found(data)
    assert (result.frame.pts, digest(result.frame)) == list(all_frames(data))[-1]
    assert result.method == "last_gop"
    assert source.bytes_fetched < len(data) * 0.75


def test_no_byte_is_fetched_twice(big: dict[str, bytes]) -> None:
    for data in big.values():
        _, source = found(data)
        taken = sorted(source.requests)
        assert all(a + n <= b for (a, n), (b, _) in pairwise(taken))


def test_a_server_that_hides_the_length(big: dict[str, bytes]) -> None:
    for name in ("end.mp4", "start.mp4"):
        expected, _ = found(big[name])
        result = find_last_frame(CountingSource(big[name], says_size=False))
        assert (result.frame.pts, digest(result.frame)) == (expected.frame.pts, digest(expected.frame))


# Damage ----------------------------------------------------------------------------------------------------------


def samples(data: bytes) -> list[tuple[int, int]]:
    with av.open(io.BytesIO(data)) as container:
        return [(entry.pos, entry.size) for entry in container.streams.video[0].index_entries]


def zeroed(data: bytes, runs: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for offset, length in runs:
        changed[offset : offset + length] = bytes(length)
    return bytes(changed)


def randomised(data: bytes, runs: list[tuple[int, int]]) -> bytes:
    changed, dice = bytearray(data), random.Random(1)
    for offset, length in runs:
        changed[offset + 8 : offset + length] = dice.randbytes(max(0, length - 8))
    return bytes(changed)


IN_ORDER = {"preset": "ultrafast", "bf": "0"}
"""No B-frames: what precedes a sample in the file precedes it on the screen."""


@pytest.mark.parametrize(
    "options", [IN_ORDER | {"g": "15"}, IN_ORDER | {"g": "1000"}], ids=["groups of 15", "one group"]
)
@pytest.mark.parametrize("spoil", [zeroed, randomised])
def test_damaged_end_is_shown_as_a_full_decode_shows_it(
    options: dict[str, str], spoil: Callable[[bytes, list[tuple[int, int]]], bytes], tmp_path: Path
) -> None:
    data = make(Clip("", "mp4", "libx264", options=options), tmp_path)
    originals = [picture for _, picture in all_frames(data)]
    spoilt = spoil(data, samples(data)[-4:])
    result, _ = found(spoilt)
    assert (result.frame.pts, digest(result.frame)) == list(all_frames(spoilt))[-1]
    assert "damaged" in result.warnings[0]
    if spoil is zeroed:
        assert result.method == "last_clean_frame"
        assert originals.index(digest(result.frame)) == len(originals) - 5


@pytest.mark.parametrize("share", [0.5, 0.83, 0.9, 0.97])
@pytest.mark.parametrize(
    "clip",
    [
        Clip("ts", "mpegts", "libx264", options=H264),
        Clip("hevc ts", "mpegts", "libx265", options=hevc(keyint="20", bframes="3")),
        Clip("avi", "avi", "libx264", options=H264),
        Clip("mpeg4 avi", "avi", "mpeg4", options={"bf": "2"}),
        Clip("mkv", "matroska", "libx264", options=H264),
        Clip("flv", "flv", "libx264", options=H264),
        Clip("fragmented", "mp4", "libx264", options=H264, muxer=FRAGMENTED),
        Clip("mp4", "mp4", "mpeg4", options={"bf": "2"}, muxer={"movflags": "faststart"}),
        Clip("vp9 mp4", "mp4", "libvpx-vp9", options=REALTIME | {"g": "20"}, muxer={"movflags": "faststart"}),
        Clip("mpeg2 elementary", "mpeg2video", "mpeg2video", options={"bf": "2"}),
    ],
    ids=lambda clip: clip.name,
)
def test_cut_off_file_is_shown_as_a_full_decode_shows_it(clip: Clip, share: float, tmp_path: Path) -> None:
    data = make(clip, tmp_path)
    short = data[: int(len(data) * share)]
    result, _ = found(short)
    pts, picture = list(all_frames(short))[-1]
    assert result.frame.pts == pts, (result.method, result.warnings)
    # What of a cut picture no concealment reaches is whatever stood in the decoder's memory.
    assert digest(result.frame) == picture or result.method == "concealed"
    assert result.method != "concealed" or "guessed" in result.warnings[-1]


@pytest.mark.parametrize("share", [0.5, 0.7, 0.97])
def test_cut_off_file_gives_the_last_complete_frame(share: float, tmp_path: Path) -> None:
    data = make(Clip("", "mp4", "libx264", options=IN_ORDER | {"g": "15"}, muxer={"movflags": "faststart"}), tmp_path)
    originals = [picture for _, picture in all_frames(data)]
    short = data[: int(len(data) * share)]
    complete = sum(offset + length <= len(short) for offset, length in samples(data))
    result, _ = found(short)
    assert originals.index(digest(result.frame)) == complete - 1
    assert result.frame_index == complete - 1
    assert "cut off" in result.warnings[0]


def test_lost_index_says_so(tmp_path: Path) -> None:
    data = make(Clip("", "mp4", "libx264", options=H264), tmp_path)
    with pytest.raises(UnsupportedMedia, match="cut off"):
        found(data[: len(data) // 2])


# Refusals --------------------------------------------------------------------------------------------------------


def test_audio_file_lists_what_it_has() -> None:
    data = media_file("bach.mp3").path.read_bytes()
    with pytest.raises(UnsupportedMedia, match="no video stream; found: audio mp3") as caught:
        found(data)
    assert caught.value.input_name == "video_url"


def test_cover_art_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("mp3", rate=48000)
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        art = VideoFrame(64, 64, "yuvj420p")
        art.pts, art.time_base = 0, Fraction(1, 1)
        packets = [*cover.encode(art), *cover.encode(None)]
        for number in range(20):
            piece = AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), format="fltp", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = 48000, number * 1152, Fraction(1, 48000)
            packets += sound.encode(piece)
        out.mux([*packets, *sound.encode(None)])
    with pytest.raises(UnsupportedMedia, match="no video stream; found: audio mp3, attached picture mjpeg"):
        found(path.read_bytes())


@pytest.mark.parametrize("still_first", [True, False])
def test_an_undeclared_thumbnail_track_is_not_a_video(still_first: bool, tmp_path: Path) -> None:
    path = tmp_path / "camera.mov"
    with av.open(str(path), "w") as out:
        tracks = [("mjpeg", "yuvj420p", 1), ("mpeg4", "yuv420p", 12)]
        streams = []
        for codec, pixel_format, frames in tracks if still_first else tracks[::-1]:
            stream = out.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, pixel_format
            streams.append((stream, pixel_format, frames))
        for stream, pixel_format, frames in streams:
            for number in range(frames):
                frame = picture(number, pixel_format, (96, 64))
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    result, _ = found(path.read_bytes())
    assert (result.codec, result.frame_index) == ("mpeg4", 11)


def test_an_animated_avif_is_no_still(tmp_path: Path) -> None:
    """Its primary item, one picture, is listed in front of its track."""
    data = make(Clip("avif", "avif", "libsvtav1", frames=10, options={"preset": "12"}), tmp_path)
    with av.open(io.BytesIO(data)) as container:
        still, moving = container.streams.video
        assert (still.frames, moving.frames) == (1, 10)
        *_, last = container.decode(moving)
    result, _ = found(data)
    assert digest(result.frame) == digest(last)
    assert (result.frame_index, result.pts_seconds) == (9, pytest.approx(9 / 25))


def test_a_stream_that_its_header_does_not_announce_is_passed_over(tmp_path: Path) -> None:
    """Tools append FLV script tags, for which libavformat makes a stream when it meets them."""
    clip = make(Clip("flv", "flv", "libx264", options=H264, audio="aac", audio_seconds=2.4), tmp_path)
    script = b"\x02\x00\x0conLastSecond\x08\x00\x00\x00\x00\x00\x00\x09"
    tag = b"\x12" + len(script).to_bytes(3, "big") + (2400).to_bytes(3, "big") + bytes(4) + script
    data = clip + tag + len(tag).to_bytes(4, "big")
    *_, (_, last) = all_frames(clip)
    for _ in range(20):  # what PyAV finds behind its own list of streams differs from time to time
        result, _ = found(data)
        assert digest(result.frame) == last
        assert not result.warnings


@pytest.mark.parametrize(
    ("container", "codec", "options"), [("h264", "libx264", H264), ("hevc", "libx265", hevc(keyint="15"))]
)
def test_an_elementary_stream_lasts_as_long_as_its_pictures(
    container: str, codec: str, options: dict[str, str], tmp_path: Path
) -> None:
    result, _ = found(make(Clip("raw", container, codec, options=options), tmp_path))
    assert (result.pts_seconds, result.end_seconds) == (pytest.approx(59 / 25), pytest.approx(60 / 25))


def test_pictures_with_exif_are_shown(tmp_path: Path) -> None:
    """FFmpeg attaches EXIF to a picture as a kind of side data that PyAV has no name for."""
    data = make(Clip("", "mov", "tiff", "rgb24", frames=5), tmp_path)
    result = extract(StepContext(scratch=tmp_path), CountingSource(data), image_format="png")
    assert (result.frame_pts, result.method, result.warnings) == (pytest.approx(0.16), "full_decode", ())
    with Image.open(tmp_path / result.file_name) as image:
        wanted = picture(4, "rgb24", (96, 64)).to_ndarray()
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("claimed_ms", [0.0, 500.0, 3_600_000.0])
def test_a_matroska_header_that_lies_about_the_duration(claimed_ms: float, tmp_path: Path) -> None:
    data = bytearray(make(Clip("", "matroska", "libx264", options=H264), tmp_path))
    at = data.index(b"\x44\x89\x88") + 3
    data[at : at + 8] = struct.pack(">d", claimed_ms)
    expected = list(all_frames(bytes(data)))[-1]
    result, _ = found(bytes(data))
    assert (result.frame.pts, digest(result.frame)) == expected


def test_a_recording_that_starts_late_is_not_long(tmp_path: Path) -> None:
    data = make(Clip("", "matroska", "libx264", options=H264, muxer={"output_ts_offset": "5000"}), tmp_path)
    result, _ = found(data)
    assert result.end_seconds == pytest.approx(60 / 25, abs=0.05)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html><body>not found</body></html>", "a web page"),
        (b'{"detail": "gone"}', "a JSON document"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "a playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "a concat script"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "a PNG image"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n", "SDP"),
        (random.Random(3).randbytes(5000), "damaged"),
    ],
)
def test_what_is_not_a_medium_is_named(data: bytes, words: str) -> None:
    with pytest.raises(UnsupportedMedia, match=words):
        found(data)


def test_limits(tmp_path: Path) -> None:
    data = make(Clip("", "matroska", "libx264", options=H264), tmp_path)
    with pytest.raises(LimitExceeded) as too_long:
        find_last_frame(CountingSource(data), max_duration_seconds=1)
    assert too_long.value.word == "duration_too_long"
    with pytest.raises(LimitExceeded) as too_large:
        find_last_frame(CountingSource(data), max_pixels=32 * 32)
    assert too_large.value.word == "too_many_pixels"


def test_request_is_checked(tmp_path: Path) -> None:
    for bad in ({"image_format": "gif"}, {"quality": 0}, {"quality": 101}):
        with pytest.raises(InvalidRequest):
            extract(StepContext(scratch=tmp_path), CountingSource(b""), **bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "h264.ts"])
@pytest.mark.parametrize("where", [0.0, 0.5, 0.99])
def test_a_broken_source_surfaces_unchanged(name: str, where: float, tmp_path: Path) -> None:
    container = {"mp4": "mp4", "mkv": "matroska", "ts": "mpegts"}[name.split(".")[1]]
    data = make(Clip("", container, "libx264", options=SINGLE, frames=80, size=(320, 240)), tmp_path)
    failure = SourceUnavailable("the server closed the connection", retryable=True)
    with pytest.raises(SourceUnavailable) as caught:
        find_last_frame(CountingSource(data, fails_at=int(len(data) * where), failure=failure))
    assert caught.value is failure


def test_mutated_files_give_a_frame_or_a_named_error(tmp_path: Path) -> None:
    dice = random.Random(7)
    for container in ("mp4", "matroska", "mpegts", "avi", "flv", "asf"):
        codec = "wmv2" if container == "asf" else "libx264"
        data = make(Clip("", container, codec, options=H264 if codec == "libx264" else {}, frames=20), tmp_path)
        for _ in range(12):
            changed = bytearray(data)
            for _ in range(dice.randint(1, 30)):
                changed[dice.randrange(len(data) if dice.random() < 0.5 else 2000)] = dice.randrange(256)
            try:
                found(bytes(changed[: dice.randint(100, len(data))] if dice.random() < 0.2 else changed))
            except LastFrameError as error:
                assert error.detail
