"""``make fuzz SECONDS=60 SEED=1``. Prints what fails with its seed; ``--seed N --count 1`` does it again."""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.fuzz.http2 import run_one

FAILURES_MAX = 10


def main() -> int:
    """Returns 1 where anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=0, help="so many sessions; 0: as time allows")
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.seconds
    failures = done = 0
    while (done < arguments.count or not arguments.count) and time.monotonic() < deadline:
        seed = arguments.seed + done
        done += 1
        try:
            run_one(seed)
        except Exception:
            failures += 1
            print(f"seed {seed}:\n{traceback.format_exc()}", file=sys.stderr)
            if failures == FAILURES_MAX:
                break
    print(f"{done} sessions from seed {arguments.seed} on, {failures} of them wrong")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
