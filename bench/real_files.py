"""Every file of ../shared/media through the whole service, over REST and HTTP with Range, against the manifest's truth.

    .venv/bin/python -m bench.real_files

Length: how far `media_duration` is from the truth, in milliseconds. Last frame: whether the presentation time is the
true one, how far the PNG is from the reference picture (mean of 255 levels; the HDR reference is not tone-mapped, so
that one differs by design), and what was fetched.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from tests.support.http_server import NastyServer
from tests.support.media import MediaFile, manifest
from tests.support.suite import RunningSuite


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=np.int16)


def length_row(suite: RunningSuite, url: str, media: MediaFile) -> str:
    task = suite.completed("/api/v1/length", {"media_url": url})
    found = task["metadata"]
    error_ms = (found["media_duration"] - (media.duration_true_seconds or 0.0)) * 1000
    return (
        f"| {media.name} | {found['media_type']} | {found['media_duration']:.3f} | {error_ms:+.2f} | "
        f"{found['duration_method']} | {found['bytes_fetched'] / found['file_size']:.0%} |"
    )


def frame_row(suite: RunningSuite, url: str, media: MediaFile) -> str:
    task = suite.completed("/api/v1/process", {"video_url": url, "image_format": "png"})
    found = task["metadata"]
    shown = picture(requests.get(task["image_url"], timeout=30).content)
    truth = picture(media.last_frame_png.read_bytes())
    levels = f"{np.abs(shown - truth).mean():.2f}" if shown.shape == truth.shape else f"{shown.shape} != {truth.shape}"
    exact = abs(found["frame_pts"] - (media.last_pts_seconds or 0.0)) < 0.003
    index = found.get("frame_index")
    return (
        f"| {media.name} | {'yes' if exact else 'NO'} | {index} of {media.frames} | {levels} | {found['method']} | "
        f"{found['bytes_fetched']} | {found['bytes_fetched'] / found['file_size']:.0%} |"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, NastyServer() as server:
        urls = {media.name: server.serve("/" + media.name, media.path) for media in manifest()}
        with RunningSuite(Path(directory)) as suite:
            print("| file | type | media_duration | error ms | method | fetched |\n|---|---|---|---|---|---|")
            for media in manifest():
                print(length_row(suite, urls[media.name], media), flush=True)
            print("\n| video | pts exact | frame | levels | method | bytes | fetched |\n|---|---|---|---|---|---|---|")
            for media in manifest("video"):
                print(frame_row(suite, urls[media.name], media), flush=True)


if __name__ == "__main__":
    main()
