"""What a write waits for while a snapshot of its shard is read: three real nodes, a probe in another process.

Loads one shard, then puts one document after the other while `memraft backup` streams snapshots of it, and as
long before without. Prints one JSON object::

    python benchmarks/snapshot_stall.py --records 200000 --seconds 10

``over_10_ms`` counts the writes that took more than 10 ms longer than the median write without a snapshot.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from memraft import Memory
from memraft_server.cli.devcluster import DevCluster

NAMESPACE = "acme/support"
STALL_MS = 10.0
LOAD_AT_ONCE = 1_000


def probe(endpoints: str, certs: Path, gate: Connection) -> None:
    """Puts one document after the other; answers every message with the latencies since the last, in ms."""
    latencies_ms: list[float] = []
    with Memory(endpoints, certs=certs, namespace=NAMESPACE) as memory:
        while True:
            if gate.poll():
                if gate.recv() == "end":
                    return
                gate.send(latencies_ms)
                latencies_ms = []
            began = time.perf_counter()
            memory.put("probe", {"at": began})
            latencies_ms.append((time.perf_counter() - began) * 1e3)


def load(endpoints: str, certs: Path, records: int) -> None:
    """Fills the shard with documents of about 200 bytes."""
    with Memory(endpoints, certs=certs, namespace=NAMESPACE, timeout_s=60) as memory:
        for start in range(0, records, LOAD_AT_ONCE):
            with memory.batch() as batch:
                for number in range(start, min(start + LOAD_AT_ONCE, records)):
                    batch.put(f"ticket:{number}", {"number": number, "text": "x" * 160})


def told(gate: Connection) -> list[float]:
    """The latencies since the last time."""
    gate.send("tell")
    latencies_ms: list[float] = gate.recv()
    return latencies_ms


def summed(latencies_ms: Sequence[float], median_ms: float) -> dict[str, float]:
    """What a person wants to know of latencies."""
    ordered = sorted(latencies_ms)
    return {
        "writes": len(ordered),
        "p50_ms": round(ordered[len(ordered) // 2], 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 2),
        "worst_ms": round(ordered[-1], 2),
        "over_10_ms": sum(each > median_ms + STALL_MS for each in ordered),
    }


def back_up(cluster: DevCluster, folder: Path, seconds: float) -> int:
    """Backups one after the other until the time is over; returns how many."""
    ends_at = time.monotonic() + seconds
    done = 0
    while time.monotonic() < ends_at:
        command = [
            sys.executable,
            "-m",
            "memraft_server.cli",
            "backup",
            "--out",
            str(folder / f"backup-{done}"),
        ]
        command += ["--endpoints", cluster.endpoints, "--certs", str(cluster.operator_certs)]
        # The reader of the backup is not what is measured: it may have what the nodes leave.
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.nice(19))
        done += 1
    return done


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description="What a write waits for while a snapshot is read.")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    # The backups go to memory where there is such a folder: their disk is another one in earnest.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with (
        tempfile.TemporaryDirectory(prefix="memraft-stall-") as name,
        tempfile.TemporaryDirectory(prefix="memraft-stall-", dir=memory) as out,
    ):
        folder = Path(name)
        with DevCluster.open(folder / "nodes", 3, 1, None) as cluster:
            cluster.start()
            certs = cluster.agent_certs("acme", "support")
            load(cluster.endpoints, certs, options.records)
            gate, other = context.Pipe()
            process = context.Process(target=probe, args=(cluster.endpoints, certs, other))
            process.start()
            time.sleep(2.0)
            told(gate)
            time.sleep(options.seconds)
            without = told(gate)
            backups = back_up(cluster, Path(out), options.seconds)
            during = told(gate)
            gate.send("end")
            process.join()
    median_ms = sorted(without)[len(without) // 2]
    result = {"records": options.records, "backups": backups}
    print(json.dumps({**result, "without": summed(without, median_ms), "during": summed(during, median_ms)}))


if __name__ == "__main__":
    main()
