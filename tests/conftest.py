"""What tests of the running product share: one suite and one server of sources for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.clips import ClipRecipe, make_clip
from tests.support.http_server import NastyServer
from tests.support.suite import RunningSuite


@dataclass(frozen=True)
class Sources:
    """Small media on a well-behaved server; `server` takes the ones that are not.

    Attributes:
        video, other_video: one second each, 30 frames, with sound, 160x96.
        speech, music: WAV and MP3 of about a second.
    """

    server: NastyServer
    files: dict[str, Path]
    video: str
    other_video: str
    speech: str
    music: str


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    folder = tmp_path_factory.mktemp("sources")
    files = {
        "video": make_clip(folder / "video.mp4", ClipRecipe(hue=40)),
        "other_video": make_clip(folder / "other.mp4", ClipRecipe(hue=200)),
        "speech": _sound(folder / "speech.wav", "pcm_s16le", 1.0),
        "music": _sound(folder / "music.mp3", "libmp3lame", 1.5),
    }
    with NastyServer() as server:
        urls = {name: server.serve(f"/{path.name}", path) for name, path in files.items()}
        yield Sources(server, files, **urls)


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """One running suite; tests must leave no setting or source of theirs in another's way."""
    with RunningSuite(tmp_path_factory.mktemp("suite") / "data", webhook_retry_seconds="0.2,0.4,0.8") as running:
        yield running


def _sound(path: Path, codec: str, seconds: float) -> Path:
    import av
    import numpy as np

    rate = 44100
    count = round(seconds * rate)
    wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(count) / rate)).astype(np.int16)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None, :], format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            stream.codec_context.format, "mono", rate, stream.codec_context.frame_size or None
        )
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return path
