"""What differs between the two facades: how to wait, to lock, to call. Written by hand, unlike its siblings."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from .._embedder import Embedder

R = TypeVar("R")

Lock = threading.Lock
Slots = threading.Semaphore
"""Bounds how many are inside at once."""

Channel = grpc.Channel
Call = Callable[..., Any]

sleep = time.sleep


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
