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
