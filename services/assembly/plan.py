"""What an assembly will do, decided before anything is written: the picture's join, the sound's length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Literal

from typing_extensions import TypedDict  # pydantic refuses typing.TypedDict before Python 3.12

from services.assembly.master_audio import MasterAudio, measure_master
from services.assembly.sync import SyncPlan, plan_sync
from shared.errors import InvalidRequest, LimitExceeded
from shared.media.audio.formats import FORMATS
from shared.media.join.clip import Clip, read_clip
from shared.media.join.look import Wishes, read_wishes
from shared.media.join.plan import JoinPlan, plan_join
from shared.media.join.report import Copied, Reencoded, copied, reencoded
from shared.media.join.sound import AAC
from shared.media.rates import (
    SOUND_SECONDS_PER_SECOND,
    Estimate,
    aac_bytes,
    audio_file_bytes,
    estimate,
    join_bytes,
    join_seconds,
)
from shared.media.source import ByteSource
from shared.media.step import StepContext

FEWEST_SCENES, MOST_SCENES = 1, 20
TOLERATED_DIFFERENCE_SECONDS: Final = 0.5
"""Between an expected and a measured duration; more is reported."""
MP3: Final = FORMATS["mp3"]
_MP3_SHARE: Final = {"low": Fraction(2, 3), "medium": Fraction(5, 6), "high": Fraction(1)}

AudioSync = Literal["as it is", "slower", "faster", "cut", "followed by silence"]


class FileSizes(TypedDict):
    full_video: int
    video_only: int
    audio_only: int


@dataclass(frozen=True)
class Planned:
    """What an assembly will do, known before it is done.

    Attributes:
        total_scenes: as many as were sent.
        total_video_duration: seconds of picture in the movie.
        audio_duration: seconds of the master as found.
        output_resolution: of the movie as shown, `1920x1080`.
        audio_stretch_ratio: new length of the audio over its old one; 1.0 where its tempo is not touched.
        frames: pictures in either video.
        samples: per channel in the MP3 (and in the full video's sound).
        copied: which scenes go through untouched.
        reencoded: which scenes do not, and why, in words.
        warnings: expected durations that are missed, and whatever else is not as asked.
    """

    total_scenes: int
    total_video_duration: float
    audio_duration: float
    output_resolution: str
    audio_stretch_ratio: float
    frames: int
    samples: int
    copied: list[Copied]
    reencoded: list[Reencoded]
    warnings: list[str]


@dataclass(frozen=True)
class MoviePlan:
    """An assembly, decided."""

    clips: tuple[Clip, ...]
    picture: JoinPlan
    sound: MasterAudio
    sync: SyncPlan

    @property
    def mp3_channels(self) -> int:
        return min(self.sound.channels, MP3.most_channels)

    @property
    def mp3_bitrate(self) -> int | None:
        """Bit/s, by the quality asked for."""
        bitrate = MP3.default_bitrate(self.sound.sample_rate, self.mp3_channels)
        return 8000 * round(bitrate * _MP3_SHARE[self.picture.quality] / 8000) if bitrate else None

    def planned(self, expected_scene_seconds: Sequence[float | None], expected_audio_seconds: float | None) -> Planned:
        """For whoever asked; what was expected as in `assemble`."""
        width, height = self.picture.display_size
        return Planned(
            total_scenes=len(self.clips),
            total_video_duration=round(float(self.picture.duration), 3),
            audio_duration=round(float(self.sound.seconds), 3),
            output_resolution=f"{width}x{height}",
            audio_stretch_ratio=self.sync.stretch_ratio,
            frames=self.picture.frames,
            samples=self.sync.samples,
            copied=copied(self.picture),
            reencoded=reencoded(self.picture),
            warnings=[
                *self._unexpected(expected_scene_seconds, expected_audio_seconds),
                *self.picture.warnings,
                *([self.sync.warning] if self.sync.warning else []),
            ],
        )

    def _unexpected(self, scenes: Sequence[float | None], audio: float | None) -> list[str]:
        """A sentence for each expected duration that was missed, in seconds; None where nothing was expected."""
        pairs = [(clip.label, expected, clip.duration) for clip, expected in zip(self.clips, scenes, strict=False)]
        pairs.append((self.sound.source.label, audio, self.sound.seconds))
        return [
            f"{label}: {expected:.3f} s were expected, {float(found):.3f} s were found"
            for label, expected, found in pairs
            if expected is not None and abs(expected - float(found)) > TOLERATED_DIFFERENCE_SECONDS
        ]


@dataclass(frozen=True)
class AssemblyPlan(Planned, Estimate):
    """What `Planned` says, and what it will cost.

    Attributes:
        audio_sync: what happens to the master audio; `slower` and `faster` by `audio_stretch_ratio`, pitch kept.
        estimated_file_sizes: bytes.
    """

    audio_sync: AudioSync
    estimated_file_sizes: FileSizes


def plan_movie(
    context: StepContext,
    scenes: Sequence[ByteSource],
    master: ByteSource,
    wishes: Wishes,
    audio_sync_mode: str,
    *,
    sparsely: bool = False,
) -> MoviePlan:
    """Measure everything and decide.

    Args:
        sparsely: see `read_clip`.

    Raises:
        see `assemble`.
    """
    if not FEWEST_SCENES <= len(scenes) <= MOST_SCENES:
        raise InvalidRequest("1 to 20 scenes are needed", input_name="scene_videos")
    sound = measure_master(master)
    clips: list[Clip] = []
    for index, scene in enumerate(scenes):
        context.progress("reading", index / len(scenes))
        clips.append(replace(read_clip(index, scene, context, sparsely=sparsely), sound=None))
    picture = plan_join(clips, wishes)
    sync = plan_sync(audio_sync_mode, sound.seconds, picture.duration, sound.sample_rate)
    limit = (context.max_duration_seconds or 0) * MOST_SCENES
    if limit and sync.samples > limit * sound.sample_rate:
        raise LimitExceeded(
            f"the master audio lasts {float(sound.seconds):.3f} s; at most {limit:g} s are allowed",
            word="duration_too_long",
            input_name=master.label,
        )
    return MoviePlan(tuple(clips), picture, sound, sync)


def plan(
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
) -> AssemblyPlan:
    """What `assemble` would do, without writing anything, from as few bytes as tell. Raises what `assemble` raises."""
    wishes = read_wishes("auto", resolution, None, quality)
    movie = plan_movie(context, scenes, master, wishes, audio_sync_mode, sparsely=True)
    sizes = _file_sizes(movie, with_sound=include_audio)
    # The two run side by side.
    work = max(join_seconds(movie.picture), float(movie.sound.seconds) * SOUND_SECONDS_PER_SECOND)
    cost = estimate(
        work,
        sources=len(scenes) + 1,
        fetched=sum(source.size_bytes or 0 for source in (*scenes, master)),
        stored=sizes["full_video"] + sizes["video_only"] + sizes["audio_only"],
    )
    return AssemblyPlan(
        **vars(movie.planned(expected_scene_seconds, expected_audio_seconds)),
        **vars(cost),
        audio_sync=_audio_sync(movie),
        estimated_file_sizes=sizes,
    )


def _audio_sync(movie: MoviePlan) -> AudioSync:
    if movie.sync.tempo != 1:
        return "slower" if movie.sync.tempo < 1 else "faster"
    difference = movie.sync.samples - round(movie.sound.seconds * movie.sound.sample_rate)
    if not difference:
        return "as it is"
    return "followed by silence" if difference > 0 else "cut"


def _file_sizes(movie: MoviePlan, *, with_sound: bool) -> FileSizes:
    picture, (rate, channels) = join_bytes(movie.picture), (movie.sound.sample_rate, movie.sound.channels)
    samples = movie.sync.samples
    aac = aac_bytes(samples, rate, AAC.default_bitrate(rate, channels) or 0) if with_sound else 0
    mp3 = audio_file_bytes(MP3, samples, rate, movie.mp3_channels, bitrate=movie.mp3_bitrate, bits_per_sample=16)
    return {"full_video": picture + aac, "video_only": picture, "audio_only": mp3}
