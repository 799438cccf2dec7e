"""Landlock: the process itself gives up the file system, but for a few paths.

Rights that the running kernel does not know are left out, so the best available ABI is used: 2 adds rename across
directories, 3 truncation, 4 TCP, 5 device ioctls, 6 signals and abstract sockets outside the domain.
Constants: `include/uapi/linux/landlock.h`; behaviour: `Documentation/userspace-api/landlock.rst`.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIRECTORY, _REMOVE_FILE, _MAKE_DIRECTORY, _MAKE_REGULAR = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15

READ_ONLY = _READ_FILE | _READ_DIRECTORY
READ_WRITE = READ_ONLY | _WRITE_FILE | _TRUNCATE
SCRATCH = READ_WRITE | (_MAKE_REGULAR | _REMOVE_FILE) | (_MAKE_DIRECTORY | _REMOVE_DIRECTORY | _REFER)
"""Everything but links, devices, sockets and programs."""
DEVICE = READ_ONLY | _WRITE_FILE | _IOCTL_DEVICE
_FILE_RIGHTS = _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
"""The rights that a rule on something other than a directory may carry."""

_NETWORK_ALL = 0b11  # TCP bind, TCP connect
_SCOPE_ALL = 0b11  # abstract unix sockets, signals

_libc = ctypes.CDLL(None, use_errno=True)


def abi_version() -> int:
    """The kernel's Landlock ABI, or 0 where it has none or has it switched off."""
    version = int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION))
    return max(version, 0)


def _handled_file_rights(abi: int) -> int:
    known_bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)
    return (1 << known_bits) - 1


def restrict(rules: Iterable[tuple[Path, int]]) -> None:
    """Deny this thread, and all that it will start, every path but those below `rules` (path, rights).

    Paths that do not exist are passed over. Call it while the process has one thread, after no_new_privs.

    Raises:
        OSError: the kernel has no Landlock or refused.
    """
    abi = abi_version()
    handled = _handled_file_rights(abi)
    attributes = struct.pack("=Q", handled)
    if abi >= 4:
        attributes += struct.pack("=Q", _NETWORK_ALL)
    if abi >= 6:
        attributes += struct.pack("=Q", _SCOPE_ALL)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = _checked(_libc.syscall(_CREATE_RULESET, buffer, ctypes.c_size_t(len(attributes)), 0))
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & handled)
        _checked(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _FILE_RIGHTS
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor), 12)
        _checked(_libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return int(result)
