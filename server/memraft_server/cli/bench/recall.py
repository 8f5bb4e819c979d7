"""`memraft bench recall`: how fast recall is, and with --input how much it finds in real conversations."""

import argparse

from memraft_server.cli.errors import UsageError

MEMORIES_MAX = 10_000_000


def run(arguments: argparse.Namespace) -> int:
    """Measures and prints it. The exit status is 0 whether targets are reached or not."""
    if arguments.input:
        if arguments.memories is not None:
            raise UsageError("--memories is for the speed of recall, without --input")
        from memraft_server.cli.bench.recall_quality import run as run_quality

        return run_quality(arguments)
    if arguments.cluster:
        raise UsageError("--cluster is for what recall finds, with --input")
    if arguments.memories is not None and not 1 <= arguments.memories <= MEMORIES_MAX:
        raise UsageError(f"--memories is a number from 1 to {MEMORIES_MAX:,}")
    from memraft_server.cli.bench.recall_speed import run as run_speed

    return run_speed(arguments)
