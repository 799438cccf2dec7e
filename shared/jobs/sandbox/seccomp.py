"""A seccomp filter for a process that computes on files it has open, and does nothing else.

The filter is a list of refusals rather than of permissions: what codecs and threads need differs between C
libraries and versions, while what an attacker needs is well known. It refuses with EPERM every way to reach the
network, another program, another process, a kernel subsystem with a record of holes, or the attributes of files
(chmod, chown and xattr are the writes that Landlock does not judge). System calls younger than the list get ENOSYS,
which C libraries answer by an older call; a foreign calling convention (i386, x32) kills the process.

Numbers: Linux 6.5 `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` (aarch64).
Filter format: `Documentation/userspace-api/seccomp_filter.rst`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import NamedTuple

# name: (x86_64, aarch64); None where the architecture has no such call.
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # network: the pipe to the parent is read and written as a file
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # other programs and other processes
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None), "unshare": (272, 97),
    "setns": (308, 268), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "shmdt": (67, 197), "semget": (64, 190),
    "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189),
    "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    # mounts and handles that step around paths
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "swapon": (167, 224), "swapoff": (168, 225),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    # kernel subsystems that codecs never use
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "syslog": (103, 116),
    "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, None),
    "ioperm": (173, None), "modify_ldt": (154, None), "personality": (135, 92), "vhangup": (153, 58),
    "lookup_dcookie": (212, 18),
    # identity and priority (SVT-AV1 asks for real-time threads when it runs as root)
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setgroups": (116, 159), "setfsuid": (122, 151),
    "setfsgid": (123, 152), "capset": (126, 91), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    # attributes of files, which Landlock leaves open
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "mknod": (133, None), "mknodat": (259, 33),
}  # fmt: skip
NEWEST_JUDGED_SYSCALL = 452
"""fchmodat2, Linux 6.6; everything above is ENOSYS."""


class _Architecture(NamedTuple):
    column: int
    audit_word: int
    """AUDIT_ARCH_* of <linux/audit.h>: what the kernel puts into `seccomp_data.arch`."""
    seccomp: int
    kill: int
    tgkill: int
    clone: int
    clone3: int
    prlimit64: int


_ARCHITECTURES = {
    "x86_64": _Architecture(0, 0xC000003E, seccomp=317, kill=62, tgkill=234, clone=56, clone3=435, prlimit64=302),
    "aarch64": _Architecture(1, 0xC00000B7, seccomp=277, kill=129, tgkill=131, clone=220, clone3=435, prlimit64=261),
}

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL = 1, 2
_RET_ALLOW, _RET_ERRNO, _RET_KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _JUMP_EQ, _JUMP_GT, _JUMP_SET, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06  # <linux/bpf_common.h>
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE, _OFFSET_ARGUMENT0 = 0, 4, 16  # struct seccomp_data; low half of args[0]
_CLONE_THREAD = 0x00010000
_CLONE_NEW_NAMESPACES = 0x7E020000  # NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET of <linux/sched.h>

_libc = ctypes.CDLL(None, use_errno=True)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def build_filter(machine: str, own_process_id: int) -> bytes:
    """The BPF program (`struct sock_filter[]`) for `machine`, in which signals may go to `own_process_id` only.

    Raises:
        KeyError: no table for this machine.
    """
    architecture = _ARCHITECTURES[machine]
    allow, refuse = _instruction(_RETURN, _RET_ALLOW), _instruction(_RETURN, _RET_ERRNO | errno.EPERM)
    kill, unknown = _instruction(_RETURN, _RET_KILL_PROCESS), _instruction(_RETURN, _RET_ERRNO | errno.ENOSYS)
    load_argument = _instruction(_LOAD, _OFFSET_ARGUMENT0)

    program = [
        _instruction(_LOAD, _OFFSET_ARCHITECTURE),
        _instruction(_JUMP_EQ, architecture.audit_word, 1, 0),
        kill,
        _instruction(_LOAD, _OFFSET_NUMBER),
        # x32 shares x86_64's architecture word and marks its calls with bit 30.
        _instruction(_JUMP_GT, 0x3FFFFFFF, 0, 1),
        kill,
        _instruction(_JUMP_GT, NEWEST_JUDGED_SYSCALL, 0, 1),
        unknown,
        # clone3 hides its flags behind a pointer; without it the C library falls back to clone.
        _instruction(_JUMP_EQ, architecture.clone3, 0, 1),
        unknown,
        _instruction(_JUMP_EQ, architecture.clone, 0, 5),
        load_argument,
        _instruction(_JUMP_SET, _CLONE_NEW_NAMESPACES, 1, 0),
        _instruction(_JUMP_SET, _CLONE_THREAD, 1, 0),
        refuse,
        allow,
        _instruction(_JUMP_EQ, architecture.prlimit64, 0, 5),
        load_argument,
        _instruction(_JUMP_EQ, 0, 2, 0),
        _instruction(_JUMP_EQ, own_process_id, 1, 0),
        refuse,
        allow,
    ]
    for number in (architecture.kill, architecture.tgkill):
        program += [
            _instruction(_JUMP_EQ, number, 0, 4),
            load_argument,
            _instruction(_JUMP_EQ, own_process_id, 1, 0),
            refuse,
            allow,
        ]
    for numbers in REFUSED.values():
        if (refused := numbers[architecture.column]) is not None:
            program += [_instruction(_JUMP_EQ, refused, 0, 1), refuse]
    return b"".join([*program, allow])


def available() -> bool:
    """Whether this kernel takes seccomp filters and this machine has a table here."""
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        return False
    action = ctypes.c_uint32(_RET_KILL_PROCESS)
    return bool(_libc.syscall(architecture.seccomp, _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0)


def set_no_new_privileges() -> None:
    """No set-uid program or file capability can raise this process again; Landlock and seccomp ask for it.

    Raises:
        OSError: the kernel refused.
    """
    zero = ctypes.c_ulong(0)
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")


def install() -> None:
    """Put the filter on this thread and all that it will start. Cannot be undone.

    Raises:
        OSError: no filter on this machine or kernel.
    """
    machine = platform.machine()
    if not available():
        raise OSError(errno.ENOSYS, f"no seccomp filter for {machine} on this kernel")
    program = build_filter(machine, os.getpid())
    instructions = ctypes.create_string_buffer(program, len(program))

    class _Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    argument = _Program(len(program) // 8, ctypes.addressof(instructions))
    number = _ARCHITECTURES[machine].seccomp
    if _libc.syscall(number, _SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(argument)) != 0:
        raise OSError(ctypes.get_errno(), "the seccomp filter was refused")
