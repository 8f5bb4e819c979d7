"""The link to a machine in this process."""

from typing import Any

from memraft_proto.methods import Method

from .._embedded import Engine
from .base import Head, Search
from .io import MAY_BLOCK, in_thread


class AsyncLocalLink:
    """Calls the engine directly; one that syncs a disk is called where waiting does no harm.

    Args:
        engine: closed with this link.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # A durable engine holds its lock while it syncs, so even the short ways may have to wait.
        is_short = MAY_BLOCK or not engine.is_durable
        self.head: Head | None = engine.head if is_short else None
        self.nearest: Search | None = engine.nearest if is_short else None

    async def write(self, method: Method, request: Any) -> Any:
        """Applies a write. Raises MemraftError."""
        if self._engine.is_durable:
            return await in_thread(self._engine.call, method, request)
        return self._engine.call(method, request)

    async def read(self, method: Method, request: Any) -> Any:
        """Answers a read. Raises MemraftError."""
        if self._engine.is_durable:
            return await in_thread(self._engine.call, method, request)
        return self._engine.call(method, request)

    async def close(self) -> None:
        """Closes the engine."""
        await in_thread(self._engine.close)
