"""Every kind of job as one call on a decoder pool, with the hostile file in each place that takes one."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.assembly.assemble import assemble
from services.audio.mix_music import mix_music
from services.audio.stitch_audio import stitch_audio
from services.frames.last_frame import extract
from services.probe.length import measure
from services.stitch.stitch import stitch
from shared.jobs.child import ChildPool, LocalSource
from tests.security.attack_files import honest, honest_sound

PRELOAD = [
    "services.assembly.assemble",
    "services.audio.mix_music",
    "services.audio.stitch_audio",
    "services.frames.last_frame",
    "services.probe.length",
    "services.stitch.stitch",
]


def step_and_arguments(
    kind: str, bad: LocalSource, video: LocalSource, sound: LocalSource
) -> tuple[Any, Mapping[str, Any]]:
    match kind:
        case "length":
            return measure, {"source": bad}
        case "last_frame":
            return extract, {"source": bad}
        case "stitch":
            return stitch, {"sources": [video, bad]}
        case "audio_stitch":
            return stitch_audio, {"sources": [sound, bad], "parts": [{"source": 0}, {"source": 1}]}
        case "music_video":
            return mix_music, {"video": bad, "music": sound}
        case "music_sound":
            return mix_music, {"video": video, "music": bad}
        case "assembly_scene":
            return assemble, {"scenes": [video, bad], "master": sound}
        case "assembly_master":
            return assemble, {"scenes": [video], "master": bad}
    raise ValueError(kind)


class Bench:
    """Honest inputs beside the hostile ones, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "video.mp4").write_bytes(honest())
        (folder / "sound.wav").write_bytes(honest_sound())
        self.video = LocalSource(folder / "video.mp4", "video")
        self.sound = LocalSource(folder / "sound.wav", "sound")

    async def run(
        self, pool: ChildPool, kind: str, path: Path, *, deadline_seconds: float, max_duration_seconds: float = 600.0
    ) -> None:
        """Runs one job on the file at `path` in a scratch directory of its own, which is deleted afterwards.

        Raises:
            LastFrameError: how the job ended, unless it finished.
        """
        scratch = self.folder / f"scratch-{uuid.uuid4().hex}"
        scratch.mkdir()
        step, arguments = step_and_arguments(kind, LocalSource(path, "hostile"), self.video, self.sound)
        try:
            await pool.run(
                step,
                arguments=arguments,
                scratch=scratch,
                deadline_seconds=deadline_seconds,
                max_duration_seconds=max_duration_seconds,
                threads=1,
            )
        finally:
            shutil.rmtree(scratch)
