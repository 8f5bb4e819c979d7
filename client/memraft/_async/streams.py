"""Append-only streams of events."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any, Unpack

from memraft_proto.v1 import stream_pb2

from .. import _operations as operations
from .. import _streams, _wire, chain
from .._streams import MISSING, Scope
from ..types import Appended, AppendedMany, At, ChainVerdict, Consistency, Event, Results, StreamInfo
from .base import METHOD, AsyncCalls

_APPEND, _APPEND_MANY, _READ = METHOD["Append"], METHOD["AppendMany"], METHOD["ReadStream"]
_VERIFY, _LIST = METHOD["VerifyStream"], METHOD["ListStreams"]


class AsyncStreamCalls(AsyncCalls):
    """Append-only events in named streams, each chained to the one before by SHA-256."""

    async def append(
        self,
        stream: str | None = None,
        payload: Any = MISSING,
        *,
        type: str = "event",
        **scope: Unpack[Scope],
    ) -> Appended:
        """Appends one event: `m.append("ticket:1458", {...})` or `m.append(entity="user:42", payload={...})`.

        Args:
            stream: its name, such as `ticket:1458`: 1 to 512 bytes of UTF-8 without control characters.
            payload: anything that msgspec writes as JSON; at most 1 MiB of it.
            type: what kind of event, up to 128 bytes.
            scope: instead of `stream`, what it belongs to: `run=`, `thread=`, `agent=` or `entity=`.
        """
        request = operations.append(self._where, stream, payload, type, scope)
        return operations.append_done(request, await self._link.write(_APPEND, request))

    async def append_many(
        self,
        stream: str | None = None,
        payloads: Iterable[Any] = MISSING,
        *,
        type: str | Sequence[str] = "event",
        **scope: Unpack[Scope],
    ) -> AppendedMany:
        """Appends many events to one stream in one log entry.

        Args:
            stream: its name.
            payloads: the events, at most 10,000.
            type: one for all, or one for each.
            scope: instead of `stream`, what it belongs to: `run=`, `thread=`, `agent=` or `entity=`.
        """
        request = operations.append_many(self._where, stream, payloads, type, scope)
        return operations.append_many_done(request, await self._link.write(_APPEND_MANY, request))

    async def events(
        self,
        stream: str | None = None,
        *,
        from_sequence: int = 1,
        until_sequence: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        limit: int = 1000,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
        **scope: Unpack[Scope],
    ) -> Results[Event]:
        """Reads a range of events in order; an unknown stream has none.

        Args:
            stream: its name.
            from_sequence: the first of the range; the first of all is 1.
            until_sequence: the last of the range; None: to the end.
            since: only events committed at or after this aware datetime.
            until: only events committed before this aware datetime.
            newest_first: begin with the newest of the range and go back.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before, with the same arguments.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
            scope: instead of `stream`, what it belongs to: `run=`, `thread=`, `agent=` or `entity=`.
        """
        request = _streams.read(
            self._from(at, consistency),
            _streams.stream_name(stream, scope),
            from_sequence,
            until_sequence,
            since,
            until,
            newest_first,
            limit,
            cursor,
        )
        response: stream_pb2.ReadStreamResponse = await self._link.read(_READ, request)
        return _wire.results(response, tuple(map(_wire.event, response.events)))

    async def verify(
        self,
        stream: str | None = None,
        *,
        at: At = None,
        consistency: Consistency | None = None,
        **scope: Unpack[Scope],
    ) -> ChainVerdict:
        """Recomputes the hash chain of a stream; the verdict is true where it holds.

        A stream that does not exist is one without events: `intact`, with a `count` of 0, which is how a
        misspelt name shows.

        It takes one call for each 10,000 events, all of which see what the first one saw.

        Args:
            stream: its name.
            at: only up to an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
            scope: instead of `stream`, what it belongs to: `run=`, `thread=`, `agent=` or `entity=`.
        """
        name = _streams.stream_name(stream, scope)
        fields = self._from(at, consistency)
        sequence = count = first_broken_sequence = 0
        while True:
            request = _wire.build(
                stream_pb2.VerifyStreamRequest, **fields, stream=name, from_sequence=sequence
            )
            response: stream_pb2.VerifyStreamResponse = await self._link.read(_VERIFY, request)
            count += response.count
            first_broken_sequence = first_broken_sequence or response.first_broken_sequence
            sequence = response.next_sequence
            if not sequence:
                return ChainVerdict(
                    intact=not first_broken_sequence,
                    count=count,
                    last_hash=response.last_hash,
                    first_broken_sequence=first_broken_sequence,
                )
            # Whichever replica answers next has to have reached the moment that the first one saw.
            at = response.stamp.applied_index if at is None else at
            fields = self._from(at, "session")

    async def export(
        self,
        stream: str | None = None,
        *,
        at: At = None,
        consistency: Consistency | None = None,
        **scope: Unpack[Scope],
    ) -> AsyncIterator[bytes]:
        """Yields a stream as lines of JSON, which `memraft.chain` verifies without a server.

        It takes one call for each 1,000 events, all of which see what the first one saw.

        Args:
            stream: its name.
            at: only up to an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
            scope: instead of `stream`, what it belongs to: `run=`, `thread=`, `agent=` or `entity=`.
        """
        name = _streams.stream_name(stream, scope)
        fields = self._from(at, consistency)
        last = await self._link.read(_READ, _streams.read(fields, name, newest_first=True, limit=1))
        # Whichever replica answers next has to have reached the moment that the first one saw.
        fields = self._from(last.stamp.applied_index if at is None else at, "session")
        page = await self._link.read(_READ, _streams.read(fields, name))
        ends = (page.events[0], last.events[0]) if last.events else (None, None)
        yield chain.header_line(self._namespace, name, *ends)
        while page.events:
            for event in page.events:
                yield chain.event_line(event)
            sequence = page.events[-1].sequence + 1
            if sequence > last.last_sequence:
                return
            page = await self._link.read(_READ, _streams.read(fields, name, from_sequence=sequence))

    async def streams(
        self,
        prefix: str = "",
        *,
        limit: int = 1000,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[StreamInfo]:
        """Lists the streams of the namespace in order of name.

        Args:
            prefix: only those whose name begins with this.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            stream_pb2.ListStreamsRequest,
            **self._from(at, consistency),
            prefix=prefix,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        response: stream_pb2.ListStreamsResponse = await self._link.read(_LIST, request)
        pairs = zip(response.streams, response.last_sequences, strict=True)
        return _wire.results(
            response, tuple(StreamInfo(name=name, last_sequence=last) for name, last in pairs)
        )
