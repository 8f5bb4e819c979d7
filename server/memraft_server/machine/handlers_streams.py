"""Applies commands on streams."""

from __future__ import annotations

from memraft_proto.v1 import stream_pb2
from memraft_server.machine.limits import ITEMS_MAX
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Handler, Turn
from memraft_server.projections.events import BLOCK_EVENTS_MIN
from memraft_server.projections.streams import StreamsProjection


def append(turn: Turn, space: Namespace, request: stream_pb2.AppendRequest) -> stream_pb2.AppendResponse:
    """Appends one event."""
    streams = space.projection(StreamsProjection)
    stream = streams.get_or_make(space.name, request.stream)
    event_id = turn.new_id()
    digest = streams.append(
        stream, turn.version, turn.time_us, event_id, turn.author, request.type, request.payload
    )
    if streams.appended is not None:
        streams.appended(request.stream)
    return stream_pb2.AppendResponse(
        version=turn.version,
        time_us=turn.time_us,
        sequence=len(stream.events),
        event_id=event_id,
        hash=digest,
    )


def append_many(
    turn: Turn, space: Namespace, request: stream_pb2.AppendManyRequest
) -> stream_pb2.AppendManyResponse:
    """Appends many events to one stream."""
    types, payloads = request.types[:], request.payloads[:]
    count = len(payloads)
    if not 0 < count <= ITEMS_MAX or len(types) not in (1, count):
        raise invalid(f"types: {len(types)}, but there are {count} payloads")
    streams = space.projection(StreamsProjection)
    stream = streams.get_or_make(space.name, request.stream)
    first_sequence = len(stream.events) + 1
    version, time_us, author, digest = turn.version, turn.time_us, turn.author, b""
    turn.items = count
    if count >= BLOCK_EVENTS_MIN:
        digest = streams.append_block(stream, version, time_us, turn.new_ids(count), author, types, payloads)
    else:
        every = types if len(types) == count else types * count
        for item, (type_, payload) in enumerate(zip(every, payloads, strict=True)):
            digest = streams.append(
                stream, version + item, time_us, turn.new_id(item), author, type_, payload
            )
    if streams.appended is not None:
        streams.appended(request.stream)
    return stream_pb2.AppendManyResponse(
        first_version=version,
        time_us=time_us,
        first_sequence=first_sequence,
        count=count,
        last_hash=digest,
    )


HANDLERS: dict[int, Handler] = {4: append, 5: append_many}
