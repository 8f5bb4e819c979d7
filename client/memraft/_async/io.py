"""What differs between the facades: how to wait, to lock, to call. Its twin in `_sync` is by hand, too."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
import grpc.aio

from .._embedder import Embedder

R = TypeVar("R")

MAY_BLOCK = False
"""A coroutine that waits for a lock or a disk would hold up the event loop."""

Lock = asyncio.Lock
Slots = asyncio.Semaphore
"""Bounds how many are inside at once."""

Channel = grpc.aio.Channel
Call = Callable[..., Any]

sleep = asyncio.sleep

INTERRUPTED = (asyncio.CancelledError, grpc.aio.UsageError)
"""What a call under way raises when its channel is closed."""


def is_cancelled() -> bool:
    """Whether somebody cancelled this task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def acquire(lock: Lock | Slots, timeout_s: float) -> bool:
    """Waits for a lock or a slot; False when the time is up."""
    if not lock.locked():
        return await lock.acquire()
    try:
        return await asyncio.wait_for(lock.acquire(), max(0.0, timeout_s))
    except TimeoutError:
        return False


def open_channel(
    address: str, credentials: grpc.ChannelCredentials | None, options: list[tuple[str, Any]]
) -> grpc.aio.Channel:
    """Returns a channel to host:port; it belongs to the running event loop."""
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


async def in_thread(function: Callable[..., R], *arguments: Any) -> R:
    """Runs what blocks for longer than the event loop may wait."""
    return await asyncio.to_thread(function, *arguments)


async def call_embedder(embedder: Embedder, text: str) -> Any:
    """Calls an embedder: awaited if it is a coroutine function, else in a thread."""
    if inspect.iscoroutinefunction(embedder) or inspect.iscoroutinefunction(type(embedder).__call__):
        vector: Any = embedder(text)
        return await vector
    return await asyncio.to_thread(embedder, text)
