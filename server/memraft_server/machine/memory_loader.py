"""Loads memories and what models made of them: a part of `loader`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappush
from struct import unpack

import msgspec
import numpy as np

from memraft_server.machine.facts import CRC_BYTES, NUMBER_BYTES, Row
from memraft_server.machine.machine import Machine
from memraft_server.machine.namespaces import Namespace
from memraft_server.projections.floors import FloorsProjection
from memraft_server.projections.memories import MemoryStore, Remembered
from memraft_server.projections.reembedding import Model, Move
from memraft_server.projections.versions import NOBODY

_HEAD_BYTES = 5
"""Of kind and namespace."""

_AuthorBody = tuple[str, str, str]


class _MemoryBody(msgspec.Struct, array_like=True):
    id: str
    text: str
    metadata: bytes
    about: str
    kind: str
    salience: float
    author: _AuthorBody
    fingerprint: str
    embedding: bytes
    valid_from_us: int = 0
    valid_until_us: int = 0
    thread: str = ""
    speaker: str = ""
    pinned: bool = False
    expires_at_us: int = 0


class _ModelBody(msgspec.Struct, array_like=True):
    step: int
    began: int
    dimension: int
    fingerprint: str
    author: _AuthorBody
    first: tuple[int, str, int]


_memory_body = msgspec.msgpack.Decoder(_MemoryBody).decode
_model_body = msgspec.msgpack.Decoder(_ModelBody).decode
_embedding_body = msgspec.msgpack.Decoder(tuple[int, bytes]).decode
_author_body = msgspec.msgpack.Decoder(_AuthorBody).decode


class MemoryLoader:
    """Loads rows of memories into a machine.

    Args:
        machine: Which is being loaded.
        space: Returns the namespace of a row, by its key.
    """

    def __init__(self, machine: Machine, space: Callable[[bytes], Namespace]) -> None:
        self._machine = machine
        self._space = space

    def load(self, rows: Sequence[Row]) -> None:
        """Loads memories, their ends, and embeddings by the first model that came later."""
        for key, value in rows:
            store = self.store_of(self._space(key))
            version = int.from_bytes(key[_HEAD_BYTES : _HEAD_BYTES + NUMBER_BYTES])
            if key[-NUMBER_BYTES:] == key[-2 * NUMBER_BYTES : -NUMBER_BYTES]:
                embedded, components = _embedding_body(value[:-CRC_BYTES])
                store.restore_embedding(embedded, np.frombuffer(components, "<f4"), 0, version)
                continue
            if len(key) > _HEAD_BYTES + NUMBER_BYTES:
                ender = value[:-CRC_BYTES]  # empty in rows of versions before this one
                author = self._machine.author(_author_body(ender)) if ender else NOBODY
                store.restore_end(version, int.from_bytes(key[-NUMBER_BYTES:]), author)
                continue
            body = _memory_body(value[:-CRC_BYTES])
            item = Remembered(
                body.id,
                body.text,
                body.metadata,
                body.about,
                body.kind,
                body.salience,
                version,
                self._machine.author(body.author),
                valid_from_us=body.valid_from_us,
                valid_until_us=body.valid_until_us,
                thread=body.thread,
                speaker=body.speaker,
                pinned=body.pinned,
                expires_at_us=body.expires_at_us,
            )
            embedding = np.frombuffer(body.embedding, "<f4") if body.embedding else None
            store.restore(item, embedding, body.fingerprint)
            if item.expires_at_us:
                due = (item.expires_at_us, version, self._space(key).name, item.id)
                heappush(self._machine.memory_expiries, due)

    def load_models(self, rows: Sequence[Row]) -> None:
        """Loads the steps from one model to another, before all memories."""
        for key, value in rows:
            body = _model_body(value[:-CRC_BYTES])
            model = Model(body.began, body.dimension, body.fingerprint)
            version, author = int.from_bytes(key[-NUMBER_BYTES:]), self._machine.author(body.author)
            move = Move(version, body.step, model, author)
            self.store_of(self._space(key)).restore_move(move, body.first)

    def load_embeddings(self, rows: Sequence[Row]) -> None:
        """Loads embeddings by other models than the first, after all memories."""
        for key, value in rows:
            version, embedding = _embedding_body(value[:-CRC_BYTES])
            model, born = unpack(">QQ", key[_HEAD_BYTES:])
            store = self.store_of(self._space(key))
            store.restore_embedding(version, np.frombuffer(embedding, "<f4"), model, born)

    def store_of(self, space: Namespace) -> MemoryStore:
        """Returns the memories of a namespace, with the model that they had when some were forgotten."""
        if space.origin is not None:
            self.store_of(space.origin.parent)  # the store of a fork begins with its model
        store = space.projection(MemoryStore)
        model = space.projection(FloorsProjection).model
        if model is not None and not store.model[0]:
            store.restore_model(*model)
        return store
