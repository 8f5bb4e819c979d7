"""The same throughput runs and the same kills under load, on this project's consensus and on PySyncObj.

Three processes on this machine, on loopback; the leader's process proposes. Ours syncs every write to the
disks of a majority and speaks mutual TLS; PySyncObj keeps nothing on disk in the throughput runs and is
neither synced nor encrypted in any. Prints two tables, or one JSON object with ``--json``::

    python -m benchmarks.raft_comparison [--seconds 5] [--kills 10] [--engine ours] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from functools import partial
from typing import Any

from benchmarks.raft_comparison import ours, pysync
from benchmarks.raft_comparison.campaign import KILL_INFLIGHT, kill, throughput
from benchmarks.raft_comparison.replicas import Replica

NAMES = {"ours": "memraft, synced, mutual TLS", "pysyncobj": "PySyncObj 0.3.17, unsynced, plain"}
LOADS = ((200, 1), (200, 64), (20_000, 64))
WIDTH = 34


def replica_of(engine: str, inflight: int) -> Replica:
    """What a process of an engine runs, with the settings that suit the load best."""
    if engine == "ours":
        return ours.replica
    return partial(pysync.replica, pysync.AT_ONCE if inflight == 1 else pysync.BATCHED)


def say(*words: object) -> None:
    """Progress, which is no result."""
    print(*words, file=sys.stderr, flush=True)


def sum_up(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One line of the table of kills."""
    pauses = sorted(run["pause_s"] for run in runs if run["pause_s"] is not None)
    return {
        "runs": len(runs),
        "acknowledged": sum(run["acknowledged"] for run in runs),
        "lost": sum(run["lost"] for run in runs),
        "runs_with_loss": sum(run["lost"] > 0 for run in runs),
        "stuck": sum(bool(run["stuck"]) for run in runs),
        "pause_p50_s": round(statistics.median(pauses), 2) if pauses else None,
        "pause_max_s": round(pauses[-1], 2) if pauses else None,
        "reasons": sorted({run["stuck"] for run in runs if run["stuck"]}),
    }


def print_throughput(results: list[dict[str, Any]]) -> None:
    columns = ("bytes", "inflight", "commits_per_s", "p50_ms", "p99_ms", "cut_applied")
    print(f"{'throughput':{WIDTH}}", *(f"{name:>13}" for name in columns))
    for run in results:
        values = [f"{run.get(name, '-'):>13}" for name in columns]
        print(f"{NAMES[run['engine']]:{WIDTH}}", *values, f"stuck: {run['stuck']}" if "stuck" in run else "")


def print_kills(results: list[dict[str, Any]]) -> None:
    columns = (
        "killed",
        "runs",
        "acknowledged",
        "lost",
        "runs_with_loss",
        "stuck",
        "pause_p50_s",
        "pause_max_s",
    )
    print(f"\n{'SIGKILL under load':{WIDTH}}", *(f"{name:>{len(name) + 1}}" for name in columns))
    for each in results:
        values = ("-" if each[name] is None else each[name] for name in columns)
        cells = (f"{value:>{len(name) + 1}}" for name, value in zip(columns, values, strict=True))
        print(f"{NAMES[each['engine']]:{WIDTH}}", *cells)
    print("lost: acknowledged, and missing on a replica once all run again. stuck: not back within 30 s.")
    print(
        "pause: to the next acknowledged write, from the leader's death or the start after the death of all."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.raft_comparison", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=5.0, help="of each throughput run")
    parser.add_argument("--kills", type=int, default=10, help="runs of each kind of kill")
    parser.add_argument(
        "--kill-after", type=float, default=1.5, metavar="SECONDS", help="of load before a kill"
    )
    parser.add_argument("--engine", choices=sorted(NAMES), action="append")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rates, kills = [], []
    for engine in args.engine or NAMES:
        for bytes_, inflight in LOADS if args.seconds else ():
            say(f"{engine}: {bytes_} bytes, {inflight} in flight")
            rates.append(
                {
                    "engine": engine,
                    **throughput(replica_of(engine, inflight), bytes_, inflight, args.seconds, False),
                }
            )
        for killed in ("leader", "all") if args.kills else ():
            runs = []
            for number in range(1, args.kills + 1):
                runs.append(kill(replica_of(engine, KILL_INFLIGHT), killed, args.kill_after))
                say(f"{engine}: kill {killed}, run {number}: {runs[-1]}")
            kills.append({"engine": engine, "killed": killed, "inflight": KILL_INFLIGHT, **sum_up(runs)})
    if args.json:
        machine = {"cpus": os.cpu_count(), "python": platform.python_version()}
        print(json.dumps({"benchmark": "raft_comparison", **machine, "throughput": rates, "kills": kills}))
    else:
        print_throughput(rates)
        print_kills(kills)


if __name__ == "__main__":
    main()
