"""`make image-test`: runs the built image as a cluster would and puts one last-frame job through it.

Read-only root, user 10001, no capabilities, no new privileges; only /tmp and /scratch can be written. With a docker
engine that is `docker run`; as root with buildah and runc (Debian packages) a bundle of our own, which needs neither an
engine nor cgroups. Without either it says so and exits 0 (1 with IMAGE=required).
"""

from __future__ import annotations

import http.server
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

IMAGE = os.environ.get("IMAGE_NAME", "lastframe") + ":latest"
USER = 10001
KEY = "smoke-key"
START_SECONDS, JOB_SECONDS = 60.0, 60.0
ALLOWED_LEVELS = 4.0  # mean difference of the whole picture, JPEG and colour conversion included


class Skipped(Exception):
    """The text says what is missing."""


def main() -> int:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lastframe-smoke-")))
        directory.chmod(0o755)
        last = make_video(directory / "clip.mp4")
        source = stack.enter_context(served(directory))
        port = free_port()
        try:
            process = stack.enter_context(running(environment(port, source), directory))
        except Skipped as reason:
            print(f"image-test: skipped: {reason}")
            return 1 if os.environ.get("IMAGE") == "required" else 0
        base = f"http://127.0.0.1:{port}"
        began = time.monotonic()
        health = wait_until_healthy(base, process)
        print(f"healthy after {time.monotonic() - began:.1f} s: {json.dumps(health['services'])}")
        began = time.monotonic()
        task = run_job(base, f"{source}/clip.mp4")
        print(f"job {task['status']} after {time.monotonic() - began:.2f} s")
        if task["status"] != "completed":
            print(json.dumps(task, indent=1))
            return 1
        with urllib.request.urlopen(task["image_url"], timeout=10) as answer:  # noqa: S310
            picture = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"), dtype=float)
        difference = float(np.abs(picture - last).mean())
        print(f"last frame differs by {difference:.2f} levels (allowed {ALLOWED_LEVELS})")
        return 0 if difference <= ALLOWED_LEVELS else 1


def make_video(path: Path) -> np.ndarray[Any, Any]:
    """Two seconds of a moving bar; returns the last picture as decoded, RGB."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(50):
            picture = np.full((240, 320, 3), 60, dtype=np.uint8)
            picture[:, index * 6 : index * 6 + 12] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return picture.astype(float)


@contextmanager
def served(directory: Path) -> Iterator[str]:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(directory))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(port: int, source: str) -> dict[str, str]:
    return {
        "LASTFRAME_PORT": str(port),
        "LASTFRAME_DATA_DIR": "/scratch",
        "LASTFRAME_API_KEYS": f"smoke={KEY}",
        "LASTFRAME_ALLOW_PRIVATE_SOURCES": "1",
        "LASTFRAME_SOURCE_PORTS": source.rpartition(":")[2],
    }


@contextmanager
def running(variables: dict[str, str], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The image's own command, `services`, until the end of the block; then SIGTERM, and status 0 is demanded."""
    if answers(["docker", "info"]):
        command = docker_command(variables)
        process = subprocess.Popen(command)
    elif os.geteuid() == 0 and shutil.which("buildah") and shutil.which("runc"):
        process = subprocess.Popen(runc_command(variables, directory))
    else:
        raise Skipped("neither a docker engine, nor root with buildah and runc (apt-get install buildah runc)")
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=60)
        print(f"stopped with status {status}")
        if status != 0:
            raise RuntimeError("the container did not stop cleanly")
    finally:
        if process.poll() is None:
            process.kill()


def answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def docker_command(variables: dict[str, str]) -> list[str]:
    settings = [word for name, text in variables.items() for word in ("--env", f"{name}={text}")]
    return [
        *("docker", "run", "--rm", "--network", "host", "--read-only", "--user", f"{USER}:{USER}"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--tmpfs", "/tmp:size=64m", "--tmpfs", f"/scratch:size=256m,uid={USER},gid={USER}"),  # noqa: S108
        *settings,
        IMAGE,
    ]


def runc_command(variables: dict[str, str], directory: Path) -> list[str]:
    """Mounts the image and writes an OCI bundle beside it."""
    container = output(["buildah", "from", f"localhost/{IMAGE}"])
    root = output(["buildah", "mount", container])
    bundle = directory / "bundle"
    bundle.mkdir()
    image = json.loads(output(["buildah", "inspect", "--type", "image", f"localhost/{IMAGE}"]))["OCIv1"]["config"]
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    spec = json.loads((bundle / "config.json").read_text())
    spec["root"] = {"path": root, "readonly": True}
    spec["process"] |= {
        "terminal": False,
        "user": {"uid": USER, "gid": USER},
        "args": [*image["Entrypoint"], *image["Cmd"]],
        "env": [*image["Env"], *(f"{name}={text}" for name, text in variables.items())],
        "cwd": image["WorkingDir"],
        "capabilities": {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
        "noNewPrivileges": True,
    }
    del spec["process"]["rlimits"]
    spec["mounts"] = [mount for mount in spec["mounts"] if mount["destination"] != "/sys/fs/cgroup"]
    spec["mounts"] += [
        tmpfs("/tmp", "mode=1777", "size=64m"),  # noqa: S108
        tmpfs("/scratch", f"uid={USER}", f"gid={USER}", "mode=0700", "size=256m"),
    ]
    # The host's network, so that the job's source and this script are on its loopback.
    spec["linux"]["namespaces"] = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
    spec["linux"].pop("resources", None)
    (bundle / "config.json").write_text(json.dumps(spec))
    return [
        "sh",
        "-c",
        f"runc run --bundle '{bundle}' {container} & pid=$!; trap 'runc kill {container} TERM' TERM;"
        f" wait $pid; status=$?; [ $status -gt 128 ] && {{ wait $pid; status=$?; }};"
        f" buildah rm {container} >/dev/null; exit $status",
    ]


def tmpfs(where: str, *options: str) -> dict[str, Any]:
    return {
        "destination": where,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "nodev", "noexec", *options],
    }


def output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def wait_until_healthy(base: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return call("GET", f"{base}/health")
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def run_job(base: str, video: str) -> dict[str, Any]:
    task = call("POST", f"{base}/api/v1/process", {"video_url": video})
    deadline = time.monotonic() + JOB_SECONDS
    while task["status"] not in ("completed", "failed") and time.monotonic() < deadline:
        time.sleep(0.1)
        task = call("GET", f"{base}/api/v1/status/{task['task_id']}")
    return task


def call(method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - our own http
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


if __name__ == "__main__":
    sys.exit(main())
