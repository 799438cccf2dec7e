"""The layers themselves: the filter's every answer on both architectures, older kernels, and the refusal to start."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from shared.jobs.child import ChildPool
from shared.jobs.sandbox import SandboxUnavailable, landlock, probe_sandbox, seccomp
from tests.unit import child_steps
from tests.unit.child_pool import needs_sandbox, started_pool

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS, 0x80000000
OWN = 4242
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def judge(machine: str, number: int, argument: int = 0, architecture: int | None = None) -> int:
    """What the kernel would answer: a BPF machine for the five instructions that the filter uses."""
    program = seccomp.build_filter(machine, OWN)
    data = struct.pack("<iIQ6Q", number, architecture or ARCHITECTURES[machine][1], 0, argument, 0, 0, 0, 0, 0)
    accumulator, position = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, position * 8)
        position += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x06:
                return value
            case 0x15:
                position += if_true if accumulator == value else if_false
            case 0x25:
                position += if_true if accumulator > value else if_false
            case 0x45:
                position += if_true if accumulator & value else if_false
            case _:
                raise AssertionError(hex(code))


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_every_name_on_the_list_is_refused(machine: str) -> None:
    column = ARCHITECTURES[machine][0]
    numbers = [numbers[column] for numbers in seccomp.REFUSED.values() if numbers[column] is not None]
    assert len(numbers) > 100
    assert {judge(machine, number) for number in numbers if number is not None} == {EPERM}


# read, write, openat, mmap, munmap, futex, exit_group, readv, set_robust_list, getrandom, sched_getaffinity, rseq
WORK = {
    "x86_64": (0, 1, 257, 9, 11, 202, 231, 19, 273, 318, 204, 334),
    "aarch64": (63, 64, 56, 222, 215, 98, 94, 65, 99, 278, 123, 293),
}
CLONE, CLONE3, KILL_CALL, TGKILL, PRLIMIT = (
    {"x86_64": 56, "aarch64": 220},
    {"x86_64": 435, "aarch64": 435},
    {"x86_64": 62, "aarch64": 129},
    {"x86_64": 234, "aarch64": 131},
    {"x86_64": 302, "aarch64": 261},
)
PTHREAD_FLAGS = 0x003D0F00  # what glibc's pthread_create gives to clone


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_work_and_threads_pass_but_processes_and_namespaces_do_not(machine: str) -> None:
    assert {judge(machine, number) for number in WORK[machine]} == {ALLOW}
    assert judge(machine, CLONE[machine], PTHREAD_FLAGS) == ALLOW
    assert judge(machine, CLONE[machine], 17) == EPERM  # fork: SIGCHLD alone
    assert judge(machine, CLONE[machine], PTHREAD_FLAGS | 0x40000000) == EPERM  # CLONE_NEWNET
    assert judge(machine, CLONE3[machine]) == ENOSYS


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_signals_and_limits_are_for_oneself(machine: str) -> None:
    for call in (KILL_CALL, TGKILL):
        assert judge(machine, call[machine], OWN) == ALLOW
        for other in (1, 0, 0xFFFFFFFF):
            assert judge(machine, call[machine], other) == EPERM
    assert judge(machine, PRLIMIT[machine], 0) == judge(machine, PRLIMIT[machine], OWN) == ALLOW
    assert judge(machine, PRLIMIT[machine], 1) == EPERM


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_unknown_is_unknown_and_the_foreign_is_killed(machine: str) -> None:
    assert judge(machine, seccomp.NEWEST_JUDGED_SYSCALL + 1) == ENOSYS
    assert judge(machine, 0x40000000) == KILL  # x32
    assert judge(machine, 0, architecture=0x40000003) == KILL  # i386


@pytest.mark.parametrize(
    ("machine", "header"),
    [("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "/usr/include/asm-generic/unistd.h")],
)
def test_numbers_are_the_kernel_s(machine: str, header: str) -> None:
    if not Path(header).exists():
        pytest.skip(f"the kernel's headers are not installed here ({header})")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", Path(header).read_text())
    known = {name: int(number) for name, number in found}
    column = ARCHITECTURES[machine][0]
    for name, numbers in seccomp.REFUSED.items():
        if numbers[column] is not None and name in known:
            assert numbers[column] == known[name], name


def test_required_refuses_to_start_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi_version", lambda: 0)
    monkeypatch.setattr(seccomp, "available", lambda: False)
    report = probe_sandbox()
    assert not report.complete and len(report.missing) == 2


async def test_a_pool_with_required_does_not_start_without_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi_version", lambda: 0)
    with pytest.raises(SandboxUnavailable, match=r"LASTFRAME_SANDBOX=required.*Landlock"):
        await ChildPool(preload=[], sandbox="required").start()


@needs_sandbox
@pytest.mark.parametrize("abi", [0, 1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_older_kernels_confine_as_far_as_they_can(tmp_path: Path, abi: int, accelerator: str) -> None:
    program = """
        import sys
        from pathlib import Path
        from shared.jobs.sandbox import Confinement, confine, landlock
        abi, scratch, accelerator = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
        landlock.abi_version = lambda: abi
        report = confine(Confinement(scratch=scratch, code=(), memory_bytes=1 << 30, file_bytes=1 << 20,
                                     cpu_seconds=5, mode="best-effort", accelerator=accelerator))
        Path("own").write_text("x")
        for path in ("/etc/hostname", "/etc/passwd"):
            try:
                open(path).close()
                print("read")
            except PermissionError:
                print("refused")
        try:
            __import__("socket").socket()
        except PermissionError:
            print("offline", report.landlock_abi)
    """
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(abi), str(tmp_path), accelerator],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        timeout=30,
        check=False,
    )
    assert answer.stderr == ""
    assert answer.stdout.split() == ["read" if abi == 0 else "refused"] * 2 + ["offline", str(abi)]
    assert (tmp_path / "own").exists()


@needs_sandbox
@pytest.mark.parametrize(
    ("accelerator", "own"), [("cpu", "refused:PermissionError refused:PermissionError"), ("cuda", "done:14 done:True")]
)
async def test_cuda_may_name_its_own_threads_and_nobody_elses(tmp_path: Path, accelerator: str, own: str) -> None:
    """The NVIDIA driver's cuInit ends with error 304 where it cannot; a step without a GPU has no such right."""
    async with started_pool() as pool:
        attempt = await pool.run(
            child_steps.name_threads, arguments={}, scratch=tmp_path, deadline_seconds=20.0, accelerator=accelerator
        )
    assert attempt.outcome == " ".join([own] * 3 + ["refused:PermissionError"])
