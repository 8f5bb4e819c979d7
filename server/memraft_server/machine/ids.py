"""Ids made from an entry: unique, sorting by commit, the same on every replica.

A ULID (26 characters of Crockford's base 32): 48 bits of milliseconds, then instead of 80 random bits 10 bits
of the microsecond within it, 20 bits of the position in the entry and 50 bits of the entry's seed. Commit
times are strictly monotonic within a shard, so its ids sort as its log does; the seed tells shards apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ID_CHARACTERS = 26

_CHARACTERS = np.frombuffer(ALPHABET.encode(), np.uint8)
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]


def _base32(number: int, characters: int) -> str:
    pairs = [_PAIRS[(number >> shift) & 1023] for shift in range(5 * characters - 10, -1, -10)]
    return "".join(pairs)


def entry_parts(time_us: int, seed: int) -> tuple[str, str]:
    """Returns the first 12 and the last 10 characters of all ids of an entry."""
    time_ms, microsecond = divmod(time_us, 1000)
    return _base32(time_ms & (1 << 48) - 1, 10) + _PAIRS[microsecond], _base32(seed & (1 << 50) - 1, 10)


def make_id(parts: tuple[str, str], position: int) -> str:
    """Returns the id of the item at `position` (below 2**20) of the entry with these `parts`."""
    return f"{parts[0]}{_PAIRS[position >> 10]}{_PAIRS[position & 1023]}{parts[1]}"


def make_ids(parts: tuple[str, str], position: int, count: int) -> NDArray[np.uint8]:
    """Returns the ids of `count` items from `position` on in ASCII, as of `make_id`: shape (count, 26)."""
    ids = np.empty((count, 26), np.uint8)
    ids[:] = np.frombuffer(make_id(parts, position).encode(), np.uint8)
    positions = np.arange(position, position + count)
    for place, shift in enumerate((15, 10, 5, 0), len(parts[0])):
        ids[:, place] = _CHARACTERS[positions >> shift & 31]
    return ids
