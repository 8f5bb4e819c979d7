"""What agents remember."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Unpack

from memraft_proto.v1 import memory_pb2

from .. import _operations as operations
from .. import _wire
from .._moments import when_us
from ..types import At, Consistency, Deleted, MemoryChanges, MemoryItem, Results, Written
from .base import METHOD, AsyncCalls

_REMEMBER, _FORGET = METHOD["Remember"], METHOD["Forget"]
_UPDATE = METHOD["UpdateMemory"]
_GET, _LIST = METHOD["GetMemory"], METHOD["ListMemories"]


class AsyncMemoryCalls(AsyncCalls):
    """Texts with whom they are about, how much they matter, and an embedding to find them by."""

    async def remember(
        self,
        text: str,
        *,
        about: str = "",
        kind: str = "",
        salience: float = 0.5,
        metadata: Mapping[str, Any] | None = None,
        embedding: Any = None,
        fingerprint: str | None = None,
        id: str = "",
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        thread: str = "",
        speaker: str = "",
        pinned: bool = False,
        ttl_ms: int = 0,
    ) -> Written:
        """Stores a memory.

        Args:
            text: what is remembered, up to 64 KiB of UTF-8.
            about: the entity it is about, such as `user:4321`.
            kind: what kind of memory, such as `fact`.
            salience: how much it matters, from 0 to 1.
            metadata: an object to filter by.
            embedding: shape (dimension,), made by the caller; None: the embedder makes it from the text.
            fingerprint: what made the embedding; all memories of a namespace share one. None: the
                embedder's; for an `embedding` without an `embedder=`, `caller:<dimension>`.
            id: replace the memory with this id; empty: a new memory with a new id, which the result tells.
            valid_from: it is true in the world from this aware datetime on; None: it always was. When it was
                written is another matter: see `at=`.
            valid_until: it is true until before this one; None: it has no end.
            thread: the conversation that it is a turn of. Recall judges a turn with those before and after
                it in its thread.
            speaker: who said it; a query that names somebody finds what that one said.
            pinned: it is never forgotten to make room.
            ttl_ms: milliseconds until it is forgotten; 0: as the namespace has it, else never.

        Raises:
            EmbeddingMismatch: the namespace's memories have embeddings of another model or dimension.
        """
        vector = await self._embedding(text, embedding, fingerprint)
        request = operations.remember(
            self._where, text, vector, metadata, (valid_from, valid_until),
            about=about, kind=kind, salience=salience, id=id,
            thread=thread, speaker=speaker, pinned=pinned, ttl_ms=ttl_ms,
        )  # fmt: skip
        return operations.remember_done(request, await self._link.write(_REMEMBER, request))

    async def update_memory(self, id: str, **changes: Unpack[MemoryChanges]) -> Written:
        """Changes what is known of a memory; its text and its embedding stay, as does all that is not named.

        A fact that has ended: `update_memory(id, valid_until=then)`. What was known before stays readable
        with an earlier `at=`.

        Args:
            id: which one.
            changes: `about`, `kind`, `salience`, `metadata`, `valid_from`, `valid_until`, `pinned` and
                `ttl_ms` (from now; 0: never) as in `remember`; None takes away metadata or an end in time.

        Raises:
            NotFound: there is no memory with this id.
        """
        request = operations.update_memory(self._where, id, changes)
        return operations.update_memory_done(request, await self._link.write(_UPDATE, request))

    async def forget(self, id: str, *, reason: str = "") -> Deleted:
        """Forgets a memory. It stays readable with an earlier `at=`, and `forgotten` tells of it.

        Args:
            id: which one. Forgetting an absent one is no error: see `.found`.
            reason: why, for those who ask later: up to 1,024 bytes.
        """
        request = operations.forget(self._where, id, reason)
        return operations.forget_done(request, await self._link.write(_FORGET, request))

    async def memory(
        self,
        id: str,
        *,
        valid_at: datetime | None = None,
        at: At = None,
        consistency: Consistency | None = None,
    ) -> MemoryItem | None:
        """Reads one memory; None where there is none.

        Args:
            id: which one.
            valid_at: only if it is true in the world at this aware datetime; None: whenever.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            memory_pb2.GetMemoryRequest,
            **self._from(at, consistency),
            id=id,
            valid_at_us=when_us(valid_at, "valid_at"),
        )
        response: memory_pb2.GetMemoryResponse = await self._link.read(_GET, request)
        found = response.memory if response.HasField("memory") else None
        return MemoryItem(**_wire.memory_fields(found)) if found is not None else None

    async def memories(
        self,
        *,
        about: str = "",
        valid_at: datetime | None = None,
        limit: int = 100,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[MemoryItem]:
        """Lists memories, newest first.

        Args:
            about: only memories about this entity.
            valid_at: only memories that are true in the world at this aware datetime; None: whenever.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            memory_pb2.ListMemoriesRequest,
            **self._from(at, consistency),
            about=about,
            valid_at_us=when_us(valid_at, "valid_at"),
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        response: memory_pb2.ListMemoriesResponse = await self._link.read(_LIST, request)
        return _wire.results(response, _wire.memories(response.memories))
