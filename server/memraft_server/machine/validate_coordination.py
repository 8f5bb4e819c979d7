"""Checks of calls on leases, counters and gates."""

from __future__ import annotations

from typing import Any

from memraft_proto.v1 import coordination_pb2, lease_pb2
from memraft_server.machine.limits import Limits
from memraft_server.machine.turn import Check
from memraft_server.machine.validate_common import check_count, check_text

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


def _list_leases(request: lease_pb2.ListLeasesRequest, limits: Limits) -> None:
    check_text("prefix", request.prefix, limits.key_bytes_max, empty=True)
    check_count("limit", request.limit, limits.page_items_max)


def _arrive(request: coordination_pb2.ArriveAtGateRequest, limits: Limits) -> None:
    _named(request, limits)
    check_text("arrival", request.arrival, limits.name_bytes_max)
    check_count("parties", request.parties, PARTIES_MAX, least=1)


WRITE_CHECKS: dict[int, Check] = {20: _acquire, 21: _renew, 22: _release, 23: _named, 24: _named, 25: _arrive}
READ_CHECKS: dict[str, Check] = {
    "GetLease": _named,
    "ListLeases": _list_leases,
    "GetCounter": _named,
    "GetGate": _named,
}
