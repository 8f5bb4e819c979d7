"""Sets the stage for `memraft demo` and prints what came of it."""

import argparse
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from memraft_server.cli.demo import locomo, replay, report, timemachine_report, why_report
from memraft_server.cli.demo.story import FULL, QUICK, Say, Story
from memraft_server.cli.demo.timemachine import TimeMachine
from memraft_server.cli.demo.why import Why
from memraft_server.cli.devcluster import DevCluster
from memraft_server.cli.ending import Ending
from memraft_server.cli.errors import CliError, UsageError
from memraft_server.cli.output import Progress, print_json, progress

T = TypeVar("T")

MAJORITY_NEEDS = 3
"""With fewer nodes no majority is left when one is killed."""


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo that the arguments ask for and returns the exit status."""
    if arguments.what and arguments.input:
        raise UsageError(f"--input is for the demo without {arguments.what}")
    if not arguments.input and arguments.nodes < MAJORITY_NEEDS:
        raise UsageError(f"the demo kills a node: it needs --nodes {MAJORITY_NEEDS} or more")
    with Ending() as ending:
        return _replay(arguments, ending) if arguments.input else _story(arguments, ending)


def _story(arguments: argparse.Namespace, ending: Ending) -> int:
    with progress(quiet=arguments.json) as shown:

        def say(text: str) -> None:
            if not arguments.json:
                shown.clear()
                print(text, flush=True)

        with _cluster(arguments, shown, ending) as cluster:
            nodes = cluster.plan.nodes
            pids = ", ".join(f"{node.name} (pid {cluster.pid(node.name)})" for node in nodes)
            say(f"{len(nodes)} nodes, {cluster.plan.shards} shards, mutual TLS: {pids}")
            outcome, text = _play(arguments, cluster, ending, say, shown)
            shown.step("stopping the nodes …")
    if arguments.json:
        print_json({**_kept(arguments), "good": outcome.good, "outcome": outcome})
    else:
        print(f"\n{text}")
    return 0 if outcome.good else 1


def _play(
    arguments: argparse.Namespace, cluster: DevCluster, ending: Ending, say: Say, shown: Progress
) -> tuple[Any, str]:
    """What came of the demo, and how a person reads it."""
    if arguments.what == "why":
        explained = _run(ending, Why(cluster, say, shown.update).run())
        return explained, why_report.render(explained)
    if arguments.what == "time-machine":
        found = _run(ending, TimeMachine(cluster, say, shown.update).run())
        return found, timemachine_report.render(found)
    outcome = _run(ending, Story(cluster, QUICK if arguments.quick else FULL, say, shown.update).run())
    return outcome, report.render(outcome)


def _replay(arguments: argparse.Namespace, ending: Ending) -> int:
    file = Path(arguments.input)
    with progress(quiet=arguments.json) as shown:
        shown.step(f"reading {file.name} …")
        conversations = locomo.read(file)
        with _cluster(arguments, shown, ending) as cluster:
            outcome = _run(ending, replay.replay(cluster, file, conversations, shown.update))
            shown.step("stopping the nodes …")
    if arguments.json:
        print_json(outcome)
    else:
        print(replay.render(outcome))
    return 0


@contextmanager
def _cluster(arguments: argparse.Namespace, shown: Progress, ending: Ending) -> Iterator[DevCluster]:
    """A cluster whose nodes are ready: in --dir, where it stays, or in a directory that goes with it."""
    with tempfile.TemporaryDirectory(prefix="memraft-demo-") as temporary:
        directory = Path(arguments.dir) if arguments.dir else Path(temporary) / "cluster"
        if (directory / "cluster.json").exists():
            raise CliError(f"{directory} holds a cluster already; the demo wants a directory of its own")
        with DevCluster.open(directory, nodes=arguments.nodes) as cluster:
            cluster.start(ending.checking(shown.update))
            yield cluster


def _kept(arguments: argparse.Namespace) -> dict[str, str]:
    return {"directory": str(Path(arguments.dir).resolve())} if arguments.dir else {}


def _run(ending: Ending, main: Coroutine[Any, Any, T]) -> T:
    """Runs to the end; of failures that came together, the first one is what the user is told."""
    try:
        return ending.run(main)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group
