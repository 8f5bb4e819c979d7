"""What the memory in process costs: time for a get and a put, and RAM for a record.

Run as `python -m memraft_server.cli.bench.embedded`: reads an EmbeddedSpec as JSON from standard input and
prints an EmbeddedResult. A fresh process, so that resident memory is that of the records.
"""

import gc
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


class EmbeddedSpec(msgspec.Struct, frozen=True):
    """How much to do: `calls` a round are timed one by one, `records` are stored to weigh them."""

    calls: int
    durable_calls: int
    rounds: int
    records: int


class EmbeddedResult(msgspec.Struct, frozen=True):
    """The p50 of each round in microseconds, the timer's cost included; and bytes a record."""

    get_us: list[float]
    put_us: list[float]
    durable_put_us: list[float]
    bytes_per_record: float
    records: int


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
    )


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
