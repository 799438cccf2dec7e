"""`make demo`: starts the suite, submits one last-frame job over REST, saves the image, and judges it.

Without --video it makes a ten-second film with the frame number drawn into every frame. The exit status is 0 only if
the image shows the last frame that a full decode of the video gives.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shared.media.picture import displayed_picture

ROOT = Path(__file__).resolve().parent.parent
FRAMES, RATE, SIZE = 250, 25, (1280, 720)
MEAN_LEVELS_ALLOWED = 2.5  # JPEG at quality 95 stays below this on natural and drawn pictures


def say(text: str = "") -> None:
    print(text, flush=True)


def draw_frame(index: int) -> Image.Image:
    hue = round(255 * index / FRAMES)
    image = Image.new("HSV", SIZE, (hue, 150, 90)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.text((SIZE[0] // 2, SIZE[1] // 2), f"frame {index}", font=ImageFont.load_default(120), anchor="mm")
    left = SIZE[0] * index // FRAMES
    draw.rectangle((left, SIZE[1] - 40, left + 8, SIZE[1]), fill="white")
    return image


def make_video(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "veryfast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(FRAMES):
            frame = av.VideoFrame.from_image(draw_frame(index))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class RangeHandler(BaseHTTPRequestHandler):
    """Serves one file with Range, as any storage does."""

    path_to_serve: Path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = self.path_to_serve.stat().st_size
        first, last = 0, size - 1
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        if wanted:
            start, _, end = wanted.partition("-")
            first, last = int(start), min(int(end or size - 1), size - 1)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        with self.path_to_serve.open("rb") as file, contextlib.suppress(ConnectionError):
            file.seek(first)
            self.wfile.write(file.read(last - first + 1))

    def log_message(self, *arguments: Any) -> None:
        return None


@contextlib.contextmanager
def served(path: Path) -> Iterator[str]:
    handler = type("Handler", (RangeHandler,), {"path_to_serve": path})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/{path.name}"
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Suite:
    """A running suite and how to talk to it."""

    port: int
    key: str

    def request(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        reply = connection.getresponse()
        answer = json.loads(reply.read())
        if reply.status != 200:
            sys.exit(f"{method} {path} answered {reply.status}: {answer}")
        return answer

    def events(self, task_id: str) -> Iterator[Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request("GET", f"/api/v1/tasks/{task_id}/events", headers={"Authorization": f"Bearer {self.key}"})
        for line in connection.getresponse():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


@contextlib.contextmanager
def running_suite(data_directory: Path) -> Iterator[Suite]:
    port = free_port()
    environment = {
        **os.environ,
        "LASTFRAME_PORT": str(port),
        "LASTFRAME_DATA_DIR": str(data_directory),
        "LASTFRAME_ALLOW_PRIVATE_SOURCES": "1",
        "LASTFRAME_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen([sys.executable, "-m", "services"], env=environment, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(b"ready "):
                break
        else:
            sys.exit(f"the suite ended with status {process.wait()} before it was ready")
        yield Suite(port, (data_directory / "api-key").read_text().strip())
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=60)
        if status != 0:
            sys.exit(f"the suite stopped with status {status}")


def last_frame_by_full_decode(video: Path) -> tuple[int, np.ndarray[Any, Any]]:
    """Decodes every frame, as slowly as it takes; returns the last one's index and its displayed picture."""
    with av.open(str(video)) as container:
        stream = next(s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
        stream.thread_type = "AUTO"
        index, last = -1, None
        for frame in container.decode(stream):
            index, last = index + 1, frame
        assert last is not None
        picture = displayed_picture(last, Fraction(stream.sample_aspect_ratio or 1), max_pixels=8192 * 4320)
    return index, picture.pixels[..., :3].astype(np.int16)


def follow(suite: Suite, task_id: str) -> Any:
    """Prints progress until the task has ended; returns it."""
    began = time.monotonic()
    task: Any = {}
    for task in suite.events(task_id):
        detail = f" {task['phase']} {task['progress']:.0%}" if task["status"] == "processing" else ""
        say(f"  {time.monotonic() - began:6.3f} s  {task['status']}{detail}")
    return task


def judge(video: Path, image: Path, task: Any) -> bool:
    index, truth = last_frame_by_full_decode(video)
    shown = np.asarray(Image.open(image).convert("RGB"), dtype=np.int16)
    if shown.shape != truth.shape:
        say(f"WRONG: the image is {shown.shape[1::-1]}, the last frame {truth.shape[1::-1]}")
        return False
    difference = float(np.abs(shown - truth).mean())
    say(f"checked against a full decode: last of {index + 1} frames, mean difference {difference:.2f} of 255 levels")
    known = task["metadata"].get("frame_index")
    return difference <= MEAN_LEVELS_ALLOWED and known in (None, index)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", help="a path or an http(s) URL; by default one is made")
    wanted = parser.parse_args().video
    work = ROOT / ".demo"
    is_url = bool(wanted) and wanted.startswith(("http://", "https://"))
    if wanted and not is_url and not Path(wanted).is_file():
        parser.error(f"there is no file {wanted}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    video = work / "video.mp4" if not wanted or is_url else Path(wanted).resolve()
    if not wanted:
        say(f"making a video of {FRAMES} frames with their numbers drawn in ...")
        make_video(video)
    with contextlib.ExitStack() as stack:
        url = wanted if is_url else stack.enter_context(served(video))
        say("starting the suite ...")
        suite = stack.enter_context(running_suite(work / "data"))
        say(f"POST http://127.0.0.1:{suite.port}/api/v1/process  video_url={url}")
        accepted = suite.request("POST", "/api/v1/process", {"video_url": url})
        task = follow(suite, accepted["task_id"])
        say(json.dumps(task, indent=2))
        if task["status"] != "completed":
            say("the job failed")
            return 1
        image = work / Path(task["image_url"]).name
        with urllib.request.urlopen(task["image_url"]) as reply:
            image.write_bytes(reply.read())
    for phase, seconds in task["metadata"]["phase_seconds"].items():
        say(f"  {phase:<12}{seconds:8.3f} s")
    say(f"  {'in all':<12}{task['metadata']['processing_time']:8.3f} s")
    if is_url:
        with urllib.request.urlopen(wanted) as reply:
            video.write_bytes(reply.read())
    right = judge(video, image, task)
    say(f"the last frame is in {os.path.relpath(image)}" if right else "WRONG: this is not the last frame")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
