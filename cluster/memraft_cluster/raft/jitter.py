"""A small seeded generator, so that the core is pure and a run can be repeated from its seed."""

from __future__ import annotations

_MASK = (1 << 64) - 1


class Jitter:
    """SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014)."""

    __slots__ = ("_state",)

    def __init__(self, seed: int, stream: int) -> None:
        """`stream` tells apart generators that share a seed: the nodes of a group."""
        self._state = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1342543DE82EF95) & _MASK

    def below(self, bound: int) -> int:
        """A number in [0, bound). The bias of the modulo does not matter for timeouts."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) % bound
