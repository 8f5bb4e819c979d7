"""`memraft serve`: runs one node until it is told to stop (SIGTERM or Ctrl-C)."""

import argparse
import logging
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""One, unless the operator says otherwise: a search is too small to be shared out, and the threads that numpy
would start take the cores of other nodes and of the event loop."""

FILES_WANTED = 65_536
"""More than a node opens. What shells allow at first is often 1,024, for programs that use `select`."""


def register(commands: Any) -> None:
    """Adds `serve`."""
    parser = commands.add_parser("serve", help="run one node", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("--config", metavar="FILE", required=True, help="the node's node.toml")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="stop as well when standard input ends, so that the node does not outlive what started it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Reads the configuration and runs the node to its end."""
    os.environ.setdefault(BLAS_THREADS, "1")  # numpy reads it once, when it is loaded: with what follows
    from memraft_server.config import load
    from memraft_server.node import run_node

    config = load(Path(arguments.config))
    raise_file_limit()
    if arguments.until_stdin_closes:
        threading.Thread(target=_stop_when_stdin_closes, daemon=True).start()
    logging.getLogger("memraft.node").addHandler(_PlainLine(logging.CRITICAL))
    return run_node(config)


def raise_file_limit() -> None:
    """Lets the process open as many files as a node may need, as far as the hard limit allows that: how many
    connections are taken follows from it."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if most == resource.RLIM_INFINITY else min(FILES_WANTED, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class _PlainLine(logging.Handler):
    """Says beside the log, as every command does, in one line why the node cannot start."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        why = " ".join(str(fields.get("error", "")).split())
        print(f"memraft: {record.getMessage()}{': ' if why else ''}{why}", file=sys.stderr)


def _stop_when_stdin_closes() -> None:
    # Below Python's own buffer, whose lock this thread would hold while the interpreter shuts down.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
