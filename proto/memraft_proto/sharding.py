"""Namespace -> slot. Part of the contract: every client and every node must agree on it for ever."""

from zlib import crc32

from memraft_proto.names import unforked

SLOT_COUNT = 4096
"""How many slots there are. Slots, not namespaces, are placed on shards, so the map stays small."""


def slot_of(namespace: str) -> int:
    """The slot of `namespace`, from 0 to `SLOT_COUNT - 1`: CRC-32 (IEEE) of its UTF-8 bytes, modulo.

    Of a fork only what it was forked from counts (`unforked`): it is where its parent is.
    """
    return crc32(unforked(namespace).encode()) % SLOT_COUNT


def tenant_of(namespace: str) -> str:
    """Returns the tenant of `namespace`, its first path segment; of a fork, that of its parent."""
    return unforked(namespace).partition("/")[0]
