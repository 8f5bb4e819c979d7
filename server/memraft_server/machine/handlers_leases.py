"""Applies and answers calls on leases, and refuses writes under the token of a lease that is lost."""

from __future__ import annotations

from heapq import heappush

from memraft_proto.methods import KIND_EXPIRE_LEASES
from memraft_proto.v1 import common_pb2, lease_pb2, log_pb2
from memraft_server.machine import cursors
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.turn import Handler, Query, Turn, View
from memraft_server.machine.validate_common import shown
from memraft_server.projections.leases import PLACE_MARK, WAITERS_MAX, Claim, LeasesProjection, Writing

_HOLDER_WIRE_BYTES = 64
TTL_MS_MAX = 1 << 40
"""Whatever `Limits.lease_ttl_ms_max` allows, no time in the log is further away than 35 years."""
NAMES_MAX = 64
"""Most leases of one ExpireLeasesCommand: each may write a record for everyone in its queue."""


def refuse_stale(turn: Turn, space: Namespace, context: common_pb2.WriteContext) -> None:
    """Refuses a write whose token is not that of who holds its lease now."""
    name = context.fence_lease
    held = space.projection(LeasesProjection).held(name, turn.time_us)
    if held is None or held.token != context.fence_token:
        stands = f"its token is {held.token}" if held is not None else "nobody holds it"
        raise Refused(
            "STALE_FENCE",
            f"context.fence_token: {context.fence_token} of lease {shown(name)} is over: {stands}",
            {"lease": name, "token": str(held.token if held is not None else 0)},
        )


def acquire(
    turn: Turn, space: Namespace, request: lease_pb2.AcquireLeaseRequest
) -> lease_pb2.AcquireLeaseResponse:
    """Grants a lease, renews it for who holds it, or gives a place in its queue."""
    leases, writing, name = space.projection(LeasesProjection), _writing(turn, space), request.name
    if PLACE_MARK in name:
        raise invalid(f"name: {shown(name)} has a control character", field="name")
    leases.settle(writing, name)
    claim = Claim(
        holder=request.holder,
        agent=turn.author.agent,
        ttl_ms=min(request.ttl_ms, TTL_MS_MAX),
        asked_at_us=turn.time_us,
        asked_version=turn.version,
        expires_at_us=turn.time_us + min(request.wait_ms, TTL_MS_MAX) * 1000,
    )
    current = leases.current.get(name)
    position = 0
    if current is None:
        leases.grant(writing, name, claim)
    elif current.holder == claim.holder:
        leases.renew(writing, name, current, claim.ttl_ms)
    elif request.wait_ms:
        position = leases.wait(writing, name, claim)
        if not position:
            raise Refused(
                "TOO_MANY_WAITERS",
                f"name: {WAITERS_MAX} wait for lease {shown(name)}, at most {WAITERS_MAX}",
                {"limit": str(WAITERS_MAX)},
            )
    turn.items = writing.items
    current = leases.current[name]
    return lease_pb2.AcquireLeaseResponse(
        granted=current.holder == claim.holder,
        current=_holder(current),
        position=position,
        version=turn.version,
        time_us=turn.time_us,
    )


def renew(turn: Turn, space: Namespace, request: lease_pb2.RenewLeaseRequest) -> lease_pb2.RenewLeaseResponse:
    """Has the time of a lease begin anew, if the token is still that of its holder."""
    leases, writing = space.projection(LeasesProjection), _writing(turn, space)
    response = lease_pb2.RenewLeaseResponse(version=turn.version, time_us=turn.time_us)
    leases.settle(writing, request.name)
    current = leases.current.get(request.name)
    if current is not None and current.token == request.token:
        response.renewed = True
        ttl_ms = min(request.ttl_ms, TTL_MS_MAX)
        response.expires_at_us = leases.renew(writing, request.name, current, ttl_ms).expires_at_us
    turn.items = writing.items
    return response


def release(
    turn: Turn, space: Namespace, request: lease_pb2.ReleaseLeaseRequest
) -> lease_pb2.ReleaseLeaseResponse:
    """Gives a lease to the next in its queue, or a place in the queue back."""
    leases, writing = space.projection(LeasesProjection), _writing(turn, space)
    leases.settle(writing, request.name)
    released = leases.leave(writing, request.name, request.holder)
    turn.items = writing.items
    return lease_pb2.ReleaseLeaseResponse(released=released, version=turn.version, time_us=turn.time_us)


def expire(
    turn: Turn, space: Namespace, request: log_pb2.ExpireLeasesCommand
) -> lease_pb2.ReleaseLeaseResponse:
    """Ends what of these leases is over, and grants what became free."""
    leases, writing = space.projection(LeasesProjection), _writing(turn, space)
    for name in request.names[:NAMES_MAX]:
        leases.settle(writing, name)
    turn.items = writing.items
    return lease_pb2.ReleaseLeaseResponse(version=turn.version, time_us=turn.time_us)


def _writing(turn: Turn, space: Namespace) -> Writing:
    def due(expires_at_us: int, version: int, name: str) -> None:
        heappush(turn.lease_expiries, (expires_at_us, version, space.name, name))

    return Writing(turn.version, turn.time_us, turn.author, due)


def get_lease(view: View, space: Namespace, request: lease_pb2.GetLeaseRequest) -> lease_pb2.GetLeaseResponse:
    """Reads who holds a lease and who waits for it."""
    leases = space.projection(LeasesProjection)
    if view.is_now:
        current, waiting = leases.current.get(request.name), leases.waiting(request.name)
    else:
        current, waiting = leases.at(request.name, view.ceiling)
    return lease_pb2.GetLeaseResponse(
        current=_holder(current) if current is not None else None, waiting=map(_holder, waiting)
    )


def list_leases(
    view: View, space: Namespace, request: lease_pb2.ListLeasesRequest
) -> lease_pb2.ListLeasesResponse:
    """Lists leases that are held. A page ends at the first of: leases, bytes, names looked at."""
    limits = view.limits
    items_max = min(request.limit or 1000, limits.page_items_max)
    kind = cursors.kind_of("leases", request.prefix)
    start = cursors.decode(kind, request.cursor) if request.cursor else ""
    leases = space.projection(LeasesProjection)
    response = lease_pb2.ListLeasesResponse()
    names, holders = response.names, response.holders
    size = 0
    for looked, (name, record) in enumerate(leases.records.scan(start, "", request.prefix, view.ceiling)):
        is_lease = record is not None and PLACE_MARK not in name
        size += 3 * len(name) + _HOLDER_WIRE_BYTES if is_lease else 0
        full = is_lease and (len(names) >= items_max or (size > limits.page_bytes_max and names))
        if full or looked >= limits.scan_keys_max:
            response.next_cursor = cursors.encode(kind, name)
            break
        current = leases.at(name, view.ceiling)[0] if is_lease else None
        if current is not None:
            names.append(name)
            holders.append(_holder(current))
    return response


def _holder(claim: Claim) -> lease_pb2.LeaseHolder:
    return lease_pb2.LeaseHolder(
        holder=claim.holder,
        agent=claim.agent,
        token=claim.token,
        asked_at_us=claim.asked_at_us,
        granted_at_us=claim.granted_at_us,
        expires_at_us=claim.expires_at_us,
    )


HANDLERS: dict[int, Handler] = {20: acquire, 21: renew, 22: release, KIND_EXPIRE_LEASES: expire}
QUERIES: dict[str, Query] = {"GetLease": get_lease, "ListLeases": list_leases}
