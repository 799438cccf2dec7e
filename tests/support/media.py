"""The real media files beside the repository, with the truth that their manifest tells."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "media"


@dataclass(frozen=True)
class MediaFile:
    """One row of the manifest; seconds are on the presentation timeline, None where the row is empty."""

    path: Path
    kind: str
    """`video` or `audio`."""
    frames: int
    """Decoded frames of the first real video stream; 0 for audio files."""
    last_pts_seconds: float | None
    last_frame_native_md5: str
    last_frame_rgb24_md5: str
    rotation_degrees: int
    duration_container_seconds: float | None
    duration_true_seconds: float | None
    video_start_seconds: float | None
    video_end_seconds: float | None
    audio_start_seconds: float | None
    audio_end_seconds: float | None
    traits: str

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def last_frame_png(self) -> Path:
        """The picture of the true last frame, by full decode (videos only)."""
        return self.path.parent / "last_frame" / f"{self.name}.png"


def shared_media_dir() -> Path:
    """The folder `../shared/media` beside the repository; skips the calling test where it is absent."""
    if not (_FOLDER / "manifest.tsv").is_file():
        pytest.skip(f"the real media files are not here: {_FOLDER} is absent")
    return _FOLDER


def manifest(kind: str | None = None) -> list[MediaFile]:
    """The files of the manifest, of one kind or all; empty where the folder is absent (safe in parametrize)."""
    return [media for media in _rows() if kind in (None, media.kind)]


def media_file(name: str) -> MediaFile:
    """One file by name; skips the calling test where the folder is absent."""
    shared_media_dir()
    return next(media for media in _rows() if media.name == name)


@cache
def _rows() -> tuple[MediaFile, ...]:
    table = _FOLDER / "manifest.tsv"
    if not table.is_file():
        return ()
    with table.open(newline="") as lines:
        return tuple(_media_file(row) for row in csv.DictReader(lines, delimiter="\t"))


def _media_file(row: dict[str, str]) -> MediaFile:
    def seconds(column: str) -> float | None:
        return float(row[column]) if row[column] else None

    return MediaFile(
        path=_FOLDER / row["file"],
        kind=row["class"],
        frames=int(row["frames"]),
        last_pts_seconds=seconds("last_pts_s"),
        last_frame_native_md5=row["last_frame_native_md5"],
        last_frame_rgb24_md5=row["last_frame_rgb24_md5"],
        rotation_degrees=int(row["rotation"] or 0),
        duration_container_seconds=seconds("duration_container_s"),
        duration_true_seconds=seconds("duration_true_s"),
        video_start_seconds=seconds("video_start_s"),
        video_end_seconds=seconds("video_end_s"),
        audio_start_seconds=seconds("audio_start_s"),
        audio_end_seconds=seconds("audio_end_s"),
        traits=row["traits"],
    )
