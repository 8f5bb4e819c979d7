"""Which event loop a node runs on."""

from __future__ import annotations

import asyncio
import importlib
from typing import Literal


def new_event_loop(wanted: Literal["auto", "asyncio"] = "auto") -> asyncio.AbstractEventLoop:
    """A new event loop: uvloop's where that is installed, unless "asyncio" is wanted (decision 0022)."""
    if wanted == "asyncio":
        return asyncio.new_event_loop()
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
