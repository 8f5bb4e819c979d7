"""Streams by name or by what they belong to, and the requests that read and follow them."""

from collections.abc import Mapping
from datetime import datetime
from reprlib import repr as shown
from typing import Any, Final, TypedDict

import msgspec

from memraft_proto.v1 import stream_pb2

from . import _wire
from .errors import InvalidArgument
from .types import time_us_of

MISSING: Final[Any] = msgspec.UNSET
"""Stands for an argument that has to be given, and was not."""


class Scope(TypedDict, total=False):
    """Instead of a stream's name: what it belongs to. Exactly one of these.

    Attributes:
        run: the stream `run/<id>` of a run.
        thread: the stream `thread/<id>` of a conversation.
        agent: the stream `agent/<name>` of an agent.
        entity: the stream `entity/<name>` of whom or what events are about, such as `user:42`.
    """

    run: str
    thread: str
    agent: str
    entity: str


SCOPES = tuple(Scope.__annotations__)
NO_SCOPE: Mapping[str, Any] = {}


def stream_name(stream: str | None, scope: Mapping[str, Any]) -> str:
    """Returns the name of the stream that a caller means.

    Raises:
        InvalidArgument: neither a name nor one scope is given, or both, or it is no text.
    """
    names = [] if stream is None else [stream]
    for kind, name in scope.items():
        if kind not in SCOPES:
            raise InvalidArgument(f"{kind} is no scope of a stream: one of {', '.join(SCOPES)}")
        if not isinstance(name, str) or not name:
            raise InvalidArgument(f"{kind} must be a str that names one, not {shown(name)}")
        names.append(f"{kind}/{name}")
    if len(names) != 1:
        kinds = ", ".join(SCOPES)
        raise InvalidArgument(
            f"stream: name one, or say by one of {kinds} what it belongs to; {len(names)} were given"
        )
    return names[0]


def read(
    fields: dict[str, Any],
    stream: str,
    from_sequence: int = 1,
    until_sequence: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    newest_first: bool = False,
    limit: int = 1000,
    cursor: str = "",
) -> stream_pb2.ReadStreamRequest:
    """Returns the request of a range of events."""
    return _wire.build(
        stream_pb2.ReadStreamRequest,
        **fields,
        stream=stream,
        from_sequence=_wire.at_least_one(from_sequence, "from_sequence"),
        until_sequence=0 if until_sequence is None else _wire.at_least_one(until_sequence, "until_sequence"),
        from_time_us=_moment(since, "since"),
        until_time_us=_moment(until, "until"),
        newest_first=newest_first,
        limit=_wire.at_least_one(limit, "limit"),
        cursor=cursor,
    )


def _moment(when: datetime | None, name: str) -> int:
    """Returns microseconds since the epoch, 0 for None. Raises InvalidArgument."""
    if when is None:
        return 0
    if not isinstance(when, datetime):
        raise InvalidArgument(f"{name} must be an aware datetime, not {shown(when)}")
    try:
        return max(1, time_us_of(when))  # whatever is before the epoch is before everything
    except ValueError as error:
        raise InvalidArgument(f"{name}: {error}") from error
