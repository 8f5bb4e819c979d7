"""What faults need of the machine, tried once in the sandbox. Each answers why it is not to be had."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

from tests.acceptance.campaign import packets
from tests.acceptance.campaign.sandbox import SandboxError, run_command, try_command

FIU_PRELOADS = ("fiu_run_preload.so", "fiu_posix_preload.so")
_LIBRARY_FOLDERS = ("/usr/lib", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")


@functools.cache
def namespaces() -> str:
    """Network namespaces with `ip`."""
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        if shutil.which(program) is None:
            return f"no program `{program}` (Debian package {package})"
    return ""


def _trial(*rule: str) -> str:
    """Why a packet filter does not take a rule; empty where it does. It is taken back."""
    if shutil.which("iptables") is None:
        return "no program `iptables` (Debian package iptables)"
    failure = try_command(["iptables", "-w", "-A", "OUTPUT", *rule])
    if not failure:
        run_command("iptables", "-w", "-D", "OUTPUT", *rule)
    return failure and f"this kernel's packet filter has no such rule: {failure}"


_NOBODY = ("-d", "192.0.2.1")
"""An address of documentation: nothing goes there."""


@functools.cache
def iptables() -> str:
    """Packet filters in namespaces."""
    return namespaces() or _trial(*_NOBODY, "-j", "DROP")


@functools.cache
def statistic() -> str:
    """Filters that drop at random."""
    return iptables() or _trial(
        *_NOBODY, "-m", "statistic", "--mode", "random", "--probability", "0.5", "-j", "DROP"
    )


@functools.cache
def nfqueue() -> str:
    """Queues of packets in user space."""
    if failure := iptables() or _trial(*_NOBODY, "-j", "NFQUEUE", "--queue-num", str(packets.TRIAL_QUEUE)):
        return failure
    try:
        packets.bind(packets.TRIAL_QUEUE).close()
    except OSError as error:
        return f"this kernel has no packet queues for user space (NFQUEUE): {error}"
    return ""


@functools.cache
def tmpfs() -> str:
    """Small file systems of one's own."""
    try:
        os.makedirs(trial := "/run/campaign-trial", exist_ok=True)
        run_command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", trial)
        run_command("umount", trial)
    except (SandboxError, OSError) as error:
        return f"no tmpfs can be mounted: {error}"
    return ""


def _library(*names: str) -> Path | None:
    for folder in _LIBRARY_FOLDERS:
        for name in names:
            if os.path.exists(path := f"{folder}/{name}"):
                return Path(path)
    return None


def faketime_library() -> Path | None:
    """libfaketime; the build for threads (MT) holds a lock in every wait, and a node crawls."""
    return _library("faketime/libfaketime.so.1", "libfaketime.so.1")


def fiu_libraries() -> list[Path]:
    """What is preloaded to make system calls fail on demand; empty where it is not installed."""
    found = [_library(f"fiu/{name}") for name in FIU_PRELOADS]
    return [path for path in found if path is not None] if all(found) else []


@functools.cache
def faketime() -> str:
    """Wall clocks that jump."""
    return "" if faketime_library() else "no libfaketime (Debian package libfaketime)"


@functools.cache
def fiu() -> str:
    """System calls that fail on demand."""
    if not fiu_libraries():
        return "no libfiu (Debian package libfiu0)"
    if shutil.which("fiu-ctrl") is None:
        return "no program `fiu-ctrl` (Debian package fiu-utils)"
    return ""
