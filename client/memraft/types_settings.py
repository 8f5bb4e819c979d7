"""What calls on the settings of a namespace return: frozen values, exported by `memraft.types`."""

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from ._moments import datetime_of
from .types_forgetting import MemorySettings
from .types_recall import RecallParameters

EndReason: TypeAlias = Literal["", "deleted", "expired", "evicted"]
"""Why there is nothing under a key any more; empty where there is something."""


class SchemaInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON Schema of the documents under a prefix."""

    prefix: str
    schema: Any
    """An object, true or false, decoded from JSON."""
    version: int
    """Of its last change."""
    time_us: int
    """When that was: commit time in microseconds since the Unix epoch."""
    agent: str
    """Who set it."""

    @property
    def log_index(self) -> int:
        """The log index of that change, as every read takes it for `at=`."""
        return self.version >> 20

    @property
    def at(self) -> datetime:
        """`time_us`, aware, in UTC."""
        return datetime_of(self.time_us)


class NamespaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long documents are kept in a namespace, and how many."""

    default_ttl_ms: int
    """Milliseconds until a document expires that was written without a time to live; 0: never."""
    entries_max: int
    """Most documents; 0: any number."""
    bytes_max: int
    """Most bytes of keys and documents; 0: any number."""
    schemas: int
    """How many prefixes have a schema."""
    entries: int
    """Documents that count against `entries_max`; 0 where nothing is limited, and in a read of the past."""
    bytes: int
    """Bytes that count against `bytes_max`, likewise."""
    receipts_ttl_ms: int = 0
    """Milliseconds that receipts of recalls are kept; 0: they are kept."""
    memories: MemorySettings = MemorySettings()
    """How many memories are kept."""
    memories_entries: int = 0
    """Memories there are; 0 where none has to go for what it is worth, and in a read of the past."""
    memories_bytes: int = 0
    """Bytes that they take with their embeddings, likewise."""
    recall: RecallParameters = {}
    """What was set for recalls; what is not in it is as measured best."""
    version: int = 0
    """Of the last change of a time to live or a most; 0: there was none."""
    time_us: int = 0
    """When that was: commit time in microseconds since the Unix epoch."""
    agent: str = ""
    """Who made that change."""
