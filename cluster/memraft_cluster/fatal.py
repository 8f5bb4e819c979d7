"""What happens when going on could lose writes: the process ends, at once and on purpose.

A node that cannot sync does not know what is on its disk, and one whose machine failed differs from its
replicas. Either recovers by starting again: from disk, or from the others.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

logger = logging.getLogger("memraft.driver")

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""

Fatal = Callable[[BaseException], None]
"""Called once, with what went wrong, after which the driver does nothing more."""


def end_process(error: BaseException) -> None:
    """Log the error and end the process with EXIT_CODE, without running anything else."""
    logger.critical(
        "fatal: the node ends itself",
        exc_info=error,
        extra={"fields": {"error": str(error), "kind": type(error).__name__}},
    )
    logging.shutdown()
    sys.stderr.flush()
    os._exit(EXIT_CODE)
