"""Applies and answers calls on forks."""

from __future__ import annotations

from bisect import bisect_left

from memraft_proto.v1 import fork_pb2
from memraft_server.machine import cursors
from memraft_server.machine.forks import fork_name, refuse_too_many_forks
from memraft_server.machine.limits import POSITION_BITS, POSITIONS_MAX
from memraft_server.machine.namespaces import Namespace, Origin
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.retention import refuse_before
from memraft_server.machine.turn import Handler, Query, Turn, View

_PAGE_DEFAULT = 1_000


def fork(turn: Turn, space: Namespace, request: fork_pb2.ForkRequest) -> fork_pb2.ForkResponse:
    """Makes a fork."""
    name = fork_name(space.name, request.fork)
    base = _base(turn, request)
    found = space.forks.get(name)
    if found is None:
        refuse_too_many_forks(space)
        refuse_before(turn.entries, space, base)
        found = turn.spaces.fork(request.fork, Origin(space, base, turn.version, turn.author))
        conflict = False
    else:
        conflict = True
    origin = found.origin
    return fork_pb2.ForkResponse(
        namespace=name,
        version=turn.version if origin is None else origin.version,
        time_us=turn.time_us,
        base_version=base if origin is None else origin.base,
        conflict=conflict,
    )


def _base(turn: Turn, request: fork_pb2.ForkRequest) -> int:
    """The highest version that the fork has."""
    at = request.WhichOneof("at")
    if at is None:
        return turn.version - 1
    if at == "at_version":
        base, is_past = request.at_version, request.at_version < turn.version
    elif at == "at_index":
        base = request.at_index << POSITION_BITS | (POSITIONS_MAX - 1)
        is_past = request.at_index < turn.version >> POSITION_BITS
    else:
        if request.at_time_us < 0:
            raise invalid("at_time_us: microseconds since the Unix epoch, not negative")
        index = max(0, turn.entries.index_at(request.at_time_us))
        base = index << POSITION_BITS | (POSITIONS_MAX - 1)
        is_past = request.at_time_us < turn.time_us
    if not is_past:
        raise Refused("AT_IN_FUTURE", f"{at}: {getattr(request, at)} is not before this command itself")
    return base


def drop_fork(turn: Turn, space: Namespace, request: fork_pb2.DropForkRequest) -> fork_pb2.DropForkResponse:
    """Drops a fork that has no forks of its own."""
    found = space.forks.get(fork_name(space.name, request.fork))
    if found is not None and not found.forks:
        turn.spaces.drop(found, turn.version)
    return fork_pb2.DropForkResponse(
        version=turn.version,
        time_us=turn.time_us,
        found=found is not None,
        forks=len(found.forks) if found is not None else 0,
    )


def list_forks(
    view: View, space: Namespace, request: fork_pb2.ListForksRequest
) -> fork_pb2.ListForksResponse:
    """Lists the forks of a namespace by name."""
    items_max = min(request.limit or _PAGE_DEFAULT, view.limits.page_items_max)
    names = sorted(space.forks)
    start = bisect_left(names, cursors.decode("forks", request.cursor)) if request.cursor else 0
    response = fork_pb2.ListForksResponse()
    for name in names[start:]:
        origin = space.forks[name].origin
        if origin is None or origin.version > view.ceiling:
            continue
        if len(response.forks) >= items_max:
            response.next_cursor = cursors.encode("forks", name)
            break
        response.forks.add(
            namespace=name,
            base_version=origin.base,
            base_time_us=view.entries.time_at(origin.base),
            provenance=view.provenance(origin.version, origin.author),
        )
    return response


HANDLERS: dict[int, Handler] = {40: fork, 41: drop_fork}
QUERIES: dict[str, Query] = {"ListForks": list_forks}
