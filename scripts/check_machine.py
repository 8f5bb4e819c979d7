"""Says what a fresh machine lacks before anything is installed. Runs on the standard library alone."""

from __future__ import annotations  # an older interpreter must get as far as saying that it is too old

import importlib.util
import sys

PYTHON_MIN = (3, 11)


def problems() -> list[str]:
    """What keeps this interpreter and machine from building the environment; one sentence each."""
    found = []
    if sys.version_info < PYTHON_MIN:
        version = ".".join(map(str, sys.version_info[:3]))
        found.append(
            f"Python {PYTHON_MIN[0]}.{PYTHON_MIN[1]} or newer is needed, {sys.executable} is {version}; "
            "choose one with `make PYTHON=python3.11 ...`"
        )
    if importlib.util.find_spec("ensurepip") is None:
        found.append("the module venv lacks ensurepip; on Debian: apt-get install python3-venv")
    return found


if __name__ == "__main__":
    lacking = problems()
    for sentence in lacking:
        print("memraft: " + sentence, file=sys.stderr)
    sys.exit(1 if lacking else 0)
