"""How long a durable memory takes to open: the state store is read, then the log behind it is replayed.

Writes documents of about 100 bytes into an embedded memory on disk, closes it, and opens it again in another
process. Prints one JSON object::

    python benchmarks/start_up.py --records 1000000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from memraft import Memory

LOAD_AT_ONCE = 5_000
OPEN = """
import json, resource, sys, time
from memraft import Memory
began, cpu = time.perf_counter(), time.process_time()
with Memory(path=sys.argv[1]) as memory:
    memory.get("ticket:0")
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
print(json.dumps({"open_s": round(took_s, 2), "cpu_s": round(cpu_s, 2),
    "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description="How long a durable memory takes to open.")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memraft-start-") as name:
        folder = str(Path(name) / "memory")
        began = time.perf_counter()
        with Memory(path=folder) as memory:
            for start in range(0, options.records, LOAD_AT_ONCE):
                with memory.batch() as batch:
                    for number in range(start, min(start + LOAD_AT_ONCE, options.records)):
                        batch.put(f"ticket:{number}", {"number": number, "text": "x" * 80})
        result: dict[str, object] = {
            "records": options.records,
            "load_s": round(time.perf_counter() - began, 1),
        }
        rounds = []
        for _ in range(options.rounds):
            command = [sys.executable, "-c", OPEN, folder]
            rounds.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        print(json.dumps({**result, "rounds": rounds}))


if __name__ == "__main__":
    main()
