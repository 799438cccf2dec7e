"""Media steps for the tests of the child: honest ones, and attackers that report how far they came."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from shared.errors import UnsupportedMedia
from shared.media.source import ByteSource
from shared.media.step import StepContext


@dataclass(frozen=True)
class Attempt:
    """What an attack got: `refused:<errno name or exception>` or what it read."""

    outcome: str


@dataclass(frozen=True)
class Written:
    path: Path
    size_bytes: int
    rate: Fraction = Fraction(0)
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    number: int
    video: ByteSource


def _try(action: Callable[[], object]) -> Attempt:
    try:
        return Attempt(f"done:{action()!r}")
    except OSError as error:
        return Attempt(f"refused:{type(error).__name__}")


# --- honest ---------------------------------------------------------------------------------------------------------


def nothing(context: StepContext) -> Attempt:
    return Attempt("done")


def copy(context: StepContext, source: ByteSource, chunk: int) -> Written:
    target, offset = context.scratch / "copy.bin", 0
    with target.open("wb") as file:
        while data := source.read_at(offset, chunk):
            file.write(data)
            offset += len(data)
            context.progress("copying", min(offset / (source.size_bytes or offset), 1.0))
    return Written(target, offset, Fraction(30000, 1001), (source.label, str(source.is_local)))


def read_scenes(context: StepContext, scenes: list[Scene], master: ByteSource | None) -> Written:
    parts = [f"{scene.number}:{scene.video.label}:{scene.video.read_at(0, 4).decode()}" for scene in scenes]
    if master is not None:
        parts.append(master.read_at(1, 2).decode())
    (context.scratch / "out").write_bytes(b"x")
    return Written(Path("out"), 1, parts=tuple(parts))


def prefetch_then_read(context: StepContext, source: ByteSource) -> Attempt:
    source.prefetch([(0, 10), (50, 5)])
    return Attempt(source.read_at(50, 5).decode())


def read_in_threads(context: StepContext, source: ByteSource) -> Attempt:
    found: dict[int, bytes] = {}

    def work(number: int) -> None:
        found[number] = source.read_at(number * 4, 4)
        context.progress("reading", number / 8)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Attempt("".join(found[number].decode() for number in range(8)))


def name_threads(context: StepContext) -> Attempt:
    """What CUDA's start does: each new thread's name is written into this process's own /proc."""
    outcomes: list[str] = []

    def work() -> None:
        path = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/comm")
        outcomes.append(_try(lambda: path.write_text("cuda-EvtHandlr")).outcome)
        outcomes.append(_try(lambda: Path("/proc/self/maps").read_text() != "").outcome)

    for _ in range(3):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    outcomes.append(_try(lambda: Path(f"/proc/{os.getppid()}/task/{os.getppid()}/comm").write_text("x")).outcome)
    return Attempt(" ".join(outcomes))


def phases(context: StepContext, count: int) -> Attempt:
    for number in range(count):
        context.progress("even" if number % 2 else "odd", number / count)
    return Attempt("done")


def one_phase(context: StepContext) -> Attempt:
    end = time.monotonic() + 0.55
    while time.monotonic() < end:
        context.progress("decoding", 0.5)
    return Attempt("done")


def encode_video(context: StepContext, source: ByteSource | None = None) -> Written:
    """x264 with threads, swscale, a muxer that seeks: the sandbox must let real work through."""
    import av
    import numpy as np

    target = context.scratch / "out.mp4"
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.thread_count = 2
        for number in range(25):
            picture = np.full((240, 320, 3), number * 10, dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    with av.open(str(target)) as container:
        container.streams.video[0].thread_type = "AUTO"
        frames = sum(1 for _ in container.decode(video=0))
    return Written(target, target.stat().st_size, parts=(str(frames),))


def judge(context: StepContext) -> Attempt:
    raise UnsupportedMedia("a picture, not a video", input_name="video_urls[3]")


def break_down(context: StepContext) -> Attempt:
    raise KeyError("/secret/path")


def wrap_fault(context: StepContext, source: ByteSource) -> Attempt:
    try:
        source.read_at(0, 10)
    except Exception as error:
        raise UnsupportedMedia("no medium") from error
    return Attempt("done")


# --- attackers ------------------------------------------------------------------------------------------------------


def open_path(context: StepContext, path: str, flags: int) -> Attempt:
    return _try(lambda: os.read(os.open(path, flags, 0o600), 16) if flags == os.O_RDONLY else os.open(path, flags))


def list_directory(context: StepContext, path: str) -> Attempt:
    return _try(lambda: os.listdir(path))


def connect(context: StepContext, port: int) -> Attempt:
    return _try(lambda: socket.create_connection(("127.0.0.1", port), 1))


def unix_socket(context: StepContext) -> Attempt:
    return _try(lambda: socket.socket(socket.AF_UNIX))


def execute(context: StepContext) -> Attempt:
    return _try(lambda: os.execv("/bin/true", ["true"]))


def fork(context: StepContext) -> Attempt:
    return _try(os.fork)


def signal_process(context: StepContext, process: int) -> Attempt:
    return _try(lambda: os.kill(process, 9))


def change_mode(context: StepContext, path: str) -> Attempt:
    return _try(lambda: os.chmod(path, 0o777))


def system_call(context: StepContext, number: int, arguments: list[int]) -> Attempt:
    def call() -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        result = libc.syscall(number, *(ctypes.c_long(argument) for argument in arguments))
        if result < 0:
            raise OSError(ctypes.get_errno(), "refused")
        return int(result)

    return _try(call)


def link_out(context: StepContext, target: str) -> Attempt:
    return _try(lambda: os.symlink(target, context.scratch / "link"))


def look_around(context: StepContext) -> Attempt:
    descriptors = [number for number in range(256) if _is_open(number)]
    limits = [resource.getrlimit(limit)[1] for limit in (resource.RLIMIT_AS, resource.RLIMIT_CORE)]
    environment = sorted(os.environ)
    umask = os.umask(0o077)
    return Attempt(repr((descriptors, limits, environment, oct(umask), os.getcwd() == str(context.scratch))))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def allocate(context: StepContext, size_bytes: int) -> Attempt:
    return Attempt(str(len(bytearray(size_bytes))))


def fill_disk(context: StepContext) -> Attempt:
    with (context.scratch / "big").open("wb") as file:
        file.truncate(1 << 40)
    return Attempt("done")


def spin(context: StepContext) -> Attempt:
    while True:
        pass


def sleep(context: StepContext) -> Attempt:
    (context.scratch / "started").touch()
    time.sleep(600)
    return Attempt("done")


def die(context: StepContext, how: str) -> Attempt:
    if how == "exit":
        os._exit(0)
    if how == "abort":
        os.abort()
    if how == "segv":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), 9)
    return Attempt("survived")


def flood_stderr(context: StepContext) -> Attempt:
    for _ in range(20_000):
        print("x" * 100, file=sys.stderr)
    return Attempt("done")


def answer(context: StepContext, value: Any, name: str = "") -> Written:
    """A result that is not what the annotation promises."""
    if name:
        (context.scratch / "real").write_bytes(b"x")
    return value  # type: ignore[no-any-return]


def answer_link(context: StepContext) -> Written:
    (context.scratch / "real").write_bytes(b"x")
    os.link(context.scratch / "real", context.scratch / "second")
    return Written(context.scratch / "second", 1)


def speak(context: StepContext, raw: bytes, times: int = 1, source: ByteSource | None = None) -> Attempt:
    """Raw bytes on the pipe, as a child that was taken over would send."""
    for _ in range(times):
        os.write(3, raw)
    time.sleep(30)
    return Attempt("done")


def hang_up(context: StepContext) -> Attempt:
    os.close(3)
    time.sleep(30)
    return Attempt("done")
