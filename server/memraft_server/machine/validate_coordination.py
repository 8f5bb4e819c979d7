"""Checks of calls on leases, counters and gates, and of transactions."""

from __future__ import annotations

from typing import Any

from memraft_proto.v1 import coordination_pb2, lease_pb2, txn_pb2
from memraft_server.machine.limits import Limits
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Check
from memraft_server.machine.validate_common import check_count, check_text
from memraft_server.projections.graph import SEPARATOR

PARTIES_MAX = 1_000
"""Most that a gate waits for: their names are in its record, which each arrival writes anew."""


def _named(request: Any, limits: Limits) -> None:
    check_text("name", request.name, limits.key_bytes_max)


def _acquire(request: lease_pb2.AcquireLeaseRequest, limits: Limits) -> None:
    _named(request, limits)
    check_text("holder", request.holder, limits.name_bytes_max)
    check_count("ttl_ms", request.ttl_ms, limits.lease_ttl_ms_max, least=1)
    check_count("wait_ms", request.wait_ms, limits.lease_ttl_ms_max)


def _renew(request: lease_pb2.RenewLeaseRequest, limits: Limits) -> None:
    _named(request, limits)
    check_count("ttl_ms", request.ttl_ms, limits.lease_ttl_ms_max, least=1)


def _release(request: lease_pb2.ReleaseLeaseRequest, limits: Limits) -> None:
    _named(request, limits)
    check_text("holder", request.holder, limits.name_bytes_max)


def check_page(request: Any, limits: Limits) -> None:
    """Checks what a page of names is asked for with: a prefix and a limit."""
    check_text("prefix", request.prefix, limits.key_bytes_max, empty=True)
    check_count("limit", request.limit, limits.page_items_max)


def _arrive(request: coordination_pb2.ArriveAtGateRequest, limits: Limits) -> None:
    _named(request, limits)
    check_text("arrival", request.arrival, limits.name_bytes_max)
    check_count("parties", request.parties, PARTIES_MAX, least=1)


RANGES_MAX = 100
"""Most ranges of documents in the read set of a transaction."""
_INDEX_MAX = (1 << 44) - 1
_READ_KINDS = frozenset(txn_pb2.ReadKind.values()) - {txn_pb2.READ_KIND_UNSPECIFIED}


def check_txn(request: txn_pb2.CommitTxnRequest, limits: Limits) -> None:
    """Checks all of a transaction but its operations."""
    check_count("reads", len(request.reads), limits.items_max)
    check_count("ranges", len(request.ranges), RANGES_MAX)
    check_count("snapshot_index", request.snapshot_index, _INDEX_MAX)
    if not (request.operations or request.reads or request.ranges):
        raise invalid(
            "operations: none, and nothing was read: there is nothing to commit", field="operations"
        )
    for i, read in enumerate(request.reads):
        if read.kind not in _READ_KINDS:
            raise invalid(f"reads[{i}].kind: {read.kind}, 1 to {max(_READ_KINDS)}", field="reads")
        parts = read.name.split(SEPARATOR) if read.kind == txn_pb2.READ_KIND_EDGE else [read.name]
        for part in parts:
            check_text(f"reads[{i}].name", part, limits.key_bytes_max)
    for i, each in enumerate(request.ranges):
        for field in ("prefix", "start", "end"):
            check_text(f"ranges[{i}].{field}", getattr(each, field), limits.key_bytes_max, empty=True)
        check_count(f"ranges[{i}].read_index", each.read_index, _INDEX_MAX)


WRITE_CHECKS: dict[int, Check] = {20: _acquire, 21: _renew, 22: _release, 23: _named, 24: _named, 25: _arrive}
READ_CHECKS: dict[str, Check] = {
    "GetLease": _named,
    "ListLeases": check_page,
    "GetCounter": _named,
    "ListCounters": check_page,
    "ListStates": check_page,
    "GetGate": _named,
}
