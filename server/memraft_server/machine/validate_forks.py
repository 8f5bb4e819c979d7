"""Checks of calls on forks."""

from __future__ import annotations

from memraft_proto.names import is_namespace_segment
from memraft_proto.v1 import fork_pb2
from memraft_server.machine.forks import fork_name
from memraft_server.machine.limits import Limits
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Check
from memraft_server.machine.validate_common import check_count, check_namespace, shown


def _check_name(request: fork_pb2.ForkRequest | fork_pb2.DropForkRequest, limits: Limits) -> None:
    if not is_namespace_segment(request.fork):
        raise invalid(
            f"fork: {shown(request.fork)} must be 1 to 63 letters, digits, '.', '_' or '-', the first a "
            "letter or digit",
            field="fork",
        )
    if request.namespace:  # in a Batch the machine finds it too deep
        check_namespace(fork_name(request.namespace, request.fork), limits)


def _list_forks(request: fork_pb2.ListForksRequest, limits: Limits) -> None:
    check_count("limit", request.limit, limits.page_items_max)


WRITE_CHECKS: dict[int, Check] = {40: _check_name, 41: _check_name}
READ_CHECKS: dict[str, Check] = {"ListForks": _list_forks}
