"""A private machine for the campaign: its own processes, mounts and networks, which all go when it ends.

The harness runs as the first process of a PID namespace, inside private mount and network namespaces. When it
ends, in whatever way, the kernel ends every process in there; with them go mounts, namespaces, links and
packet filters. So there is nothing to clean up by hand after a crash, and nothing of the machine outside is
ever touched but one directory, which the process outside removes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID = 0x0002_0000, 0x4000_0000, 0x2000_0000
PR_SET_PDEATHSIG = 1

EXIT_SIGNALLED = 128
"""A process ended by a signal exits with this plus the signal's number, as shells have it."""


COMMAND_TIMEOUT_S = 20.0


class SandboxError(Exception):
    """A private machine cannot be had here; the message says why."""


def run_command(*command: str) -> str:
    """Runs a program and returns what it printed. Raises SandboxError with its words where it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SandboxError(f"{' '.join(command)}: not done in {COMMAND_TIMEOUT_S:.0f} s") from None
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        raise SandboxError(f"{' '.join(command)}: {said or f'exit status {done.returncode}'}")
    return done.stdout


def why_not() -> str:
    """Why no sandbox can be made by this process; empty where it can."""
    if sys.platform != "linux":
        return f"network and PID namespaces need Linux, this is {sys.platform}"
    if os.geteuid() != 0:
        return "namespaces and mounts need root"
    return ""


def run_inside(main: Callable[[], int]) -> int:
    """Runs ``main`` in a sandbox and returns its exit status, or 128 + the signal that ended it.

    Call it before threads are started. SIGINT and SIGTERM end the sandbox at once, with all that is in it.

    Raises:
        SandboxError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID) != 0:
        raise SandboxError(f"unshare: {os.strerror(ctypes.get_errno())}")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # Should the process outside be killed, this one and all that it started go with it.
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            _furnish()
            status = main()
        except SandboxError as error:
            print(f"campaign: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            status = EXIT_SIGNALLED + signal.SIGINT
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return _wait(child)


def _wait(child: int) -> int:
    received: list[int] = []

    def end(number: int, frame: object) -> None:
        received.append(number)
        os.kill(child, signal.SIGKILL)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        _, status = os.waitpid(child, 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        return EXIT_SIGNALLED + received[0]
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else EXIT_SIGNALLED + os.WTERMSIG(status)


def _furnish() -> None:
    """Mounts what is this machine's own: /proc, /run for `ip netns`, /dev/shm."""
    run_command("mount", "--make-rprivate", "/")
    run_command("mount", "-t", "proc", "proc", "/proc")
    run_command("mount", "-t", "tmpfs", "tmpfs", "/run")
    run_command("mount", "-t", "tmpfs", "tmpfs", "/dev/shm")
    os.mkdir("/run/netns")
    run_command("ip", "link", "set", "lo", "up")


def try_command(command: Sequence[str]) -> str:
    """Why a program cannot be run with success; empty where it can."""
    try:
        run_command(*command)
    except (SandboxError, OSError) as error:
        return str(error)
    return ""
