"""Confinement of a media child by the kernel's own means: rlimits, no_new_privs, Landlock, seccomp."""

from shared.jobs.sandbox.confinement import (
    Confinement,
    SandboxMode,
    SandboxReport,
    SandboxUnavailable,
    confine,
    probe_sandbox,
    require_sandbox,
)

__all__ = [
    "Confinement",
    "SandboxMode",
    "SandboxReport",
    "SandboxUnavailable",
    "confine",
    "probe_sandbox",
    "require_sandbox",
]
