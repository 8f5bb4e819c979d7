"""`memraft demo`: three nodes, three agents, one memory, and a leader that is killed under load.

With time-machine it is another one: a recorded run with a wrong answer is explained, forked, corrected,
compared and replayed. With why: what an answer was made from, why of these memories, and what is known today.
With --input it replays real conversations in the LoCoMo form and measures what recall
finds.
"""

import argparse
from typing import Any

from memraft_server.cli.connection import add_json


def register(commands: Any) -> None:
    """Adds `demo`."""
    parser = commands.add_parser(
        "demo", help="three nodes, three agents, one memory that survives its leader", description=__doc__
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("time-machine", "why"),
        help="time-machine: a run with a wrong answer, and what mends it; why: what is behind an answer",
    )
    parser.add_argument("--input", metavar="FILE", help="replay the conversations of a LoCoMo JSON file")
    parser.add_argument("--nodes", type=int, default=3, metavar="N", help="how many nodes (3)")
    parser.add_argument("--dir", metavar="DIR", help="keep the cluster here (else a temporary directory)")
    parser.add_argument("--quick", action="store_true", help="fewer tickets, for tests")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Plays the demo; exit status 1 where a promise did not hold."""
    from memraft_server.cli.demo.command import run as run_demo

    return run_demo(arguments)
