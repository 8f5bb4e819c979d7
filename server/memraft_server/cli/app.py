"""Parses the command line, runs the command, and turns failures into one line and an exit status."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, NoReturn

import memraft_server.cli.backup as backup
import memraft_server.cli.bench as bench
import memraft_server.cli.certs as certs
import memraft_server.cli.cluster as cluster
import memraft_server.cli.counter as counter
import memraft_server.cli.demo as demo
import memraft_server.cli.doctor as doctor
import memraft_server.cli.fork as fork
import memraft_server.cli.gate as gate
import memraft_server.cli.graph as graph
import memraft_server.cli.index as index
import memraft_server.cli.kv as kv
import memraft_server.cli.leader as leader
import memraft_server.cli.lock as lock
import memraft_server.cli.memory as memory
import memraft_server.cli.namespace as namespace
import memraft_server.cli.projection as projection
import memraft_server.cli.receipt as receipt
import memraft_server.cli.reembed as reembed
import memraft_server.cli.retention as retention
import memraft_server.cli.run as run
import memraft_server.cli.serve as serve
import memraft_server.cli.state as state
import memraft_server.cli.status as status
import memraft_server.cli.stream as stream
import memraft_server.cli.timeline as timeline
import memraft_server.cli.trace as trace
import memraft_server.cli.txn as txn
import memraft_server.cli.up as up
import memraft_server.cli.vector as vector
import memraft_server.cli.watch as watch
from memraft_server.cli import EXIT_INTERRUPTED
from memraft_server.cli.ending import Interrupted
from memraft_server.cli.errors import CliError

GROUPS: tuple[ModuleType, ...] = (
    demo,
    up,
    serve,
    certs,
    status,
    cluster,
    backup,
    doctor,
    kv,
    namespace,
    state,
    stream,
    memory,
    receipt,
    reembed,
    vector,
    graph,
    index,
    watch,
    run,
    fork,
    retention,
    timeline,
    lock,
    leader,
    counter,
    gate,
    txn,
    projection,
    trace,
    bench,
)

OUR_PACKAGES = frozenset({"memraft", "memraft_server", "memraft_cluster"})

DESCRIPTION = "A replicated memory for fleets of AI agents."
EPILOG = (
    "Where commands connect: --endpoints and --certs, or MEMRAFT_ENDPOINTS and MEMRAFT_CERTS; --path for a "
    "directory without a server. `memraft COMMAND --help` explains each command."
)


class _Parser(argparse.ArgumentParser):
    """argparse with the errors of this program: one line, exit status 2, and where to look."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"memraft: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse, but that what is left over is an error here: the help of this command tells of it."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser with all command groups registered."""
    parser = _Parser(prog="memraft", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"memraft {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    for group in GROUPS:
        group.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    argv: the arguments without the program's name; left out: those of the process.
    """
    arguments = build_parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        status_code = run(arguments)
        sys.stdout.flush()
        return status_code
    except CliError as error:
        return _fail(str(error), error.exit_status)
    except Interrupted as error:
        return _fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough (`memraft kv list | head`). Python would complain once
        # more when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 1)
    except Exception as error:
        if _is_ours(error):
            return _fail(str(error) or type(error).__name__, 1)
        raise


def _is_ours(error: Exception) -> bool:
    """Whether `error` is one that the project raises: these have messages for the user. All else is a defect,
    and a defect shows its traceback."""
    return type(error).__module__.partition(".")[0] in OUR_PACKAGES


def _fail(message: str, exit_status: int) -> int:
    print(f"memraft: {' '.join(message.split())}", file=sys.stderr)
    return exit_status


def _version() -> str:
    try:
        return version("memraft")
    except PackageNotFoundError:
        return "(not installed)"
