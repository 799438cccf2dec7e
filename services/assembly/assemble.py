"""Scenes and a master audio become a movie: the media step of `POST /api/v1/video/assemble-movie`.

Each scene is demuxed once; its packets go into two mp4 files. The master audio is decoded once; its samples go to an
AAC and an MP3 encoder, each in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.assembly.background import BackgroundWriter
from services.assembly.master_audio import in_stereo, master_blocks
from services.assembly.plan import MP3, FileSizes, Planned, plan_movie
from shared.media.audio import Block
from shared.media.audio.writer import AudioWriter
from shared.media.join.ahead import ahead
from shared.media.join.look import read_wishes
from shared.media.join.movie import Output, write_join
from shared.media.join.sound import SoundTrack
from shared.media.source import ByteSource
from shared.media.step import AcceleratorUse, StepContext

FULL_VIDEO, VIDEO_ONLY, AUDIO_ONLY = "full.mp4", "video_only.mp4", "audio_only.mp3"
_BLOCKS_AHEAD: Final = 8


@dataclass(frozen=True)
class Assembly(Planned):
    """A movie that was made: what `Planned` said, and the results; file names are in the scratch directory.

    Attributes:
        file_sizes: bytes.
        accelerator: what re-encoded it on a GPU worker.
    """

    full_video: str
    video_only: str
    audio_only: str
    file_sizes: FileSizes
    accelerator: AcceleratorUse | None = None


def assemble(
    context: StepContext,
    scenes: Sequence[ByteSource],
    master: ByteSource,
    *,
    quality: str = "high",
    resolution: str | None = None,
    audio_sync_mode: str = "stretch_to_fit",
    include_audio: bool = True,
    expected_scene_seconds: Sequence[float | None] = (),
    expected_audio_seconds: float | None = None,
) -> Assembly:
    """Write `FULL_VIDEO`, `VIDEO_ONLY` and `AUDIO_ONLY` into `context.scratch`.

    Args:
        scenes: 1 to 20 in playing order, best local (each is read two or three times); errors carry their labels.
        master: the sound of the whole movie; the scenes' own sound is not used.
        quality: `low`, `medium` or `high`: of scenes that must be encoded, and of the MP3.
        resolution: `source` or None, `480p`, `720p`, `1080p`, `1440p`, `4k`; letterboxed.
        audio_sync_mode: see `plan_sync`.
        include_audio: False makes the full video mute; the MP3 is written all the same.
        expected_scene_seconds: one a scene, None where nothing was expected.

    Raises:
        InvalidRequest: an option that does not exist, too few or too many scenes.
        ProcessingFailed: `audio_sync_failed`.
        LimitExceeded: a scene too long or too large, or (in mode `none`) audio longer than any movie may be.
        LastFrameError: an input that cannot be used; it names the input.
    """
    movie = plan_movie(context, scenes, master, read_wishes("auto", resolution, None, quality), audio_sync_mode)
    joined, sound, sync = movie.picture, movie.sound, movie.sync
    full, silent, mp3 = (context.scratch / name for name in (FULL_VIDEO, VIDEO_ONLY, AUDIO_ONLY))
    outputs = [Output(full, with_sound=include_audio), Output(silent, with_sound=False)]
    writer = AudioWriter(mp3, MP3, sound.sample_rate, movie.mp3_channels, bitrate=movie.mp3_bitrate)
    with ahead(master_blocks(sound, sync), _BLOCKS_AHEAD) as blocks, BackgroundWriter(writer) as audio_only:
        heard = _both(blocks, audio_only, sound.channels)
        # Index room for sound that turns out longer than measured, in the one mode that does not cut it.
        most_samples = sync.samples if sync.is_exact else sync.samples + sound.sample_rate * 10
        track = SoundTrack(sound.sample_rate, sound.channels, most_samples, heard) if include_audio else None
        written = write_join(joined, outputs, context, track)
        for _ in heard:  # what no AAC encoder pulled: all of it in a mute movie
            pass

    planned = movie.planned(expected_scene_seconds, expected_audio_seconds)
    done = {"frames": written.frames, "samples": writer.samples, "warnings": [*planned.warnings, *written.warnings]}
    return Assembly(
        **{**vars(planned), **done},
        full_video=FULL_VIDEO,
        video_only=VIDEO_ONLY,
        audio_only=AUDIO_ONLY,
        file_sizes={
            "full_video": full.stat().st_size,
            "video_only": silent.stat().st_size,
            "audio_only": mp3.stat().st_size,
        },
        accelerator=written.accelerator,
    )


def _both(blocks: Iterator[Block], audio_only: BackgroundWriter, channels: int) -> Iterator[Block]:
    """Pass the blocks on, having given them to the MP3 (in stereo at most) first."""
    for block in blocks:
        audio_only.write(block if channels <= MP3.most_channels else in_stereo(block))
        yield block
