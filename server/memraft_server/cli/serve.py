"""`memraft serve`: runs one node until it is told to stop (SIGTERM or Ctrl-C)."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any


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
    from memraft_server.config import load
    from memraft_server.node import run_node

    config = load(Path(arguments.config))
    if arguments.until_stdin_closes:
        threading.Thread(target=_stop_when_stdin_closes, daemon=True).start()
    return run_node(config)


def _stop_when_stdin_closes() -> None:
    # Below Python's own buffer, whose lock this thread would hold while the interpreter shuts down.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
