"""An agent's hands: the memory it shares with the others, with every acknowledged write in the books."""

from typing import Any

from memraft import AsyncMemory
from memraft.types import Event, Hit, Record, Results
from memraft_server.cli.demo.ledger import Acknowledged, Ledger


class Desk:
    """One client of the cluster on one namespace.

    memory: the client, with the certificate of its agent; namespace: what `memory` was opened with.
    """

    def __init__(self, memory: AsyncMemory, namespace: str, ledger: Ledger) -> None:
        self.memory = memory
        self.namespace = namespace
        self.ledger = ledger

    async def put(self, key: str, value: Any) -> None:
        """Stores a document."""
        written = await self.ledger.timed("put", self.memory.put(key, value))
        self._book("document", key, value, written.version)

    async def append(self, stream: str, kind: str, payload: Any) -> None:
        """Appends an event."""
        event = await self.ledger.timed("append", self.memory.append(stream, payload, type=kind))
        self.ledger.acknowledge(
            Acknowledged("event", self.namespace, stream, payload, event.version, event.sequence, event.hash)
        )

    async def swap(self, name: str, value: Any, expected_version: int) -> int:
        """Replaces a record that still has `expected_version`. Returns the new version, else 0."""
        done = await self.ledger.timed(
            "compare-and-swap", self.memory.cas(name, value, expected_version=expected_version)
        )
        if not done.swapped:
            return 0
        self._book("record", name, value, done.version)
        return done.version

    async def remember(self, text: str, **details: Any) -> str:
        """Stores a memory, or with `id` replaces one; returns its id."""
        written = await self.ledger.timed("remember", self.memory.remember(text, **details))
        self._book("memory", written.id, text, written.version)
        return written.id

    async def recall(self, query: str, **options: Any) -> Results[Hit]:
        """Finds memories."""
        return await self.ledger.timed("recall", self.memory.recall(query, **options))

    async def state(self, name: str) -> Record | None:
        """Reads a record."""
        return await self.ledger.timed("state", self.memory.state(name))

    async def events(self, stream: str, from_sequence: int = 1) -> Results[Event]:
        """Reads a stream."""
        return await self.ledger.timed("read stream", self.memory.events(stream, from_sequence=from_sequence))

    def _book(self, kind: str, name: str, value: Any, version: int) -> None:
        self.ledger.acknowledge(Acknowledged(kind, self.namespace, name, value, version))
