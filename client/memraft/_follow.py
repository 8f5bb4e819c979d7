"""Following: what a call asks for, how it goes on, and what its responses hold."""

from collections.abc import Iterator
from typing import Any

from memraft_proto.v1 import stream_pb2, watch_pb2

from . import _json, _traces, _wire
from .types import Event, KeyVersion, MemoryChange, MemoryItem, Trace

TARGETS = {
    "kv": watch_pb2.WATCH_TARGET_KV,
    "state": watch_pb2.WATCH_TARGET_STATE,
    "memories": watch_pb2.WATCH_TARGET_MEMORIES,
    "traces": watch_pb2.WATCH_TARGET_TRACES,
}


def tail(fields: dict[str, Any], stream: str, from_sequence: int | None) -> stream_pb2.TailStreamRequest:
    """Returns the request of a tail; from_sequence None: only what comes."""
    first = 0 if from_sequence is None else _wire.at_least_one(from_sequence, "from_sequence")
    return _wire.build(stream_pb2.TailStreamRequest, **fields, stream=stream, from_sequence=first)


def watch(
    fields: dict[str, Any], target: str, after_version: int | None, **matching: str
) -> watch_pb2.WatchRequest:
    """Returns the request of a watch; after_version None: only what comes."""
    return _wire.build(
        watch_pb2.WatchRequest, **fields, target=TARGETS[target], after_version=after_version, **matching
    )


def advance_tail(request: stream_pb2.TailStreamRequest, response: stream_pb2.TailStreamResponse) -> None:
    """Makes a request ask for what comes after a response."""
    request.from_sequence = response.next_sequence


def advance_watch(request: watch_pb2.WatchRequest, response: watch_pb2.WatchResponse) -> None:
    """Makes a request ask for what comes after a response."""
    request.after_version = response.after_version


def next_sequence(response: stream_pb2.TailStreamResponse) -> int:
    """Returns where a tail stands after a response."""
    return response.next_sequence


def reached(response: watch_pb2.WatchResponse) -> int:
    """Returns where a watch stands after a response."""
    return response.after_version


def events(response: stream_pb2.TailStreamResponse) -> Iterator[tuple[int, Event]]:
    """Yields the events of a response, each after the sequence that follows it."""
    for each in response.events:
        yield each.sequence + 1, _wire.event(each)


def key_changes(response: watch_pb2.WatchResponse) -> Iterator[tuple[int, KeyVersion]]:
    """Yields the changes of a response, each after where a watch stands that has had it."""
    for after, each in _placed(response):
        written = each.provenance
        yield (
            after,
            KeyVersion(
                key=each.key,
                value=None if each.deleted else _json.decode(each.value),
                deleted=each.deleted,
                reason=_wire.end_reason(each.reason),
                version=written.version,
                time_us=written.time_us,
                agent=written.agent,
                run=written.run,
                tool=written.tool,
                expires_at_us=each.expires_at_us,
            ),
        )


def memory_changes(response: watch_pb2.WatchResponse) -> Iterator[tuple[int, MemoryChange]]:
    """As `key_changes`, of memories."""
    for after, each in _placed(response):
        memory = None if each.deleted else MemoryItem(**_wire.memory_fields(each.memory))
        written = each.provenance
        yield (
            after,
            MemoryChange(
                id=each.key,
                memory=memory,
                version=written.version,
                time_us=written.time_us,
                agent=written.agent,
                run=written.run,
                tool=written.tool,
            ),
        )


def traces(response: watch_pb2.WatchResponse) -> Iterator[tuple[int, Trace]]:
    """As `key_changes`, of traces, which never end."""
    for after, each in _placed(response):
        yield after, _traces.trace(each.trace)


def _placed(response: watch_pb2.WatchResponse) -> Iterator[tuple[int, watch_pb2.Change]]:
    # Of changes of one version all have to be had before a watch can go on after that version.
    changes = response.changes
    if not changes:
        return
    place = changes[0].provenance.version - 1
    for each, following in zip(changes, [*changes[1:], None], strict=True):
        version = each.provenance.version
        if following is None or following.provenance.version != version:
            place = version
        yield place, each
