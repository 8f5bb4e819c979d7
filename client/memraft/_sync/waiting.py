# Generated from _async/waiting.py by scripts/generate_sync.py: edit that one.

"""Waits until something on the server has become so. The one place where the client looks again and again."""

import random
from collections.abc import Callable
from typing import TypeVar

from .io import monotonic, sleep

R = TypeVar("R")

PAUSE_FIRST_S = 0.02
PAUSE_MAX_S = 0.2
JITTER = 0.2
"""Pauses differ by up to this part, so that those who wait for one thing do not all ask at once."""


def wait_until(look: Callable[[], R | None], timeout_s: float | None) -> R | None:
    """Looks until there is something to see, at once and then after pauses that grow to `PAUSE_MAX_S`.

    Args:
        look: returns what was waited for, or None.
        timeout_s: seconds to go on for; None: for ever.

    Returns:
        What `look` returned; None where the time is up.
    """
    end_s = None if timeout_s is None else monotonic() + timeout_s
    pause_s = PAUSE_FIRST_S
    while True:
        found = look()
        if found is not None:
            return found
        wait_s = pause_s * random.uniform(1.0 - JITTER, 1.0)
        if end_s is not None:
            wait_s = min(wait_s, end_s - monotonic())
        if wait_s <= 0:
            return None
        sleep(wait_s)
        pause_s = min(2 * pause_s, PAUSE_MAX_S)
