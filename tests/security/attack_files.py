"""Files that a stranger might send: references to other places, bombs, lies and rubbish. All are made here, small."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np

from tests.support.clips import ClipRecipe, make_clip

KINDS = (
    "length",
    "last_frame",
    "stitch",
    "audio_stitch",
    "music_video",
    "music_sound",
    "assembly_scene",
    "assembly_master",
)
ALL = frozenset(KINDS)
NONE: frozenset[str] = frozenset()
NOT_DECODED = frozenset({"length", "music_video"})  # one reads headers, the other copies the picture


@dataclass(frozen=True)
class Attack:
    """One hostile file.

    Attributes:
        finishes: kinds of jobs that may finish with it, because they find an honest reading or never decode what is
            hostile; every other kind must fail.
        extension: what its name claims.
    """

    name: str
    body: bytes
    finishes: frozenset[str] = NONE
    extension: str = "mp4"

    def __repr__(self) -> str:
        return self.name


# Honest media ----------------------------------------------------------------------------------------------------


@cache
def honest(suffix: str = ".mp4") -> bytes:
    """A second of picture and sound; for flv and ts with their usual codecs."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{suffix}"
        return make_clip(path, ClipRecipe(frames=24)).read_bytes()


@cache
def honest_sound() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=16000, layout="mono")
        wave = (8000 * np.sin(np.arange(16000) * 0.17)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


# References to other places --------------------------------------------------------------------------------------


def references(path: Path, url: str) -> Iterator[Attack]:
    """Files that name a local file (a good video, so that following it would succeed) and another host."""
    places = {
        "file": path.as_uri(),
        "path": str(path),
        "http": url,
        "crypto": f"crypto+{path.as_uri()}",
        "subfile": f"subfile,,start,0,end,0,,:{path}",
    }
    for label, place in places.items():
        hls = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\n{place}\n#EXT-X-ENDLIST\n"
        yield Attack(f"hls-{label}", hls.encode(), extension="m3u8")
        yield Attack(f"concat-{label}", f"ffconcat version 1.0\nfile '{place}'\nduration 1\n".encode())
    keyed = f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{path.as_uri()}"\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n'
    yield Attack("hls-key", keyed.encode(), extension="m3u8")
    yield Attack("hls-master", f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}\n".encode())
    yield Attack("hls-behind-id3", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + keyed.encode(), extension="mp3")
    host, _, port = url.split("/")[2].partition(":")
    sdp = (
        f"v=0\no=- 0 0 IN IP4 {host}\ns=x\nc=IN IP4 {host}\nt=0 0\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )
    yield Attack("sdp", sdp.encode())
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
        f'<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{path.as_uri()}'
        "</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    yield Attack("dash", dash.encode(), extension="mpd")
    entity = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "{path.as_uri()}">]><svg>&y;<image href="{url}"/></svg>'
    )
    yield Attack("svg-entity", entity.encode())
    vobsub = "# VobSub index file, v7 (do not modify this line!)\nsize: 720x576\nid: en, index: 0\n"
    yield Attack("vobsub", (vobsub + "timestamp: 00:00:00:100, filepos: 000000000\n").encode(), extension="idx")
    yield Attack("pls", f"[playlist]\nFile1={url}\nNumberOfEntries=1\n".encode())
    yield Attack("asx", f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>'.encode(), extension="asf")
    yield Attack("rtsp-text", f"RTSPtextRTSP://{host}:{port}/x\n".encode())
    yield Attack("mov-dref-alias", with_data_reference(alias_entry(path)), extension="mov")
    yield Attack("mov-dref-url", with_data_reference(box(b"url ", bytes(4) + url.encode() + b"\0")), NOT_DECODED, "mov")
    yield Attack("mov-reference-movie", reference_movie(url), extension="mov")


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def alias_entry(path: Path) -> bytes:
    """A data reference of type `alis` with an absolute path, as mov.c reads it."""
    name = path.name.encode()[:63]
    head = bytes(10) + bytes([4]) + b"disk".ljust(27, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0")
    levels = bytes(16) + struct.pack(">HH", 0, 0) + bytes(16)
    target = str(path).encode()
    target += b"\0" * (len(target) % 2)
    return box(b"alis", bytes(4) + head + levels + struct.pack(">HH", 2, len(target)) + target + b"\xff\xff\0\0")


def with_data_reference(entry: bytes) -> bytes:
    """The honest clip, its samples wiped, whose tracks say that the samples are elsewhere."""
    data = bytearray(honest(".mov"))
    start = data.find(b"mdat") + 4
    data[start : data.find(b"moov") - 4] = bytes(data.find(b"moov") - 4 - start)
    at = 0
    while (at := data.find(b"dref", at)) >= 0:
        old = struct.unpack_from(">I", data, at - 4)[0]
        new = box(b"dref", bytes(4) + struct.pack(">I", 1) + entry)
        for parent in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
            where = data.rfind(parent, 0, at) - 4
            struct.pack_into(">I", data, where, struct.unpack_from(">I", data, where)[0] + len(new) - old)
        data[at - 4 : at - 4 + old] = new
        at += len(new)
    return bytes(data)


def reference_movie(url: str) -> bytes:
    location = bytes(4) + b"url " + struct.pack(">I", len(url) + 1) + url.encode() + b"\0"
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"rmra", box(b"rmda", box(b"rdrf", location))))


# Bombs -----------------------------------------------------------------------------------------------------------


def bombs() -> Iterator[Attack]:
    yield Attack(
        "pixels-vp8",
        ivf(b"VP80", b"\x10\x02\0\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(200)),
        finishes=NOT_DECODED,
        extension="ivf",
    )
    yield Attack(
        "pixels-gif", b"GIF89a\xff\xff\xff\xff\xf7\0\0" + bytes(768) + GIF_FRAME, finishes=NOT_DECODED, extension="gif"
    )
    yield Attack("pixels-apng", apng(60000, 60000), extension="png")
    yield Attack("pixels-mjpeg", huge_jpeg(), finishes=NOT_DECODED, extension="avi")
    yield Attack("samples-adts", endless_adts(), finishes=ALL, extension="aac")
    yield Attack("samples-wav", endless_wav(), finishes=ALL, extension="wav")
    yield Attack("streams-mov-10000", many_tracks(10_000))
    yield Attack("streams-ts", many_programs(), extension="ts")
    yield Attack("table-counts", lying_tables())
    yield Attack("frame-lasts-days", with_stts_delta(0x7FFFFFFF), finishes=ALL)
    yield Attack("edit-lasts-days", with_edit_of_days(), finishes=ALL)
    yield Attack("timescale-one", with_timescale(1), finishes=ALL)
    yield Attack("timescale-huge", with_timescale(0xFFFFFFFF), finishes=ALL)
    yield Attack("nested-boxes", nested(b"moov", 50_000))
    yield Attack("nested-tracks", box(b"ftyp", b"isom\0\0\2\0isom") + nested(b"trak", 50_000))
    yield Attack("nested-ebml", nested_ebml())
    yield Attack("zip-bomb", zip_bomb())
    yield Attack("gzip-bomb", gzip.compress(bytes(8_000_000)))


GIF_FRAME = b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x08\x0b\0\x51\xfc\x1b\x28\x70\xa0\xc1\x83\x01\x01\0\x3b"


def ivf(codec: bytes, frame: bytes) -> bytes:
    head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, codec, 16383, 16383, 30, 1, 1, 0)
    return head + struct.pack("<IQ", len(frame), 0) + frame


def apng(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    control = struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 30, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"acTL", struct.pack(">II", 1, 0))
        + chunk(b"fcTL", control)
        + chunk(b"IDAT", zlib.compress(bytes(8_000_000)))
        + chunk(b"IEND", b"")
    )


@cache
def huge_jpeg() -> bytes:
    """An AVI of one small JPEG that says it is 65500 pixels wide and high."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi") as output:
        stream = output.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((96, 64), 90 + index, np.uint8), format="yuv420p")
            output.mux(stream.encode(frame.reformat(format="yuvj420p")))
        output.mux(stream.encode(None))
    data = bytearray(buffer.getvalue())
    at = 0
    while (at := data.find(b"\xff\xc0\0\x11\x08", at)) >= 0:
        struct.pack_into(">HH", data, at + 5, 65500, 65500)
        at += 9
    return bytes(data)


def endless_adts() -> bytes:
    """Two hours of silence at 8 kHz in half a megabyte: the last frame of a short file, again and again."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="adts") as output:
        stream = output.add_stream("aac", rate=8000, layout="mono")
        for index in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, index * 1024
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    data = buffer.getvalue()
    starts = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] & 0xF6 == 0xF0]
    return data + data[starts[-1] :] * 60_000


def endless_wav() -> bytes:
    """A header that promises 24 days of sound at 1 kHz, and two megabytes of it."""
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, 1000, 1000, 1, 8, b"data",
                       0xFFFFFFF0)  # fmt: skip
    return head + b"\x80" * 2_000_000


@cache
def _honest_parts() -> tuple[bytes, bytes]:
    """The honest mp4 without its index, and the index."""
    data = honest()
    at = data.find(b"moov") - 4
    size = struct.unpack_from(">I", data, at)[0]
    return data[:at] + data[at + size :], data[at : at + size]


def many_tracks(count: int) -> bytes:
    rest, moov = _honest_parts()
    at = moov.find(b"trak") - 4
    track = moov[at : at + struct.unpack_from(">I", moov, at)[0]]
    return rest + box(b"moov", moov[8:] + track * count)


def many_programs() -> bytes:
    """A transport stream with 400 programs of 20 streams each."""

    def section(pid: int, table: int, identifier: int, payload: bytes) -> bytes:
        body = bytes([table]) + struct.pack(">HHBBB", 0xB000 | (len(payload) + 9), identifier, 0xC1, 0, 0) + payload
        body += struct.pack(">I", mpeg_crc(body))
        return struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10) + b"\0" + body.ljust(183, b"\xff")

    packets = []
    programs = [(number + 1, 0x100 + number) for number in range(400)]
    for start in range(0, len(programs), 40):
        packets.append(
            section(0, 0, 1, b"".join(struct.pack(">HH", n, 0xE000 | pid) for n, pid in programs[start:][:40]))
        )
    for number, pid in programs:
        streams = b"".join(
            struct.pack(">BHH", 0x1B, 0xE000 | (0x400 + (number * 20 + k) % 0x1B00), 0xF000) for k in range(20)
        )
        packets.append(section(pid, 2, number, struct.pack(">HH", 0xFFFF, 0xF000) + streams))
    return b"".join(packets) * 20


def mpeg_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


def _patched(kind: bytes, change: Callable[[bytearray, int], None]) -> bytes:
    """The honest mp4, with `change(data, offset of the payload)` made to every box of this kind."""
    data = bytearray(honest())
    at = 0
    while (at := data.find(kind, at)) >= 0:
        change(data, at + 4)
        at += 4
    return bytes(data)


def lying_tables() -> bytes:
    """Sample tables that claim four thousand million entries."""

    def claim(data: bytearray, at: int) -> None:
        struct.pack_into(">I", data, at + 4, 0xFFFFFFFF)

    data = _patched(b"stts", claim)
    for kind, offset in ((b"stsz", 8), (b"stco", 4), (b"ctts", 4), (b"stsc", 4)):
        at = 0
        changed = bytearray(data)
        while (at := changed.find(kind, at)) >= 0:
            struct.pack_into(">I", changed, at + 4 + offset, 0xFFFFFFFF)
            at += 4
        data = bytes(changed)
    return data


def with_stts_delta(delta: int) -> bytes:
    return _patched(b"stts", lambda data, at: struct.pack_into(">I", data, at + 12, delta))


def with_edit_of_days() -> bytes:
    """The first edit of each track is empty and lasts 24 days."""

    def change(data: bytearray, at: int) -> None:
        struct.pack_into(">Ii", data, at + 8, 0x7FFFFFFF, -1)

    return _patched(b"elst", change)


def with_timescale(scale: int) -> bytes:
    return _patched(b"mdhd", lambda data, at: struct.pack_into(">I", data, at + 12, scale))


def nested(kind: bytes, depth: int) -> bytes:
    return b"".join(struct.pack(">I4s", 8 * (depth - level), kind) for level in range(depth))


def nested_ebml() -> bytes:
    """An EBML head, then a segment of tag elements, each inside the one before, all of unknown size."""
    head = bytes.fromhex("1a45dfa3934282886d6174726f736b61428781044285810218538067 01ffffffffffffff".replace(" ", ""))
    return (
        head
        + bytes.fromhex("1254c367 01ffffffffffffff 7373 01ffffffffffffff".replace(" ", ""))
        + (bytes.fromhex("67c8 01ffffffffffffff".replace(" ", "")) * 20_000)
    )


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("video.mp4", bytes(20_000_000))
    return buffer.getvalue()


# Clocks that lie -------------------------------------------------------------------------------------------------


CLOCKS: dict[str, Callable[[int, int], int]] = {
    "time-backwards": lambda time, index: max(0, 100_000 - 40 * index),
    "time-jumps-24-days": lambda time, index: time if index < 20 else 0x7FFF0000 + time,
    "time-wraps": lambda time, index: (0xFFFFFF00 + time) & 0xFFFFFFFF,
    "time-stands-still": lambda time, index: 7,
    "time-random": lambda time, index: random.Random(index).randrange(2**32),
}


def clocks() -> Iterator[Attack]:
    for name, change in CLOCKS.items():
        yield Attack(name, with_flv_times(change), ALL, "flv")
    yield Attack("ts-endless-loop", honest(".ts") * 40, ALL, "ts")


def with_flv_times(change: Callable[[int, int], int]) -> bytes:
    """The honest clip as FLV, each tag's time replaced by `change(time in ms, number of the tag)`."""
    with TemporaryDirectory() as folder:
        recipe = ClipRecipe(frames=24, sample_rate=44100)
        data = bytearray(make_clip(Path(folder) / "clip.flv", recipe).read_bytes())
    at, index = 13, 0
    while at + 11 <= len(data):
        kind, size, low, high = data[at], int.from_bytes(data[at + 1 : at + 4]), data[at + 4 : at + 7], data[at + 7]
        if kind in (8, 9):
            time = change(high << 24 | int.from_bytes(low), index)
            data[at + 4 : at + 7], data[at + 7] = (time & 0xFFFFFF).to_bytes(3), time >> 24 & 0xFF
            index += 1
        at += 11 + size + 4
    return bytes(data)


# Rubbish ---------------------------------------------------------------------------------------------------------


def rubbish() -> Iterator[Attack]:
    noise = random.Random(7)
    yield Attack("empty", b"")
    yield Attack("one-byte", b"\0")
    yield Attack("zeros", bytes(1_000_000))
    yield Attack("noise", noise.randbytes(300_000))
    yield Attack("noise-behind-ftyp", honest()[:32] + noise.randbytes(300_000))
    yield Attack("noise-behind-ebml", bytes.fromhex("1a45dfa3") + noise.randbytes(300_000), extension="mkv")
    yield Attack("noise-behind-riff", b"RIFF\xff\xff\xff\xffAVI LIST" + noise.randbytes(300_000), extension="avi")
    yield Attack("cut-before-index", honest()[: len(honest()) // 2])
    yield Attack("zeroed-samples", zeroed_samples(), finishes=ALL)
    yield Attack("html", b"<!doctype html><html><body>Not Found</body></html>")
    yield Attack("json", b'{"error": "AccessDenied"}')
    yield Attack("elf", b"\x7fELF\x02\x01\x01" + bytes(4000))
    yield Attack("script", b"#!/bin/sh\nrm -rf /\n")
    yield Attack("subtitles", b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n")
    yield Attack("negative-sizes", box(b"ftyp", b"isom\0\0\2\0isom") + struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1))


def zeroed_samples() -> bytes:
    data = bytearray(honest())
    start = data.find(b"mdat") + 4
    end = start - 8 + struct.unpack_from(">I", data, start - 8)[0]
    data[start:end] = bytes(end - start)
    return bytes(data)


def every_attack(path: Path, url: str) -> list[Attack]:
    return [*references(path, url), *bombs(), *clocks(), *rubbish()]
