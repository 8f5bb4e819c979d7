"""Percentiles, medians over rounds and their spread, and the facts of the machine they were measured on."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np


class Latencies(msgspec.Struct, frozen=True):
    """How long operations took, in microseconds."""

    count: int
    p50_us: float
    p99_us: float
    max_us: float


def latencies(durations_s: Sequence[float]) -> Latencies:
    """Sums up durations in seconds. Without any, all figures are 0."""
    if not len(durations_s):
        return Latencies(count=0, p50_us=0.0, p99_us=0.0, max_us=0.0)
    ordered = np.asarray(durations_s, dtype=np.float64) * 1e6
    p50, p99 = np.percentile(ordered, (50, 99))
    return Latencies(
        count=len(durations_s),
        p50_us=round(float(p50), 2),
        p99_us=round(float(p99), 2),
        max_us=round(float(ordered.max()), 2),
    )


class Spread(msgspec.Struct, frozen=True):
    """A figure measured in several rounds: the median counts, least and greatest say how steady it is."""

    median: float
    least: float
    greatest: float


def spread(rounds: Sequence[float]) -> Spread:
    """Sums up one figure over at least one round."""
    ordered = np.asarray(rounds, dtype=np.float64)
    return Spread(
        median=round(float(np.median(ordered)), 3),
        least=round(float(ordered.min()), 3),
        greatest=round(float(ordered.max()), 3),
    )


class Machine(msgspec.Struct, frozen=True):
    """Where figures were measured."""

    cores: int
    cpu: str
    memory_bytes: int
    python: str
    system: str


def machine() -> Machine:
    """Returns the facts of this machine; `cores` are those this process may use."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=_cpu_model(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
    )


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process in bytes."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
