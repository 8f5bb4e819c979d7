"""Namespace -> slot. Part of the contract: every client and every node must agree on it for ever."""

from zlib import crc32

SLOT_COUNT = 4096
"""How many slots there are. Slots, not namespaces, are placed on shards, so the map stays small."""


def slot_of(namespace: str) -> int:
    """The slot of `namespace`, from 0 to `SLOT_COUNT - 1`: CRC-32 (IEEE) of its UTF-8 bytes, modulo."""
    return crc32(namespace.encode()) % SLOT_COUNT


def tenant_of(namespace: str) -> str:
    """Returns the tenant of `namespace`: its first path segment."""
    return namespace.partition("/")[0]
