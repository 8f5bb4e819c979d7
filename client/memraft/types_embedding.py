"""What calls on embedding models return."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Required, TypedDict

import msgspec


class NewMemory(TypedDict, total=False):
    """A memory to store: the arguments of `remember`."""

    text: Required[str]
    about: str
    kind: str
    salience: float
    metadata: Mapping[str, Any] | None
    embedding: Any
    fingerprint: str | None
    id: str
    valid_from: datetime | None
    valid_until: datetime | None
    thread: str
    speaker: str
    pinned: bool
    ttl_ms: int


class EmbeddingModels(msgspec.Struct, frozen=True, kw_only=True):
    """Which model the embeddings of a namespace's memories are by."""

    fingerprint: str
    """Names it; empty: no memory has an embedding yet."""
    dimension: int
    next_fingerprint: str = ""
    """Names the model that they move to; empty: they do not."""
    next_dimension: int = 0
    remaining: int = 0
    """How many memories have no embedding by the newer of the two."""


class Reembedded(msgspec.Struct, frozen=True, kw_only=True):
    """What a move to another model has done so far, in this call."""

    fingerprint: str
    """Names the model that is moved to."""
    dimension: int
    stored: int
    """How many memories it was given an embedding of."""
    remaining: int
    """How many have none by it yet; 0: it is done."""
