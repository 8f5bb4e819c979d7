"""What differs between the two facades: how to wait, to lock, to call. By hand, unlike its siblings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from .._embedder import Embedder

R = TypeVar("R")

MAY_BLOCK = True
"""A caller in a thread may wait for a lock or a disk where it stands."""

Lock = threading.Lock
Slots = threading.Semaphore
"""Bounds how many are inside at once."""

Channel = grpc.Channel
Call = Callable[..., Any]

sleep = time.sleep

INTERRUPTED = (ValueError,)
"""What a call raises when its channel is closed."""


def is_cancelled() -> bool:
    """Threads are not cancelled."""
    return False


def acquire(lock: threading.Lock | threading.Semaphore, timeout_s: float) -> bool:
    """Waits for a lock or a slot; False when the time is up."""
    return lock.acquire(timeout=max(0.0, timeout_s))


def open_channel(
    address: str, credentials: grpc.ChannelCredentials | None, options: list[tuple[str, Any]]
) -> grpc.Channel:
    """Returns a channel to host:port; threads may share it."""
    if credentials is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, credentials, options=options)


def in_thread(function: Callable[..., R], *arguments: Any) -> R:
    """Runs it here: this thread may wait."""
    return function(*arguments)


def call_embedder(embedder: Embedder, text: str) -> Any:
    """Calls an embedder."""
    return embedder(text)
