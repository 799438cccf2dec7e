"""Length: the real files' truth, formats whose headers lie, and the bytes that a remote answer costs."""

from __future__ import annotations

import contextlib
import json
import random
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from services.audio.stitch_audio import stitch_audio
from services.probe.length import MediaLength, measure
from shared.errors import SourceUnavailable, UnsupportedMedia
from shared.media import tail_seek
from shared.media.probe import timeline
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.media.test_last_frame_matrix import shortened_edit
from tests.support.media import MediaFile, manifest, media_file
from tests.support.missing import needed

SAMPLES_44100 = 3 * 44100 + 777
SECONDS_44100 = SAMPLES_44100 / 44100


class RemoteSource:
    """A server: counts what it is asked for, and may keep quiet about its length."""

    is_local = False

    def __init__(self, data: bytes, *, says_length: bool = True, fails_behind: int | None = None) -> None:
        self.label = "media_url"
        self.data, self.fails_behind = data, fails_behind
        self.size_bytes: int | None = len(data) if says_length else None
        self.bytes_read = self.requests = 0

    def read_at(self, offset: int, length: int) -> bytes:
        if self.fails_behind is not None and offset + length > self.fails_behind:
            raise SourceUnavailable("the server closed the connection", word="invalid_media_url", retryable=True)
        part = self.data[offset : offset + length]
        self.requests, self.bytes_read = self.requests + 1, self.bytes_read + len(part)
        return part

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        return None


class SparseSource(RemoteSource):
    """A file of which only some parts exist; the rest are zeros that cost no memory here."""

    def __init__(self, parts: dict[int, bytes], size_bytes: int) -> None:
        super().__init__(b"")
        self.parts, self.size_bytes = parts, size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        assert self.size_bytes is not None
        length = max(0, min(length, self.size_bytes - offset))
        self.requests, self.bytes_read = self.requests + 1, self.bytes_read + length
        answer = bytearray(length)
        for start, data in self.parts.items():
            first, last = max(offset, start), min(offset + length, start + len(data))
            if first < last:
                answer[first - offset : last - offset] = data[first - start : last - start]
        return bytes(answer)


class Pipe:
    """An output that cannot seek: muxers cannot go back to fill in what they know only at the end."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self.file.write(data)


def sound(codec: str, samples: int, rate: int, channels: int = 2) -> av.AudioFrame:
    wave = (np.sin(np.arange(samples) * (2 * np.pi * 440 / rate)) * 8000).astype(np.int16)
    layout = "stereo" if channels == 2 else "mono"
    frame = av.AudioFrame.from_ndarray(np.repeat(wave[None, :], channels, 0), format="s16p", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def write_audio(
    path: Path,
    container: str,
    codec: str,
    *,
    samples: int = SAMPLES_44100,
    rate: int = 44100,
    channels: int = 2,
    pipe: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    target: Any = Pipe(path) if pipe else str(path)
    with av.open(target, "w", format=container, options=options or {}) as output:
        stream = output.add_stream(
            codec, rate=rate, layout="stereo" if channels == 2 else "mono", options={"strict": "-2"}
        )
        if codec.startswith("wma"):
            stream.bit_rate = 128_000
        if codec == "libmp3lame" and options and "write_xing" in options:
            stream.options = {"q": "4"}
        output.mux(stream.encode(sound(codec, samples, rate, channels)))
        output.mux(stream.encode(None))
    if pipe:
        target.file.close()
    return path


def write_video(
    path: Path,
    container: str,
    *,
    codec: str = "libx264",
    frames: int = 60,
    rate: int = 25,
    milliseconds: list[int] | None = None,
    audio: str | None = None,
    audio_samples: int = 96_000,
    pipe: bool = False,
    options: dict[str, str] | None = None,
    rotation: int = 0,
    sample_aspect: Fraction | None = None,
) -> Path:
    """160x120; PTS from the frame rate, or from `milliseconds`."""
    target: Any = Pipe(path) if pipe else str(path)
    time_base = Fraction(1, 1000) if milliseconds else Fraction(1, rate)
    with av.open(target, "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.time_base = time_base
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "bf": "2", "g": "30", "b-pyramid": "none"}
        if sample_aspect:
            stream.codec_context.sample_aspect_ratio = sample_aspect
        if rotation:
            stream.set_display_rotation(rotation)
        packets: list[Any] = []
        if audio:
            track = output.add_stream(audio, rate=48_000, layout="stereo", options={"strict": "-2"})
            if audio.startswith("wma"):
                track.bit_rate = 128_000
            packets += [*track.encode(sound(audio, audio_samples, 48_000)), *track.encode(None)]
        for number in range(frames):
            picture = np.full((180, 160), 16 + number * 3 % 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts, frame.time_base = (milliseconds[number] if milliseconds else number), time_base
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    if pipe:
        target.file.close()
    return path


def length_of(path: Path, tmp_path: Path) -> MediaLength:
    source = FileSource(path, label="media_url")
    try:
        return measure(StepContext(tmp_path), source)
    finally:
        source.close()


def decoded_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(sum(Fraction(frame.samples, frame.sample_rate) for frame in container.decode(audio=0)))


@pytest.mark.parametrize("media", manifest(), ids=lambda media: media.name)
def test_real_files_have_their_true_length(media: MediaFile, tmp_path: Path) -> None:
    found = length_of(media.path, tmp_path)
    assert media.duration_true_seconds is not None
    assert found.media_duration == pytest.approx(media.duration_true_seconds, abs=0.001)
    assert found.media_type == media.kind
    assert found.file_size == media.path.stat().st_size
    json.dumps(asdict(found))


@pytest.mark.parametrize(
    ("name", "container", "codec", "more"),
    [
        ("vbr_without_xing.mp3", "mp3", "libmp3lame", {"options": {"write_xing": "0"}}),
        ("tagged.mp3", "mp3", "libmp3lame", {}),
        ("raw.aac", "adts", "aac", {}),
        ("raw.ac3", "ac3", "ac3", {}),
        ("raw.eac3", "eac3", "eac3", {}),
        ("pipe.flac", "flac", "flac", {"pipe": True}),
        ("total.flac", "flac", "flac", {}),
        ("opus.webm", "webm", "libopus", {"rate": 48_000, "samples": 144_777}),
        ("pipe.webm", "webm", "libopus", {"rate": 48_000, "samples": 144_777, "pipe": True}),
        ("pipe.mka", "matroska", "aac", {"pipe": True}),
        ("pre_skip.opus", "ogg", "libopus", {"rate": 48_000, "samples": 144_777}),
        ("vorbis.ogg", "ogg", "vorbis", {}),
        ("flac.oga", "ogg", "flac", {}),
        ("pcm.wav", "wav", "pcm_s16le", {}),
        ("pipe.wav", "wav", "pcm_s16le", {"pipe": True}),
        ("adpcm.wav", "wav", "adpcm_ms", {}),
        ("pcm.w64", "w64", "pcm_s16le", {}),
        ("pcm.aiff", "aiff", "pcm_s16be", {}),
        ("pcm.au", "au", "pcm_s16be", {}),
        ("pipe.au", "au", "pcm_s16be", {"pipe": True}),
        ("pcm.caf", "caf", "pcm_s16be", {}),
        ("alac.caf", "caf", "alac", {}),
        ("alac.m4a", "ipod", "alac", {}),
        ("frag.m4a", "mp4", "aac", {"options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("speech.amr", "amr", "amr_nb", {"rate": 8000, "samples": 24_000, "channels": 1}),
        ("wmav2.wma", "asf", "wmav2", {}),
    ],
)
def test_audio_lasts_as_long_as_it_decodes_to(
    name: str, container: str, codec: str, more: dict[str, Any], tmp_path: Path
) -> None:
    path = write_audio(tmp_path / name, container, codec, **more)
    found = length_of(path, tmp_path)
    assert found.media_duration == pytest.approx(decoded_seconds(path), abs=0.001)
    assert (found.media_type, found.video_resolution, found.has_audio) == ("audio", None, True)


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "libopus"])
def test_mp4_audio_ends_where_its_edit_list_says(codec: str, tmp_path: Path) -> None:
    samples = 144_777
    path = write_audio(
        tmp_path / "edited.mp4", "mp4", codec, rate=48_000, samples=samples, options={"movie_timescale": "48000"}
    )
    assert length_of(path, tmp_path).media_duration == pytest.approx(samples / 48_000, abs=0.0006)


@pytest.mark.parametrize("claimed", [0, 100_000_000, 0xFFFFFFFF])
def test_a_wav_with_a_bogus_data_size_is_as_long_as_its_samples(claimed: int, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "claims.wav", "wav", "pcm_s16le")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = claimed.to_bytes(4, "little")
    path.write_bytes(data)
    assert length_of(path, tmp_path).media_duration == pytest.approx(SECONDS_44100, abs=0.001)


@pytest.mark.parametrize("codec", ["libopus", "vorbis"])
def test_a_chained_ogg_is_as_long_as_all_its_links(codec: str, tmp_path: Path) -> None:
    link = write_audio(tmp_path / "link.ogg", "ogg", codec, rate=48_000, samples=144_777)
    chained = tmp_path / "chained.ogg"
    chained.write_bytes(link.read_bytes() * 2)  # equal serial numbers, as careless tools write them
    assert length_of(chained, tmp_path).media_duration == pytest.approx(decoded_seconds(chained), abs=0.001)


def test_an_ogg_that_goes_on_with_other_channels_says_so(tmp_path: Path) -> None:
    links = [write_audio(tmp_path / f"{n}.ogg", "ogg", "libopus", rate=48_000, channels=n) for n in (2, 1)]
    chained = tmp_path / "chained.ogg"
    chained.write_bytes(b"".join(link.read_bytes() for link in links))
    with pytest.raises(UnsupportedMedia, match="another number of channels"):
        length_of(chained, tmp_path)


def test_a_tagged_mp3_that_was_cut_is_as_long_as_what_is_left(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "cut.mp3", "mp3", "libmp3lame")
    path.write_bytes(path.read_bytes()[:20_000])
    found = length_of(path, tmp_path)
    assert found.media_duration == pytest.approx(decoded_seconds(path), abs=0.03)
    assert found.container_duration == pytest.approx(SECONDS_44100, abs=0.001)


def test_an_ogg_whose_packets_differ_in_length_loses_none(tmp_path: Path) -> None:
    """libvorbis begins with short blocks; what its silent first one lasts is not what the average one does."""
    path, presented = tmp_path / "varied.ogg", 0
    with av.open(str(media_file("crystal.webm").path)) as source, av.open(str(path), "w") as output:
        stream = source.streams.audio[0]
        copy = output.add_stream_from_template(stream)
        for packet in source.demux(stream):
            samples = sum(frame.samples for frame in packet.decode())
            if packet.size:
                packet.stream, packet.time_base = copy, Fraction(1, stream.rate)
                packet.pts = packet.dts = presented
                packet.duration = samples
                output.mux(packet)
            presented += samples
    assert length_of(path, tmp_path).media_duration == pytest.approx(presented / 44_100, abs=0.0006)


def test_an_ogg_that_ends_before_its_last_packet_lasts_no_day(tmp_path: Path) -> None:
    """What is left of the last packet is then below zero, and libavformat has 32 bits without a sign for it."""
    path = tmp_path / "early.ogg"
    with av.open(str(media_file("crystal.webm").path)) as source, av.open(str(path), "w") as output:
        copy = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    with av.open(str(path)) as container:
        assert any((packet.duration or 0) > 1 << 31 for packet in container.demux(audio=0))
    assert length_of(path, tmp_path).media_duration == pytest.approx(decoded_seconds(path), abs=0.01)


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [("a.flac", "flac", "flac"), ("a.wma", "asf", "wmav2"), ("a.wv", "wv", "wavpack")],
)
@pytest.mark.parametrize("share", [0.55, 0.9])
def test_a_sound_that_broke_off_is_as_long_as_what_decodes(
    name: str, container: str, codec: str, share: float, tmp_path: Path
) -> None:
    path = write_audio(tmp_path / name, container, codec, samples=10 * 44_100)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    context = StepContext(tmp_path)
    source = FileSource(path, label="audio_urls[0]")
    joined = stitch_audio(context, [source], [{"source": 0}], output_format="wav")
    assert 10 * share - 1 < joined.output_audio_duration < 10
    assert length_of(path, tmp_path).media_duration == pytest.approx(joined.output_audio_duration, abs=0.0006)


_APE_TAG = b"APETAGEX\xd0\x07\x00\x00" + bytes(120)


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), _APE_TAG, b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)])
@pytest.mark.parametrize(
    ("name", "container", "codec", "more"),
    [
        ("a.mp3", "mp3", "libmp3lame", {"options": {"write_xing": "0"}}),
        ("a.wv", "wv", "wavpack", {}),
        ("a.flac", "flac", "flac", {}),
    ],
)
def test_a_tag_behind_the_sound_adds_nothing(
    name: str, container: str, codec: str, more: dict[str, Any], behind: bytes, tmp_path: Path
) -> None:
    path = write_audio(tmp_path / name, container, codec, **more)
    alone = length_of(path, tmp_path).media_duration
    path.write_bytes(path.read_bytes() + behind)
    assert length_of(path, tmp_path).media_duration == alone


def test_padding_of_adpcm_is_not_counted(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "padded.wav", "wav", "adpcm_ms")
    data = bytearray(path.read_bytes())
    at = data.index(b"fact") + 8
    coded = int.from_bytes(data[at : at + 4], "little")
    data[at : at + 4] = (coded - 700).to_bytes(4, "little")  # as SoX does: the samples that went in
    path.write_bytes(data)
    joined = stitch_audio(
        StepContext(tmp_path), [FileSource(path, label="a")], [{"source": 0}], output_format="wav"
    ).output_audio_duration
    assert length_of(path, tmp_path).media_duration == pytest.approx(joined, abs=0.0006)
    assert joined == pytest.approx((coded - 700) / 44_100, abs=0.0001)


def test_flac_files_glued_together_are_as_long_as_both(tmp_path: Path) -> None:
    parts = [write_audio(tmp_path / f"{n}.flac", "flac", "flac", samples=n) for n in (50_000, 80_001)]
    glued = tmp_path / "glued.flac"
    glued.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert length_of(glued, tmp_path).media_duration == pytest.approx(130_001 / 44_100, abs=0.0006)


def test_an_id3_tag_in_front_changes_nothing(tmp_path: Path) -> None:
    plain = write_audio(tmp_path / "plain.mp3", "mp3", "libmp3lame", options={"write_xing": "0", "id3v2_version": "0"})
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(b"ID3\x04\x00\x00\x00\x00\x10\x00" + bytes(2048) + plain.read_bytes())
    assert length_of(tagged, tmp_path).media_duration == length_of(plain, tmp_path).media_duration


@pytest.mark.parametrize(
    ("name", "container", "more", "seconds"),
    [
        ("plain.mp4", "mp4", {}, 2.4),
        ("fast.mp4", "mp4", {"options": {"movflags": "faststart"}}, 2.4),
        ("plain.mov", "mov", {"codec": "mpeg4", "audio": "pcm_s16le"}, 2.4),
        ("phone.3gp", "3gp", {"codec": "mpeg4", "audio": "aac"}, 2.4),
        ("long_audio.mp4", "mp4", {"audio": "aac", "audio_samples": 288_000}, 6.0),
        ("fragments.mp4", "mp4", {"options": {"movflags": "frag_keyframe+empty_moov"}}, 2.44),
        ("plain.mkv", "matroska", {"audio": "aac"}, 2.4),
        ("pipe.mkv", "matroska", {"audio": "aac", "pipe": True}, 2.4),
        ("pipe.webm", "webm", {"codec": "libvpx", "pipe": True}, 2.4),
        ("offset.ts", "mpegts", {"options": {"output_ts_offset": "5000"}}, 2.4),
        ("program.mpg", "mpeg", {"codec": "mpeg2video"}, 2.4),
        ("plain.flv", "flv", {}, 2.4),
        ("pipe.flv", "flv", {"pipe": True}, 2.4),
        ("pcm.avi", "avi", {"codec": "mpeg4", "audio": "pcm_s16le"}, 2.4),
        ("plain.wmv", "asf", {"codec": "wmv2"}, 2.4),
        ("raw.m4v", "m4v", {"codec": "mpeg4"}, 2.4),
    ],
)
def test_video_lasts_to_its_latest_end(
    name: str, container: str, more: dict[str, Any], seconds: float, tmp_path: Path
) -> None:
    found = length_of(write_video(tmp_path / name, container, **more), tmp_path)
    # fragments.mp4 has no edit list: its first picture stands one frame late, and mp4 counts from zero.
    assert found.media_duration == pytest.approx(seconds, abs=0.0015)
    assert (found.media_type, found.video_resolution) == ("video", "160x120")
    assert found.has_audio == ("audio" in more)


def test_variable_frame_rate_with_reordering_counts_the_last_picture(tmp_path: Path) -> None:
    """`stream.duration` sums durations in decoding order; the last picture shown ends later than that."""
    chance = random.Random(3)
    times = [0]
    for _ in range(59):
        times.append(times[-1] + chance.choice([33, 40, 100, 200]))
    path = write_video(tmp_path / "vfr.mp4", "mp4", milliseconds=times)
    with av.open(str(path)) as container:
        ends = [
            (packet.pts + packet.duration) * packet.time_base
            for packet in container.demux(video=0)
            if packet.pts is not None
        ]
    found = length_of(path, tmp_path)
    assert found.media_duration == pytest.approx(float(max(ends)), abs=0.001)
    assert found.media_duration > times[-1] / 1000
    assert found.container_duration is not None


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_reordering_over_seconds_is_no_new_timeline(container: str, tmp_path: Path) -> None:
    """At one frame a second a B-frame stands seconds behind what is shown after it."""
    path = write_video(tmp_path / "slow", container, rate=1, frames=30)
    assert length_of(path, tmp_path).media_duration == pytest.approx(30, abs=0.001)


@pytest.mark.parametrize("hidden_seconds", [0.3, 0.9, 2.0])
def test_an_edit_list_that_hides_the_last_pictures_shortens(hidden_seconds: float, tmp_path: Path) -> None:
    path = write_video(tmp_path / "trimmed.mp4", "mp4", frames=75)
    path.write_bytes(shortened_edit(hidden_seconds)(path.read_bytes()))
    with av.open(str(path)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert shown < 75
    assert length_of(path, tmp_path).media_duration == pytest.approx(shown / 25, abs=0.001)


@pytest.mark.parametrize("audio_samples", [48_000, 48_000 * 30])
def test_streams_of_unequal_length_have_their_own(audio_samples: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "unequal.mp4", "mp4", frames=500, audio="aac", audio_samples=audio_samples)
    found = length_of(path, tmp_path)
    assert [stream.duration for stream in found.streams] == pytest.approx([20, audio_samples / 48_000], abs=0.03)
    assert found.media_duration == pytest.approx(max(20, audio_samples / 48_000), abs=0.03)


def test_the_last_sound_is_one_frame_long_without_an_edit_list(tmp_path: Path) -> None:
    """Without an edit list the first sound's stored duration covers the gap in front of the next."""
    path = write_video(
        tmp_path / "unedited.mp4", "mp4", audio="aac", audio_samples=115_400, options={"use_editlist": "0"}
    )
    with av.open(str(path)) as container:
        ends = [frame.pts * frame.time_base + Fraction(frame.samples, 48_000) for frame in container.decode(audio=0)]
    assert length_of(path, tmp_path).media_duration == pytest.approx(float(max(ends)), abs=0.001)


@pytest.mark.parametrize(
    ("name", "container", "more"),
    [
        ("tail.flv", "flv", {"audio": "aac"}),
        ("sound.flv", "flv", {"audio": "aac", "audio_samples": 288_000}),
        ("tail.mpg", "mpeg", {"codec": "mpeg2video", "audio": "mp2"}),
        ("tail.ts", "mpegts", {"audio": "aac"}),
        ("tail.wmv", "asf", {"codec": "wmv2", "audio": "wmav2"}),
        ("tail.mkv", "matroska", {"audio": "aac", "audio_samples": 24_000}),
        ("tail.ogv", "ogg", {"codec": "libvpx", "audio": "libopus"}),
        ("fragments.mp4", "mp4", {"audio": "aac", "options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("pieces.mp4", "mp4", {"audio": "aac", "options": {"movflags": "dash+global_sidx", "frag_duration": "200000"}}),
    ],
)
def test_the_end_alone_tells_what_the_whole_file_tells(
    name: str, container: str, more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / name, container, frames=250, **more)
    whole = asdict(length_of(path, tmp_path))
    monkeypatch.setattr(timeline, "_SMALL_BYTES", 0)
    monkeypatch.setattr(tail_seek, "_BACK_BYTES", (32 * 1024,))
    monkeypatch.setattr(timeline, "_TAIL_BYTES", 32 * 1024)
    assert asdict(length_of(path, tmp_path)) == whole


@pytest.mark.parametrize(
    ("name", "container", "codec", "audio"),
    [("a.wmv", "asf", "wmv2", "wmav2"), ("a.nut", "nut", "mpeg4", "vorbis")],
)
def test_a_mute_first_packet_is_not_presented(
    name: str, container: str, codec: str, audio: str, tmp_path: Path
) -> None:
    path = write_video(tmp_path / name, container, codec=codec, audio=audio)
    starts, ends = [], []
    with av.open(str(path)) as opened:
        for frame in opened.decode(video=0, audio=0):
            if frame.pts is None:
                continue
            rate = 48_000 if isinstance(frame, av.AudioFrame) else 25
            length = Fraction(frame.samples if isinstance(frame, av.AudioFrame) else 1, rate)
            starts.append(frame.pts * frame.time_base)
            ends.append(starts[-1] + length)
    assert length_of(path, tmp_path).media_duration == pytest.approx(float(max(ends) - min(starts)), abs=0.012)


def test_an_mp4_that_lost_its_end_is_as_long_as_what_is_left(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.mp4", "mp4", frames=250, options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    found = length_of(path, tmp_path).media_duration
    shown = 0
    with av.open(str(path)) as container, contextlib.suppress(av.error.InvalidDataError):
        for _ in container.decode(video=0):
            shown += 1
    assert 1 < found < 9
    assert found == pytest.approx(shown / 25, abs=0.2)  # the decoder may keep a few reordered pictures at the cut


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("mp3", "libmp3lame"), ("flac", "flac")])
def test_cover_art_does_not_make_a_video(container: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / f"cover.{container}"
    with av.open(str(path), "w", format=container) as output:
        audio = output.add_stream(codec, rate=44100, layout="stereo")
        cover = output.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "rgb24"
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), "rgb24")
        output.mux([*cover.encode(picture), *cover.encode(None)])
        output.mux([*audio.encode(sound(codec, SAMPLES_44100, 44100)), *audio.encode(None)])
    found = length_of(path, tmp_path)
    assert (found.media_type, found.video_resolution, found.frame_rate) == ("audio", None, None)
    assert found.media_codec == {"libmp3lame": "mp3"}.get(codec, codec)
    assert found.media_duration == pytest.approx(SECONDS_44100, abs=0.001)


@pytest.mark.parametrize(("rotation", "shown"), [(0, "240x120"), (90, "80x160"), (180, "240x120"), (-90, "80x160")])
def test_resolution_is_as_displayed(rotation: int, shown: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "turned.mp4", "mp4", rotation=rotation, sample_aspect=Fraction(3, 2))
    found = length_of(path, tmp_path)
    assert found.video_resolution == shown
    assert found.rotation == rotation % 360
    assert found.frame_rate == 25.0


@pytest.mark.parametrize("flags", ["", "faststart"])
def test_a_remote_mp4_of_half_a_gigabyte_costs_its_header(flags: str, tmp_path: Path) -> None:
    options = {"movflags": flags} if flags else None
    path = write_video(tmp_path / "big.mp4", "mp4", frames=250, audio="aac", options=options)
    source = stretched(path.read_bytes(), 500_000_000)
    found = measure(StepContext(tmp_path), source)
    assert found.media_duration == pytest.approx(10.0, abs=0.001)
    assert found.file_size == source.size_bytes
    assert found.duration_method == "container"
    assert source.bytes_read < 0.001 * 500_000_000
    assert source.requests <= 4


def stretched(mp4: bytes, size_bytes: int) -> SparseSource:
    """The same mp4 with a hole behind its samples, inside the same `mdat`."""
    at = mp4.index(b"mdat") - 4
    length = int.from_bytes(mp4[at : at + 4], "big")
    behind = mp4[at + length :]
    end = size_bytes - len(behind)
    head = mp4[:at] + (end - at).to_bytes(4, "big") + mp4[at + 4 : at + length]
    return SparseSource({0: head, end: behind}, size_bytes)


@pytest.mark.parametrize("says_length", [True, False])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.mp4", lambda path: write_video(path, "mp4", audio="aac")),
        ("a.mkv", lambda path: write_video(path, "matroska", audio="aac")),
        ("a.ts", lambda path: write_video(path, "mpegts", frames=500)),
        ("a.opus", lambda path: write_audio(path, "ogg", "libopus", rate=48_000)),
        ("a.wav", lambda path: write_audio(path, "wav", "pcm_s16le", samples=441_000)),
    ],
)
def test_remote_and_local_agree(name: str, make: Callable[[Path], Path], says_length: bool, tmp_path: Path) -> None:
    path = make(tmp_path / name)
    remote = RemoteSource(path.read_bytes(), says_length=says_length)
    assert asdict(measure(StepContext(tmp_path), remote)) == asdict(length_of(path, tmp_path))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>" * 20, "HTML"),
        (b'{"error": "not found"}', "JSON"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "PNG"),
        (b"Just some words, no music.\n" * 100, "text"),
        (bytes(20_000), "file"),
        (random.Random(1).randbytes(50_000), "file"),
    ],
)
def test_what_is_no_medium_is_refused_by_name(data: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMedia, match=words) as caught:
        measure(StepContext(tmp_path), RemoteSource(data))
    assert caught.value.word == "unsupported_format"
    assert caught.value.input_name == "media_url"


def test_a_source_that_breaks_keeps_its_own_error(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "long.mp3", "mp3", "libmp3lame", samples=44100 * 60, options={"write_xing": "0"})
    with pytest.raises(SourceUnavailable) as caught:
        measure(StepContext(tmp_path), RemoteSource(path.read_bytes(), fails_behind=300_000))
    assert caught.value.retryable


def test_hdr_and_rotation_of_real_files(tmp_path: Path) -> None:
    turned = length_of(media_file("input_3sec_rotation_90deg.mp4").path, tmp_path)
    assert turned.video_resolution == "720x1280"
    hdr = length_of(media_file("hdr10-av1.mp4").path, tmp_path)
    assert (hdr.media_codec, hdr.media_sample_rate) == ("av1", 48_000)


def test_theora_that_ends_in_an_empty_packet(tmp_path: Path) -> None:
    """As VLC ends it: a last page with a packet of no bytes, at the time of the last picture."""
    path = tmp_path / "clip.ogv"
    wanted = ["-f", "lavfi", "-i", "testsrc2=s=160x96:r=25:d=1", "-c:v", "libtheora", str(path)]
    subprocess.run([needed("ffmpeg"), "-v", "error", *wanted], check=True, timeout=60)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"OggS")
    data[at + 5] &= ~4  # no longer the last page
    data[at + 22 : at + 26] = ogg_crc(data[at:])
    page = bytearray(data[at : at + 27]) + b"\0"
    page[5] = 4
    page[18:22] = struct.pack("<I", struct.unpack_from("<I", page, 18)[0] + 1)
    page[26] = 1
    page[22:26] = ogg_crc(page)
    path.write_bytes(data + page)
    assert length_of(path, tmp_path).media_duration == pytest.approx(1.0)


def ogg_crc(page: bytes) -> bytes:
    """RFC 3533 section 6: polynomial 0x04c11db7, nothing inverted, the field itself taken as zero."""
    crc = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return struct.pack("<I", crc)
