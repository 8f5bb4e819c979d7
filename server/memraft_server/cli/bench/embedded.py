"""What the memory in process costs: time for a get and a put, and RAM for a record.

Run as `python -m memraft_server.cli.bench.embedded`: reads an EmbeddedSpec as JSON from standard input and
prints an EmbeddedResult. A fresh process, so that resident memory is that of the records.
"""

import gc
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import msgspec

from memraft import Memory
from memraft_server.cli.bench.load import VALUE
from memraft_server.cli.errors import CliError
from memraft_server.cli.figures import latencies, resident_bytes

RECORDS_A_CALL = 1_000
TIMEOUT_S = 900.0
POLL_S = 0.001
SEED = 20_261_121


class EmbeddedSpec(msgspec.Struct, frozen=True):
    """How much to do: `calls` a round are timed one by one, `records` are stored to weigh them, `documents`
    to query them, `scans` times a round without an index."""

    calls: int
    durable_calls: int
    rounds: int
    records: int
    documents: int
    scans: int


class EmbeddedResult(msgspec.Struct, frozen=True):
    """The p50 of each round in microseconds, the timer's cost included; and bytes a record."""

    get_us: list[float]
    put_us: list[float]
    durable_put_us: list[float]
    bytes_per_record: float
    records: int
    query_us: list[float]
    scan_us: list[float]
    index_s: float
    """Seconds that the index took that the queries use and the scans do not."""
    bytes_per_entry: float
    """Of that index."""


def measure_apart(spec: EmbeddedSpec) -> EmbeddedResult:
    """Measures in a process of its own. CliError where that fails."""
    done = subprocess.run(
        [sys.executable, "-m", "memraft_server.cli.bench.embedded"],
        input=msgspec.json.encode(spec),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        end = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise CliError(f"the embedded measurement failed: {' '.join(end)}")
    return msgspec.json.decode(done.stdout, type=EmbeddedResult)


def _p50_us(call: Callable[[str], object], keys: list[str]) -> float:
    clock = time.perf_counter
    durations: list[float] = []
    for key in keys:
        began = clock()
        call(key)
        durations.append(clock() - began)
    return latencies(durations).p50_us


def _rounds(call: Callable[[str], object], calls: int, rounds: int) -> list[float]:
    """The p50 of each round, after a round to warm up; keys are new in every round."""
    return [
        _p50_us(call, [f"key:{number:012d}" for number in range(start * calls, (start + 1) * calls)])
        for start in range(rounds + 1)
    ][1:]


def measure(spec: EmbeddedSpec) -> EmbeddedResult:
    """Weighs records first, while the process is fresh, and then takes the times."""
    bytes_per_record = _weigh(spec.records)
    query_us, scan_us, index_s, bytes_per_entry = _query(spec)
    with Memory(agent="bench", namespace="acme/bench") as memory:
        put_us = _rounds(lambda key: memory.put(key, VALUE), spec.calls, spec.rounds)
        get_us = _rounds(memory.get, spec.calls, spec.rounds)
    with tempfile.TemporaryDirectory(prefix="memraft-bench-") as directory:
        with Memory(path=directory, agent="bench", namespace="acme/bench") as memory:
            durable_us = _rounds(lambda key: memory.put(key, VALUE), spec.durable_calls, spec.rounds)
    return EmbeddedResult(
        get_us=get_us,
        put_us=put_us,
        durable_put_us=durable_us,
        bytes_per_record=bytes_per_record,
        records=spec.records,
        query_us=query_us,
        scan_us=scan_us,
        index_s=index_s,
        bytes_per_entry=bytes_per_entry,
    )


def _query(spec: EmbeddedSpec) -> tuple[list[float], list[float], float, float]:
    """Asks for the one document that has a number: without an index, and with one."""
    documents, numbers = spec.documents, random.Random(SEED)
    with Memory(agent="bench", namespace="acme/query") as memory:
        for start in range(0, documents, RECORDS_A_CALL):
            memory.put_many(
                {
                    f"key:{n:012d}": {"number": n, "text": VALUE}
                    for n in range(start, min(start + RECORDS_A_CALL, documents))
                }
            )

        def rounds(calls: int) -> list[float]:
            wanted = [
                [str(numbers.randrange(documents)) for _ in range(calls)] for _ in range(spec.rounds + 1)
            ]
            return [_p50_us(lambda number: memory.query({"number": int(number)}), each) for each in wanted][
                1:
            ]

        scan_us = rounds(spec.scans)
        gc.collect()
        before, began = resident_bytes(), time.perf_counter()
        memory.declare_index("number")
        while memory.indexes()[0].state != "ready":
            time.sleep(POLL_S)
        index_s = time.perf_counter() - began
        gc.collect()
        bytes_per_entry = (resident_bytes() - before) / documents
        return rounds(spec.calls // 10), scan_us, index_s, bytes_per_entry


def _weigh(records: int) -> float:
    """Resident bytes that one record of 100 bytes adds, its key (16 bytes) and its version included."""
    with Memory(agent="bench", namespace="acme/weigh") as memory:
        memory.put("first", VALUE)
        gc.collect()
        before = resident_bytes()
        for start in range(0, records, RECORDS_A_CALL):
            memory.put_many(
                {f"key:{n:012d}": VALUE for n in range(start, min(start + RECORDS_A_CALL, records))}
            )
        gc.collect()
        return (resident_bytes() - before) / records


def main() -> None:
    """Reads the spec, measures, prints the result."""
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=EmbeddedSpec)
    sys.stdout.buffer.write(msgspec.json.encode(measure(spec)))


if __name__ == "__main__":
    main()
