"""Requests and results of calls on forks."""

from collections.abc import Mapping
from typing import Any

from memraft_proto.names import FORK_MARK
from memraft_proto.v1 import fork_pb2

from . import _wire
from .errors import ConflictError, InvalidArgument
from .types import At, Deleted, Versioned
from .types_forks import ForkInfo

Where = Mapping[str, Any]


def fork(where: Where, name: str, at: At | Versioned, before: Versioned | None) -> fork_pb2.ForkRequest:
    """Returns the request for a fork; the arguments are those of `Memory.fork`."""
    if at is not None and before is not None:
        raise InvalidArgument("at and before: a fork begins at one of them, not at both")
    moment: dict[str, int] = {}
    if before is not None:
        moment = {"at_version": _version(before, "before") - 1}
    elif hasattr(at, "version"):
        moment = {"at_version": _version(at, "at")}
    elif at is not None:
        context = _wire.read_context("session", at)
        field = context.WhichOneof("at")
        moment = {field: getattr(context, field)} if field is not None else {}
    return _wire.build(fork_pb2.ForkRequest, **where, fork=name, **moment)


def _version(marked: Any, name: str) -> int:
    version = getattr(marked, "version", None)
    if not isinstance(version, int) or version < 1:
        raise InvalidArgument(f"{name} must have a version, as what was written has, not {marked!r}")
    return version


def fork_done(request: fork_pb2.ForkRequest, response: fork_pb2.ForkResponse) -> str:
    """Returns the fork's namespace. Raises ConflictError where there is one of this name already."""
    if response.conflict:
        raise ConflictError(f"there is a fork {response.namespace!r} already", response.version)
    return response.namespace


def drop_fork(where: Where, name: str) -> fork_pb2.DropForkRequest:
    """Returns the request to drop a fork."""
    return _wire.build(fork_pb2.DropForkRequest, **where, fork=name)


def drop_fork_done(request: fork_pb2.DropForkRequest, response: fork_pb2.DropForkResponse) -> Deleted:
    """Returns the outcome. Raises ConflictError where there are forks of the fork."""
    if response.forks:
        raise ConflictError(
            f"fork {request.fork!r} has forks of its own: {response.forks}; drop those first", 0
        )
    return Deleted(id=request.fork, version=response.version, time_us=response.time_us, found=response.found)


def fork_info(found: fork_pb2.ForkInfo) -> ForkInfo:
    """Returns the ForkInfo of a `ForkInfo` message."""
    made = found.provenance
    return ForkInfo(
        name=found.namespace.rpartition(FORK_MARK)[2],
        namespace=found.namespace,
        base_version=found.base_version,
        base_time_us=found.base_time_us,
        version=made.version,
        time_us=made.time_us,
        agent=made.agent,
    )
