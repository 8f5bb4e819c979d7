"""`memraft` on a machine that has only the client's needs says what to install."""

import os
import subprocess
import sys
from pathlib import Path

# None in sys.modules makes an import fail as for a package that is not installed.
HIDE_AND_RUN = """
import sys
sys.modules.update(dict.fromkeys({hidden!r}))
from memraft_server.cli import program
sys.argv = {command!r}
sys.exit(program())
"""

SERVER_PACKAGES = ["cryptography", "google.rpc", "grpc_health", "grpc_reflection"]
SERVER_PACKAGES += ["prometheus_client", "rocksdict"]


def run_without(hidden: list[str], *command: str) -> subprocess.CompletedProcess[str]:
    code = HIDE_AND_RUN.format(hidden=hidden, command=["memraft", *command])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_command_line_explains_itself_without_the_extra() -> None:
    done = run_without(SERVER_PACKAGES, "--help")
    assert done.returncode == 0, done.stderr


def test_a_command_that_needs_the_extra_says_what_to_install() -> None:
    done = run_without(SERVER_PACKAGES, "demo")
    assert done.returncode == 1
    assert "memraft[server]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_install_is_not_explained_away() -> None:
    """Our own module missing is a bug of ours: it must show its traceback, not advice about extras."""
    done = run_without(["memraft_server.cli.app"], "--help")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "memraft[server]" not in done.stderr


ENDLESS = """
import sys, threading
from memraft_server.cli import program

class Call:  # as one of gRPC's whose lock a thread has when the interpreter ends and stops that thread
    lock = threading.Lock()

    def __del__(self):
        self.lock.acquire()

Call.lock.acquire()
call = Call()
sys.argv = ["memraft", "status"]
sys.exit(program())
"""


def test_a_command_ends_whatever_the_interpreter_would_wait_for() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEMRAFT_")}
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "say where the cluster is" in done.stderr


def run_with_closed(streams: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs `memraft` as a shell does with `>&-` and the like: without these standard streams."""
    code = "from memraft_server.cli import program; import sys; sys.argv[:1] = ['memraft']; program()"
    shell = ["sh", "-c", f'exec "$0" "$@" {streams}', sys.executable, "-c", code, *command]
    return subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False)


def test_a_command_without_standard_streams_works_and_writes_into_no_file_of_its_own(tmp_path: Path) -> None:
    where = ["--path", str(tmp_path / "memory"), "--namespace", "acme/a"]
    done = run_with_closed("<&- >&-", "kv", "put", "k", "1", *where)
    assert (done.returncode, done.stderr) == (0, "")
    assert run_with_closed("<&- >&- 2>&-", "kv", "get", "none", *where).returncode == 1
    assert run_with_closed("", "kv", "get", "k", *where).stdout == "1\n"
    done = run_with_closed("<&-", "kv", "put", "k", "-", "--string", *where)
    assert (done.returncode, done.stderr) == (0, "")
    assert run_with_closed("", "doctor", str(tmp_path / "memory")).returncode == 0
