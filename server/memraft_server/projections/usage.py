"""What a tenant's data takes, counted where it is stored."""


class Usage:
    """Running totals of one tenant on one shard, shared by all projections of its namespaces."""

    __slots__ = ("bytes", "records", "vectors")

    def __init__(self) -> None:
        self.bytes = 0
        """Keys and values, past versions and kept replies included, plus a fixed overhead a record."""
        self.records = 0
        """Records that exist now."""
        self.vectors = 0
        """Vectors that exist now."""


class PartUsage(Usage):
    """What a fork takes: a part of what its tenant takes, kept apart so that it can be taken back.

    Args:
        whole: The tenant's totals, which every change here changes too.
    """

    __slots__ = ("_whole",)
    _whole: Usage

    def __init__(self, whole: Usage) -> None:
        object.__setattr__(self, "_whole", whole)
        for name in Usage.__slots__:
            object.__setattr__(self, name, 0)

    def __setattr__(self, name: str, value: int) -> None:
        setattr(self._whole, name, getattr(self._whole, name) + value - getattr(self, name))
        object.__setattr__(self, name, value)

    def clear(self) -> None:
        """Takes all of it back."""
        for name in Usage.__slots__:
            setattr(self, name, 0)
