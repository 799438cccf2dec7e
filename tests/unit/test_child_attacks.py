"""Attackers in the child: what a decoder that was taken over can reach, break, or make the parent believe."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.errors import InvalidRequest, LimitExceeded, MediaCrashed, ProcessingTimeout
from shared.jobs.child import result_path
from tests.unit import child_steps as steps
from tests.unit.child_pool import BytesSource, Runner, needs_sandbox, started_pool

REFUSED = "refused:PermissionError"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Runner]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    async with started_pool(memory_limit_bytes=1 << 30) as pool:
        yield Runner(pool, scratch)


@needs_sandbox
@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/proc/self/environ", "/proc/1/status", str(REPOSITORY / "pyproject.toml"), "/dev/kmsg"]
)
async def test_no_file_outside_can_be_read(run: Runner, path: str) -> None:
    assert (await run(steps.open_path, path=path, flags=os.O_RDONLY)).outcome == REFUSED


@needs_sandbox
async def test_nothing_outside_scratch_can_be_written_listed_or_changed(run: Runner, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    secret.chmod(0o600)
    for path in (secret, tmp_path / "new", Path(steps.__file__)):
        assert (await run(steps.open_path, path=str(path), flags=os.O_WRONLY | os.O_CREAT)).outcome == REFUSED
    assert (await run(steps.list_directory, path=str(tmp_path))).outcome == REFUSED
    assert (await run(steps.change_mode, path=str(secret))).outcome == REFUSED
    assert secret.stat().st_mode & 0o777 == 0o600
    inside = await run(steps.open_path, path=str(run.scratch / "own"), flags=os.O_WRONLY | os.O_CREAT)
    assert inside.outcome.startswith("done")
    assert (await run(steps.link_out, target="/etc/passwd")).outcome == REFUSED


@needs_sandbox
async def test_no_network(run: Runner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        assert (await run(steps.connect, port=listener.getsockname()[1])).outcome == REFUSED
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert (await run(steps.unix_socket)).outcome == REFUSED


@needs_sandbox
async def test_no_other_program_or_process(run: Runner) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert (await run(steps.execute)).outcome == REFUSED
        assert (await run(steps.fork)).outcome == REFUSED
        for process in (bystander.pid, os.getpid(), -1):
            assert (await run(steps.signal_process, process=process)).outcome == REFUSED
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@needs_sandbox
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers below are those of x86_64")
@pytest.mark.parametrize(
    ("number", "arguments", "outcome"),
    [
        pytest.param(101, [16, os.getpid(), 0, 0], REFUSED, id="ptrace-attach"),
        pytest.param(310, [os.getpid(), 0, 0, 0, 0, 0], REFUSED, id="process_vm_readv"),
        pytest.param(321, [0, 0, 0], REFUSED, id="bpf"),
        pytest.param(425, [1, 0], REFUSED, id="io_uring_setup"),
        pytest.param(272, [0x10000000], REFUSED, id="unshare-user"),
        pytest.param(56, [0x10000000 | 17, 0, 0, 0, 0], REFUSED, id="clone-user-namespace"),
        pytest.param(250, [0, 0, 0], REFUSED, id="keyctl"),
        pytest.param(302, [1, 7, 0, 0], REFUSED, id="prlimit64-of-another"),
        pytest.param(435, [0, 0], "refused:OSError", id="clone3"),
        pytest.param(467, [0, 0, 0], "refused:OSError", id="younger-than-the-table"),
    ],
)
async def test_dangerous_system_calls(run: Runner, number: int, arguments: list[int], outcome: str) -> None:
    assert (await run(steps.system_call, number=number, arguments=arguments)).outcome == outcome


@needs_sandbox
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 belongs to x86_64")
async def test_a_foreign_calling_convention_kills(run: Runner) -> None:
    with pytest.raises(MediaCrashed):
        await run(steps.system_call, number=0x40000000 + 39, arguments=[])


async def test_it_begins_with_nothing(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTFRAME_API_KEYS", "name=secret")
    descriptors, limits, environment, umask, at_home = eval((await run(steps.look_around)).outcome)
    assert descriptors == [0, 1, 2, 3]
    assert limits == [1 << 30, 0]
    assert not [name for name in environment if "LASTFRAME" in name or "AWS" in name]
    assert (umask, at_home) == ("0o77", True)


async def test_memory_is_bounded(run: Runner) -> None:
    with pytest.raises(MediaCrashed, match="ran out of memory"):
        await run(steps.allocate, size_bytes=10 << 30)


async def test_files_are_bounded(run: Runner) -> None:
    with pytest.raises(LimitExceeded):
        await run(steps.fill_disk)


@pytest.mark.parametrize("how", ["exit", "abort", "segv", "kill"])
async def test_its_death_is_one_failed_run(run: Runner, how: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), pytest.raises(MediaCrashed):
        await run(steps.die, how=how)
    if how == "segv":
        assert "Segmentation fault" in caplog.text
    assert (await run(steps.nothing)).outcome == "done"


async def test_more_log_than_the_pipe_holds_stops_nobody(run: Runner) -> None:
    assert (await run(steps.flood_stderr)).outcome == "done"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"path": "real", "size_bytes": "1"}, id="text-for-a-number"),
        pytest.param({"path": "real"}, id="a-field-missing"),
        pytest.param(["real", 1], id="another-shape"),
        pytest.param(None, id="nothing"),
        pytest.param({"path": "real", "size_bytes": 1, "parts": ["x" * (1 << 21)]}, id="two-megabytes"),
        pytest.param({"path": "../secret", "size_bytes": 1}, id="parent-directory"),
        pytest.param({"path": "/etc/passwd", "size_bytes": 1}, id="absolute"),
        pytest.param({"path": "sub/real", "size_bytes": 1}, id="below"),
        pytest.param({"path": "..", "size_bytes": 1}, id="dots"),
        pytest.param({"path": "missing", "size_bytes": 1}, id="missing"),
    ],
)
async def test_results_are_judged(run: Runner, value: object, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (run.scratch / "sub").mkdir()
    (run.scratch / "sub" / "real").write_text("s")
    with pytest.raises(MediaCrashed, match=r"answered nonsense|named a file|failed unexpectedly"):
        await run(steps.answer, value=value, name="real")


async def test_an_honest_answer_passes_the_same_judgement(run: Runner) -> None:
    result = await run(steps.answer, value={"path": "real", "size_bytes": 1}, name="real")
    assert result == steps.Written(run.scratch / "real", 1)


async def test_a_file_with_a_second_name_is_no_result(run: Runner) -> None:
    with pytest.raises(MediaCrashed):
        await run(steps.answer_link)


def test_result_path_refuses_links_pipes_and_directories(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert result_path(tmp_path, "file") == tmp_path / "file"
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "directory", "pipe", "", ".", "..", "a/b", "../x", "/etc/passwd", "x\0y", "missing"):
        with pytest.raises(MediaCrashed):
            result_path(tmp_path, name)


def _frame(header: object, payload: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">II", len(text), len(payload)) + text + payload


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\xff" * 64, id="four-gigabytes-announced"),
        pytest.param(_frame(b"not json"), id="not-json"),
        pytest.param(_frame(b"[" * 100_000), id="deep"),
        pytest.param(_frame([]), id="a-list"),
        pytest.param(_frame({"unpickle": "me"}), id="unknown"),
        pytest.param(_frame({"read": [7, 0, 10]}), id="no-such-source"),
        pytest.param(_frame({"read": [-1, 0, 10]}), id="minus-one"),
        pytest.param(_frame({"read": [0, -5, 10]}), id="before-the-start"),
        pytest.param(_frame({"read": [0, 0, 1 << 40]}), id="a-terabyte"),
        pytest.param(_frame({"prefetch": [0, [["a", 1]]]}), id="prefetch-of-text"),
        pytest.param(_frame({"progress": ["decoding\x1b[2J", 0.5]}), id="terminal-codes"),
        pytest.param(_frame({"progress": ["decoding", float("nan")]}), id="not-a-number"),
        pytest.param(_frame({"error": {"class": "Unauthenticated", "word": "unauthorized", "detail": ""}}), id="class"),
        pytest.param(_frame({"error": {"class": "UnsupportedMedia", "word": "A B", "detail": ""}}), id="word"),
        pytest.param(_frame({"error": "x", "source_fault": 3}), id="a-fault-that-never-was"),
        pytest.param(_frame({"result": True}, b'{"outcome": 1}'), id="wrong-type"),
        pytest.param(_frame({"result": True}, b" " * (2 << 20)), id="two-megabytes-of-result"),
    ],
)
async def test_nonsense_on_the_pipe_ends_the_run_at_once(run: Runner, raw: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(MediaCrashed, match="answered nonsense"):
        await run(steps.speak, raw=raw, source=BytesSource(b"x" * 100))
    assert time.monotonic() - began < 20


async def test_an_error_s_words_are_cleaned(run: Runner) -> None:
    fields = {"class": "InvalidRequest", "word": "invalid_silence", "detail": "a\x1bb" + "x" * 9000,
              "input_name": "a b; drop", "retryable": "yes"}  # fmt: skip
    with pytest.raises(InvalidRequest) as caught:
        await run(steps.speak, raw=_frame({"error": fields, "log": "l"}))
    assert caught.value.detail.startswith("a b") and len(caught.value.detail) == 500
    assert (caught.value.input_name, caught.value.retryable) == (None, False)


async def test_a_flood_of_progress_is_slowed_down_not_served(run: Runner) -> None:
    raw = b"".join(_frame({"progress": [f"phase {number}", 0.5]}) for number in range(500))
    with pytest.raises(ProcessingTimeout):
        await run(steps.speak, raw=raw, times=1000, deadline_seconds=1.5)
    assert len(run.reports) < 120


async def test_a_child_that_hangs_up_and_lives_on_is_killed(run: Runner) -> None:
    with pytest.raises(MediaCrashed):
        await run(steps.hang_up, deadline_seconds=10)


@pytest.mark.parametrize("victim", ["parent", "server"])
def test_a_killed_parent_or_server_leaves_no_child(tmp_path: Path, victim: str) -> None:
    program = """
        import asyncio, sys
        from pathlib import Path
        from shared.jobs.child import ChildPool
        from tests.unit import child_steps

        async def main():
            pool = ChildPool(preload=["tests.unit.child_steps"], warm=2, sandbox="best-effort")
            await pool.start()
            print(pool._server._process.pid, flush=True)
            await pool.run(child_steps.sleep, arguments={}, scratch=Path(sys.argv[1]), deadline_seconds=60)

        asyncio.run(main())
    """
    path = os.pathsep.join(entry for entry in sys.path if entry)
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    try:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        _wait((tmp_path / "started").exists)
        family = [server, *_children_of(server)]
        assert len(family) == 4  # the server, one at work, two idle
        os.kill(parent.pid if victim == "parent" else server, signal.SIGKILL)
        if victim == "parent":
            parent.wait()
        _wait(lambda: not any(_runs(process) for process in family))
    finally:
        parent.kill()
        parent.wait()
        assert parent.stdout is not None
        parent.stdout.close()


def _children_of(process: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _runs(process: int) -> bool:
    """False for a zombie too: one that nobody reaps yet holds nothing."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(condition: object, timeout_seconds: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


async def test_every_end_was_reaped(run: Runner) -> None:
    for how in ("exit", "kill"):
        with pytest.raises(MediaCrashed):
            await run(steps.die, how=how)
    await asyncio.sleep(0.2)
    assert run.pool._server is not None and run.pool._server._process is not None
    family = _children_of(run.pool._server._process.pid)
    assert family and all(_runs(process) for process in family)
