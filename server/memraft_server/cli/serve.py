"""`memraft serve`: runs one node until it is told to stop (SIGTERM or Ctrl-C)."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""One, unless the operator says otherwise: a search is too small to be shared out, and the threads that numpy
would start take the cores of other nodes and of the event loop."""


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
    is_numpy_set = BLAS_THREADS in os.environ or "numpy" not in sys.modules
    os.environ.setdefault(BLAS_THREADS, "1")
    from memraft_server.config import load
    from memraft_server.node import run_node

    config = load(Path(arguments.config))
    if not is_numpy_set:
        _start_anew(arguments)
    if arguments.until_stdin_closes:
        threading.Thread(target=_stop_when_stdin_closes, daemon=True).start()
    return run_node(config)


def _start_anew(arguments: argparse.Namespace) -> None:
    """numpy reads the variable once, when it is loaded, as the client library has done by now where the
    program was started by its name. The same process begins again, without the client."""
    command = [sys.executable, "-m", "memraft_server.cli", "serve", "--config", arguments.config]
    if arguments.until_stdin_closes:
        command.append("--until-stdin-closes")
    os.execv(sys.executable, command)


def _stop_when_stdin_closes() -> None:
    # Below Python's own buffer, whose lock this thread would hold while the interpreter shuts down.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
