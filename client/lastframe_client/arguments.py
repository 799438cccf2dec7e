"""The command line's words: one parser, and the job that each subcommand means."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import lastframe_client
from lastframe_client.jobs import (
    AssembleMovie,
    AudioStitch,
    Job,
    LastFrame,
    MediaLength,
    MusicTrack,
    Stitch,
    silence,
)

EXIT_CODES = """\
exit status:
  0  done                                  4  no answer, or not now: try again later
  1  the task failed or was cancelled      5  not ended within --timeout; the task goes on
  2  wrong usage, or a setting is missing  6  a local file cannot be read or written
  3  refused: bad input, key or task id    130  interrupted; a submitted task goes on

environment: LAST_FRAME_API_URL (the suite's address) and LAST_FRAME_API_KEY; both are needed.
Sources are http(s) URLs or local files, which are uploaded first and kept for 24 hours.
"""
KINDS = ("last_frame", "video_stitch", "audio_stitch", "music_track", "movie_assembly", "media_length")
STATUSES = ("pending", "processing", "completed", "failed")
QUALITIES = ("low", "medium", "high")
_PICTURES = ("jpg", "png", "webp")
_SOUNDS = ("mp3", "m4a", "wav", "flac", "opus")
_FROM_OUTPUT = "when absent, as the name of -o ends"
_UNITS = {"m": 60, "h": 3600, "d": 86400}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="lastframe",
        description="Media jobs on a Last Frame suite.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {lastframe_client.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--json", action="store_true", help="print the service's JSON, one object a line")
        return command

    def add_job(name: str, text: str, make: Callable[[argparse.Namespace], Job]) -> argparse.ArgumentParser:
        command = add(name, text)
        command.set_defaults(job=make)
        command.add_argument("-o", "--output", metavar="FILE", help="wait, and save the result here")
        command.add_argument("--wait", action="store_true", help="wait for the end and print the result")
        command.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="how long to wait at most")
        command.add_argument("--dry-run", action="store_true", help="print what would be done; nothing is queued")
        command.add_argument("--webhook", metavar="URL", help="called when the task has ended")
        command.add_argument(
            "--idempotency-key", metavar="KEY", help="the same key and job are the same task for a day"
        )
        return command

    frame = add_job("frame", "the last frame of a video as an image", _frame)
    frame.add_argument("video")
    frame.add_argument("--format", choices=_PICTURES, help=_FROM_OUTPUT)
    frame.add_argument("--quality", type=int, metavar="1-100")

    stitch = add_job("stitch", "several videos into one", _stitch)
    stitch.add_argument("videos", nargs="+", metavar="video")
    stitch.add_argument("--strategy", choices=("auto", "copy", "reencode"))
    stitch.add_argument("--resolution", help="source, 480p, 720p, 1080p, 1440p, 4k or WIDTHxHEIGHT")
    stitch.add_argument("--frame-rate", type=float, metavar="FPS")
    stitch.add_argument("--quality", choices=QUALITIES)

    audio = add_job("audio-stitch", "sounds and silences into one sound", _audio_stitch)
    audio.add_argument("items", nargs="+", metavar="item", help="a sound, or silence:SECONDS")
    audio.add_argument("--format", choices=_SOUNDS, help=_FROM_OUTPUT)
    audio.add_argument("--sample-rate", type=int, metavar="HZ")
    audio.add_argument("--channels", type=int, choices=(1, 2))
    audio.add_argument("--bitrate", type=int, metavar="BITS_PER_SECOND")
    audio.add_argument("--normalize", type=float, metavar="LUFS")
    audio.add_argument("--no-declick", action="store_true", help="no 3 ms fades where a join would click")

    music = add_job("music", "music under a video, turned down while there is voice", _music)
    music.add_argument("video")
    music.add_argument("music")
    for name, unit in _MUSIC_NUMBERS.items():
        music.add_argument(f"--{name.replace('_', '-')}", type=float, metavar=unit)

    movie = add_job("assemble", "scenes and a master audio into a movie: three files", _assemble)
    movie.add_argument("scenes", nargs="+", metavar="scene", help="videos, in playing order")
    movie.add_argument("--audio", required=True, help="the master audio")
    movie.add_argument("--project", default="movie", help="your own name for it")
    movie.add_argument("--quality", choices=QUALITIES)
    movie.add_argument("--resolution", choices=("source", "480p", "720p", "1080p", "1440p", "4k"))
    movie.add_argument("--sync", choices=("stretch_to_fit", "trim", "pad", "none"))
    movie.add_argument("--no-audio", action="store_true", help="no sound in the full video")

    length = add_job("length", "how long a medium really plays", _length)
    length.add_argument("media")

    for name, text in (("status", "one task as it is now"), ("cancel", "stop a task; deletes a completed one")):
        add(name, text).add_argument("task_id")
    add("retry", "submit a failed task again").add_argument("task_id")
    watch = add("watch", "follow a task to its end")
    watch.add_argument("task_id")
    watch.add_argument("--timeout", type=_seconds, metavar="SECONDS")
    tasks = add("tasks", "your tasks, newest first")
    tasks.add_argument("--status", choices=STATUSES)
    tasks.add_argument("--kind", choices=KINDS)
    tasks.add_argument("--since", type=since, metavar="AGE", help="30m, 12h, 7d or an RFC 3339 time")
    tasks.add_argument("--limit", type=_count, default=50, metavar="N", help="at most so many; 50 when absent")
    upload = add("upload", "store a file for a day and print its URL")
    upload.add_argument("file")
    return top


def since(text: str) -> datetime:
    """`12h` → that long ago; or an RFC 3339 time."""
    if text[-1:] in _UNITS and text[:-1].isdigit():
        return datetime.now().astimezone() - timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an age (30m, 12h, 7d) nor a time") from None


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be a number of seconds above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


_MUSIC_NUMBERS = {
    "duck_db": "DB",
    "attack_seconds": "S",
    "release_seconds": "S",
    "hold_seconds": "S",
    "music_lufs": "LUFS",
    "fade_in_seconds": "S",
    "fade_out_seconds": "S",
    "music_offset_seconds": "S",
    "original_volume_db": "DB",
    "music_volume_db": "DB",
}


def _format(given: argparse.Namespace, known: tuple[str, ...]) -> str | None:
    """What `--format` says, else what the output's name says; None leaves it to the service."""
    suffix = Path(given.output or "").suffix[1:].lower()
    return given.format or (suffix if suffix in known else None)


def _frame(given: argparse.Namespace) -> Job:
    return LastFrame(given.video, _format(given, _PICTURES), given.quality, given.webhook)


def _stitch(given: argparse.Namespace) -> Job:
    return Stitch(given.videos, given.strategy, given.resolution, given.frame_rate, given.quality, given.webhook)


def _audio_stitch(given: argparse.Namespace) -> Job:
    return AudioStitch(
        [_item(item) for item in given.items],
        output_format=_format(given, _SOUNDS),
        sample_rate=given.sample_rate,
        channels=given.channels,
        bitrate=given.bitrate,
        normalize_lufs=given.normalize,
        declick=False if given.no_declick else None,
        webhook_url=given.webhook,
    )


def _item(text: str) -> str:
    seconds = text.removeprefix("silence:")
    try:
        return silence(float(seconds)) if seconds != text else text
    except ValueError:
        return text


def _music(given: argparse.Namespace) -> Job:
    numbers: dict[str, Any] = {name: getattr(given, name) for name in _MUSIC_NUMBERS}
    return MusicTrack(given.video, given.music, webhook_url=given.webhook, **numbers)


def _assemble(given: argparse.Namespace) -> Job:
    return AssembleMovie(
        given.project,
        given.scenes,
        given.audio,
        quality=given.quality,
        resolution=given.resolution,
        include_audio=False if given.no_audio else None,
        audio_sync_mode=given.sync,
        webhook_url=given.webhook,
    )


def _length(given: argparse.Namespace) -> Job:
    return MediaLength(given.media, given.webhook)
