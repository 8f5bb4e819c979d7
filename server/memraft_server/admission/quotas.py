"""What a tenant may use: operations a second, bytes and vectors stored.

Operations are counted on each node, in a token bucket that holds ``burst_seconds`` worth of them. Bytes and
vectors are what the machines of this node keep for the tenant, summed over its shards: they are read from the
machines now and then, and what is admitted in between is added. History, namespaces, sessions and kept
replies count; until there is retention, usage in bytes therefore only grows, even by deleting.

A call is counted in two steps: one operation for the caller's tenant as soon as it is read, so that nonsense
is not free, and the rest when its arguments have been checked and its cost is known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import msgspec

from memraft_server.machine import Machine, Refused

USAGE_FRESH_S = 0.2
"""How long a reading of the machines is good for, unless it would refuse a write."""
TENANTS_MAX = 10_000
"""Tenants whose buckets are remembered; beyond it the oldest are forgotten and begin anew."""


FREEING_BYTES = 4_096
"""What a call that frees may add beside its own size: a namespace, a session, a reply, a tombstone."""
FREEING_RESERVE_BYTES_MIN = 64 << 10
"""How far calls that free may go beyond ``bytes_max``, or a tenth of it where that is more."""


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tenant's limits; 0 means none."""

    operations_per_s: int = 0
    burst_s: float = 2.0
    bytes_max: int = 0
    vectors_max: int = 0

    def __post_init__(self) -> None:
        for name in ("operations_per_s", "bytes_max", "vectors_max"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)} is negative; 0 means no limit")
        if not 0.001 <= self.burst_s <= 3600:
            raise ValueError(f"burst_s = {self.burst_s} is not between 0.001 and 3600")


class Cost(msgspec.Struct, frozen=True, gc=False):
    """What one call takes from a quota. One that frees rather than stores adds bytes, too, but may still do
    so where ``bytes_max`` is reached, within a reserve."""

    operations: int
    size_bytes: int = 0
    vectors: int = 0
    is_freeing: bool = False


class TenantQuota:
    """One tenant's bucket and its last known usage. Belongs to the event loop."""

    def __init__(self, tenant: str, quota: Quota, owner: Quotas) -> None:
        self.tenant = tenant
        self.quota = quota
        self._owner = owner
        self._capacity = max(1.0, quota.operations_per_s * quota.burst_s)
        self._tokens = self._capacity
        self._reserve = max(quota.bytes_max // 10, FREEING_RESERVE_BYTES_MIN)
        self._filled_at_s = owner.clock_s()
        self._bytes = 0
        self._vectors = 0
        self._read_at_s = float("-inf")

    def admit(self) -> None:
        """Counts one operation of a call of any kind, or raises Refused (RATE_LIMITED) and counts nothing."""
        if self.quota.operations_per_s:
            self._take_tokens(1.0, 1.0)

    def take(self, cost: Cost) -> None:
        """Counts what an admitted call costs beyond its first operation.

        A call of more operations than the bucket holds passes when the bucket is full and leaves a debt:
        that keeps the average without making large batches impossible.

        Raises:
            Refused: QUOTA_EXCEEDED. RATE_LIMITED, and then the first operation is not counted either.
        """
        quota = self.quota
        if (quota.bytes_max and cost.size_bytes) or (quota.vectors_max and cost.vectors):
            self._check_stored(cost)
        if quota.operations_per_s and cost.operations > 1:
            try:
                self._take_tokens(cost.operations - 1.0, min(float(cost.operations), self._capacity) - 1.0)
            except Refused:
                self._tokens += 1.0
                raise
        self._bytes += cost.size_bytes
        self._vectors += cost.vectors

    def give_back(self, cost: Cost) -> None:
        """A write that was counted and then not proposed; the call itself stays counted."""
        self._tokens = min(self._capacity, self._tokens + max(0, cost.operations - 1))
        self._bytes -= cost.size_bytes
        self._vectors -= cost.vectors

    def _take_tokens(self, count: float, needed: float) -> None:
        """Takes ``count`` tokens when there are ``needed``, or raises Refused (RATE_LIMITED)."""
        rate = self.quota.operations_per_s
        now = self._owner.clock_s()
        tokens = min(self._capacity, self._tokens + (now - self._filled_at_s) * rate)
        self._filled_at_s = now
        if tokens < needed:
            self._tokens = tokens
            self._owner.refusals["operations_per_s"] += 1
            wait_ms = max(1, round((needed - tokens) / rate * 1000))
            raise Refused(
                "RATE_LIMITED",
                f"tenant {self.tenant!r} is over operations_per_s = {rate} on this node; "
                f"retry in {wait_ms} ms",
                {
                    "limit": "operations_per_s",
                    "value": str(rate),
                    "tenant": self.tenant,
                    "retry_after_ms": str(wait_ms),
                },
            )
        self._tokens = tokens - count

    def _check_stored(self, cost: Cost) -> None:
        if self._owner.clock_s() - self._read_at_s > USAGE_FRESH_S:
            self._read_usage()
        if self._excess(cost) is None:
            return
        self._read_usage()
        excess = self._excess(cost)
        if excess is None:
            return
        limit, value, used, wanted = excess
        self._owner.refusals[limit] += 1
        reserve = f" and of {self._reserve} beyond it for calls that free" if cost.is_freeing else ""
        raise Refused(
            "QUOTA_EXCEEDED",
            f"tenant {self.tenant!r} uses {used} of {limit} = {value}{reserve}; "
            f"this write asks for up to {wanted} more",
            {"limit": limit, "value": str(value), "used": str(used), "tenant": self.tenant},
        )

    def _excess(self, cost: Cost) -> tuple[str, int, int, int] | None:
        quota = self.quota
        bytes_max = quota.bytes_max + self._reserve if cost.is_freeing else quota.bytes_max
        if quota.bytes_max and cost.size_bytes and self._bytes + cost.size_bytes > bytes_max:
            return "bytes_max", quota.bytes_max, self._bytes, cost.size_bytes
        if quota.vectors_max and cost.vectors and self._vectors + cost.vectors > quota.vectors_max:
            return "vectors_max", quota.vectors_max, self._vectors, cost.vectors
        return None

    def _read_usage(self) -> None:
        self._read_at_s = self._owner.clock_s()
        usages = [machine.usage(self.tenant) for machine in self._owner.machines]
        self._bytes = sum(usage.bytes for usage in usages)
        self._vectors = sum(usage.vectors for usage in usages)


class Quotas:
    """The quotas of all tenants on one node.

    Args:
        default: for tenants that have none of their own.
        tenants: those that have.
        machines: of all shards on this node; they may come and go.
        clock_s: monotonic seconds.
    """

    def __init__(
        self,
        default: Quota,
        tenants: Mapping[str, Quota],
        machines: Collection[Machine],
        clock_s: Callable[[], float],
    ) -> None:
        self.machines = machines
        self.clock_s = clock_s
        self.refusals = {"operations_per_s": 0, "bytes_max": 0, "vectors_max": 0}
        self._default = default
        self._own = dict(tenants)
        self._tenants: dict[str, TenantQuota] = {}

    def of(self, tenant: str) -> TenantQuota:
        """The quota of one tenant."""
        found = self._tenants.get(tenant)
        if found is None:
            if len(self._tenants) >= TENANTS_MAX:
                del self._tenants[next(iter(self._tenants))]
            found = TenantQuota(tenant, self._own.get(tenant, self._default), self)
            self._tenants[tenant] = found
        return found
