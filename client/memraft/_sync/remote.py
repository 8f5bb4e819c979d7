# Generated from _async/remote.py by scripts/generate_sync.py: edit that one.

"""The link to a cluster: sends each call to a node that can do it, until it is done or time is up."""

import threading
import time
from typing import Any

import grpc

from memraft_proto.methods import Method
from memraft_proto.sharding import tenant_of
from memraft_proto.v1 import cluster_pb2, kv_pb2

from .. import _coalesce, _left_behind, _status, _wire, errors
from .._coalesce import PUT, WRITE_BYTES_MAX, BatchFlight, Place, Put, Write
from .._course import Course, index_reader
from .._diagnose import diagnose
from .._gather import ALONE
from .._gets import GET, Get, GetFlight, Shelf, is_key, value_of
from .._left_behind import Elsewhere
from .._router import MAP_AGE_MIN_S, Router
from .._target import ClusterTarget
from .base import METHOD, Beside, Coming, Head, Outline, Recollect, Search
from .base import Put as Puts
from .exchanges import Exchanges
from .feeds import Source
from .following import Advance, RemoteSource
from .io import (
    INTERRUPTED,
    Call,
    Channel,
    Home,
    Lock,
    Slots,
    acquire,
    channel_opener,
    in_thread,
    is_cancelled,
    sleep,
)
from .lanes import Lanes

_SHARD_MAP = METHOD["GetShardMap"]

MAP_TIMEOUT_S = 1.0
MAP_TRIES = 4
"""Of one node, where the event loop is blocked and the connection is yet being made."""
PASSING_TIMEOUT_S = 0.25
"""For the map asked for in passing, of a node that has just answered."""
CALLS_MAX = 1_024
"""Writes under way or about to be; further ones wait here, where waiting makes no queue longer."""
CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    # Retries are ours: they know leaders and sessions.
    ("grpc.enable_retries", 0),
    # A node that comes back is found within half a second; gRPC's own default is up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A node that vanished without a word is noticed; servers allow a ping every 10 s.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),
    # MultiGet replies with up to 32 MiB.
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
]


class RemoteLink:
    """Channels to the nodes, one each, and the routing of calls over them.

    In a child of a fork it refuses every use: gRPC's threads do not survive one, and sockets would be shared.

    Args:
        cluster: where it is.
    """

    head: Head | None = None
    nearest: Search | None = None
    recalled: Recollect | None = None
    adjacent: Beside | None = None
    contents: Outline | None = None

    def __init__(self, cluster: ClusterTarget) -> None:
        self._cluster = cluster
        self.timeout_s = cluster.timeout_s
        self._router = Router(cluster.addresses)
        self._open_channel = channel_opener(cluster, CHANNEL_OPTIONS)
        self._channels: dict[str, Channel] = {}
        self._calls: dict[tuple[str, str], Call] = {}
        self._opening = threading.Lock()
        self._finding = Lock()
        self._asked_at_s = float("-inf")
        self._unreachable: list[errors.MemraftError] = []
        self._slots = Slots(CALLS_MAX)
        self._lanes = Lanes(BatchFlight, self._send, cluster.timeout_s)
        self._gets = Lanes(GetFlight, self._ask, cluster.timeout_s)
        self._exchanges = Exchanges(self)
        self._is_closed = False
        self._home: Home | Elsewhere = Home()
        self.puts: Puts | None = self.put
        _left_behind.watch(self)

    def leave_behind(self, reason: str) -> None:
        """See `_left_behind.Opened`."""
        lanes = (self._lanes, self._gets, self._exchanges)
        _left_behind.keep_for_ever(self._channels, self._calls, lanes)
        self._home = Elsewhere(reason)
        self._channels, self._calls = {}, {}
        self._opening = threading.Lock()

    def write(self, method: Method, request: Any) -> Any:
        """Sends a write until it is answered. Raises MemraftError; OutcomeUnknown where it may be applied."""
        deadline_s = time.monotonic() + self._cluster.timeout_s
        shard = self._known_shard(request.namespace)
        if shard is None:
            shard = self._shard(request.namespace, deadline_s)
        if not (self._slots.enter() or self._slots.wait(deadline_s - time.monotonic())):
            raise self._full()
        try:
            key = _coalesce.lane_of(method, request)
            if key is None:
                return self._send(method, request, shard, deadline_s)
            lane = self._lanes.alone(key, deadline_s)
            if lane is None:
                return self._lanes.carry(Write(method, request, shard, deadline_s, key))
            try:
                return self._send(method, request, shard, deadline_s)
            finally:
                self._lanes.hand_on(lane)
        finally:
            self._slots.leave()

    def put(self, place: Place, key: str, value: bytes) -> Any:
        """Stores a document under no condition, as `write` does. Raises MemraftError.

        Args:
            place: where, and who writes.
            key: one that `is_key`.
            value: its JSON text.
        """
        if len(value) > WRITE_BYTES_MAX:
            return self.write(PUT, place.put(key, value))
        self._home.check()
        deadline_s = time.monotonic() + self.timeout_s
        if not (self._slots.enter() or self._slots.wait(deadline_s - time.monotonic())):
            raise self._full()
        try:
            size_bytes = len(key) + len(value)
            coming = self._lanes.joined(place.key, (key, value), size_bytes, deadline_s)
            if coming is None:
                shard = self._known_shard(place.namespace)
                if shard is None:
                    shard = self._shard(place.namespace, deadline_s)
                lane = self._lanes.alone(place.key, deadline_s)
                if lane is not None:
                    try:
                        return self._send(PUT, place.put(key, value), shard, deadline_s)
                    finally:
                        self._lanes.hand_on(lane)
                coming = self._lanes.join(Put(place, shard, deadline_s), (key, value), size_bytes)
            outcome: Any = coming
            if type(outcome) is kv_pb2.PutResponse:
                return outcome
            if outcome is ALONE:
                shard = self._shard(place.namespace, deadline_s)
                outcome = self._send(PUT, place.put(key, value), shard, deadline_s)
            elif isinstance(outcome, errors.MemraftError):
                raise outcome
            return outcome
        finally:
            self._slots.leave()

    def read(self, method: Method, request: Any) -> Any:
        """Asks until there is an answer. Raises MemraftError."""
        deadline_s = time.monotonic() + self._cluster.timeout_s
        shard = self._shard(request.namespace, deadline_s)
        return self._ask(method, request, shard, deadline_s)

    def value(self, shelf: Shelf, key: str, deadline_s: float) -> Coming:
        """Reads a document as of now, with others of its namespace. Raises MemraftError.

        Returns:
            What will be the document's bytes, empty where there is none; anything else is for `settled`.
        """
        if is_key(key):
            self._home.check()
            coming: Coming | None = self._gets.joined(shelf.key, key, len(key), deadline_s)
            if coming is not None:  # as nearly always beside others, who need no coroutine for it
                return coming
        return self._value(shelf, key, deadline_s)

    def settled(self, outcome: Any, shelf: Shelf, key: str, deadline_s: float) -> bytes:
        """The document's bytes, where the call that carried its read brought none. Raises MemraftError."""
        if outcome is ALONE:
            shard = self._shard(shelf.namespace, deadline_s)
            outcome = self._ask(GET, shelf.get(key), shard, deadline_s)
        elif isinstance(outcome, errors.MemraftError):
            raise outcome
        return value_of(outcome)

    def _value(self, shelf: Shelf, key: str, deadline_s: float) -> Any:
        """Reads a document where no party gathers that takes its reader."""
        if not is_key(key):
            request = _wire.build(
                kv_pb2.GetRequest, namespace=shelf.namespace, context=shelf.context, key=key
            )
            return value_of(self.read(GET, request))
        shard = self._known_shard(shelf.namespace)
        if shard is None:
            shard = self._shard(shelf.namespace, deadline_s)
        lane = self._gets.alone(shelf.key, deadline_s)
        if lane is not None:
            try:
                return value_of(self._ask(GET, shelf.get(key), shard, deadline_s))
            finally:
                self._gets.hand_on(lane)
        return self._gets.join(Get(shelf, shard, deadline_s), key, len(key))

    def follow(self, method: Method, request: Any, advance: Advance) -> Source:
        """Begins, with the first step, a call that has many responses.

        Args:
            method: which.
            request: kept and changed.
            advance: makes the request ask for what comes after a response.
        """
        return RemoteSource(self, method, request, advance)

    def close(self) -> None:
        """Closes all channels; calls under way and writes that wait for them fail."""
        if isinstance(self._home, Elsewhere):
            return
        with self._opening:
            self._is_closed = True
            channels = list(self._channels.values())
            self._channels.clear()
            self._calls.clear()
        self._lanes.close()
        self._gets.close()
        self._exchanges.close()
        for channel in channels:
            channel.close()

    @staticmethod
    def _full() -> errors.Overloaded:
        return errors.Overloaded(f"{CALLS_MAX} writes of this client wait for an answer, at most {CALLS_MAX}")

    # -- one call --------------------------------------------------------------------------------------

    def _send(self, method: Method, request: Any, shard: int, deadline_s: float) -> Any:
        """Makes the call of a write in its session, in another where the shard no longer keeps that one."""
        tenant = tenant_of(request.namespace)
        course = Course(self._router, shard, deadline_s, is_write=True, needs_leader=True)
        while True:
            session, number = self._router.begin(shard, tenant)
            context = request.context
            context.client_id = session.client_id
            context.request_number = number
            course.begin_session(session)
            try:
                response = self._run(method, request, course)
            finally:
                self._router.end(session, number)
            if response is not None:
                break
            self._router.renew(shard, tenant, session)
        self._router.note_seen(shard, index_reader(method)(response))
        return response

    def _ask(self, method: Method, request: Any, shard: int, deadline_s: float) -> Any:
        """Makes the call of a read."""
        course = Course.of_read(self._router, shard, deadline_s, request.context)
        response = self._run(method, request, course)
        self._router.note_seen(shard, response.stamp.applied_index)
        return response

    def _run(self, method: Method, request: Any, course: Course) -> Any:
        """Sends a call along its course. Returns None where a new session is needed."""
        while True:
            address = course.address()
            if address is None:
                self._find(course)
                continue
            course.stamp(request)
            try:
                response = self._exchanges.call(address, method, request, course.attempt_timeout_s())
            except errors.ClosedError:
                raise
            except errors.MemraftError as error:
                if course.is_new_session_needed(error):
                    return None
                wait_s = course.failed(address, error)
                if wait_s:
                    sleep(wait_s)
                continue
            self._router.clear(address)
            if self._router.is_map_due():
                self._renew_map(address)
            return response

    def _renew_map(self, address: str) -> None:
        """Asks a node that has just answered for the map, so that nodes that came since are known before
        those that were known are gone. It may fail: the next one will do."""
        try:
            asked = self.callable(address, _SHARD_MAP)
            self._router.learn(asked(cluster_pb2.GetShardMapRequest(), timeout=PASSING_TIMEOUT_S))
        except INTERRUPTED:
            if not self._is_closed or is_cancelled():
                raise
        except (grpc.RpcError, errors.ClosedError):
            pass

    def callable(self, address: str, method: Method) -> Call:
        """What makes a call on one node; the request may be encoded already. The node's channel connects when
        it is first used."""
        found = self._calls.get((address, method.path))
        if found is not None:
            return found
        with self._opening:
            if self._is_closed:
                raise errors.ClosedError("this memory is closed")
            channel = self._channels.get(address)
            if channel is None:
                channel = self._open_channel(address)
                self._channels[address] = channel
            kind = channel.unary_stream if method.streams else channel.unary_unary
            call: Call = kind(
                method.path,
                request_serializer=_encoded,
                response_deserializer=method.response.FromString,
            )
            self._calls[address, method.path] = call
            return call

    # -- calls with many responses; see `following` ------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def course_of(self, request: Any) -> Course:
        """The way of a call that begins now."""
        deadline_s = time.monotonic() + self._cluster.timeout_s
        shard = self._shard(request.namespace, deadline_s)
        return Course.of_read(self._router, shard, deadline_s, request.context)

    def begin(self, method: Method, request: Any, course: Course, timeout_s: float) -> tuple[str, Any]:
        """Begins a call; returns whom it asks, and the call."""
        while (address := course.address()) is None:
            self._find(course)
        course.stamp(request)
        return address, self.callable(address, method)(request, timeout=timeout_s)

    def failed(self, failure: grpc.RpcError, address: str, course: Course) -> None:
        """Waits until another try may succeed. Raises MemraftError where none will, or not in time."""
        wait_s = course.failed(address, _status.explain(failure, address))
        if wait_s:
            sleep(wait_s)

    def answered(self, address: str, request: Any, response: Any) -> None:
        """Takes note of a response."""
        self._router.clear(address)
        shard = self._router.shard_of(request.namespace)
        if shard is not None:
            self._router.note_seen(shard, response.stamp.applied_index)

    # -- the map ---------------------------------------------------------------------------------------

    def _known_shard(self, namespace: str) -> int | None:
        self._home.check()
        if self._is_closed:
            raise errors.ClosedError("this memory is closed")
        if not namespace:
            raise errors.InvalidArgument(
                "namespace= is needed on a cluster, such as 'acme/support': its first segment is the tenant"
            )
        return self._router.shard_of(namespace)

    def _shard(self, namespace: str, deadline_s: float) -> int:
        while (shard := self._known_shard(namespace)) is None:
            self._find(Course(self._router, None, deadline_s, is_write=False, needs_leader=False))
        return shard

    def _find(self, course: Course) -> None:
        """Asks for the map, once for all callers that need one. Raises when the course's time is up."""
        if not acquire(self._finding, course.remaining_s()):
            raise course.give_up()
        try:
            if course.is_lost() and time.monotonic() - self._asked_at_s >= MAP_AGE_MIN_S:
                self._unreachable = self._ask_for_map(course)
                self._asked_at_s = time.monotonic()
        finally:
            self._finding.release()
        if course.is_lost():
            course.note_unreachable(self._unreachable)
            sleep(course.pause_s())
        else:
            course.begin_round()

    def _ask_for_map(self, course: Course) -> list[errors.MemraftError]:
        """Asks one node after the other until one answers; returns why none did, empty where one did."""
        failures: list[errors.MemraftError] = []
        for address in self._router.known_addresses():
            failure = self._ask_node_for_map(address, course)
            if failure is None:
                return []
            failures.append(failure)
            self._router.suspect(address, is_gone=True)
        return failures

    def _ask_node_for_map(self, address: str, course: Course) -> errors.MemraftError | None:
        """Asks one node; returns why it did not answer."""
        tries = 0
        while True:
            timeout_s = min(MAP_TIMEOUT_S, course.remaining_s())
            try:
                found = self.callable(address, _SHARD_MAP)(
                    cluster_pb2.GetShardMapRequest(), timeout=timeout_s
                )
            except INTERRUPTED as failure:
                if self._is_closed and not is_cancelled():
                    raise errors.ClosedError(
                        "this memory was closed while it looked for a shard"
                    ) from failure
                raise
            except grpc.RpcError as failure:
                error = self._explain(address, failure)
                tries += 1
                if (
                    _status.STILL_CONNECTING not in error.message
                    or tries == MAP_TRIES
                    or not course.has_time()
                ):
                    return error
            else:
                self._router.clear(address)
                self._router.learn(found)
                return None

    def _explain(self, address: str, failure: Any) -> errors.MemraftError:
        """Why a node could not be asked, in terms of certificates and ports where that is the matter."""
        error = _status.explain(failure, address)
        if error.reason != _status.CONNECT_FAILED and error.reason != _status.CONNECTION_LOST:
            return error
        if _status.LOOP_BLOCKED in error.message:
            return error
        return in_thread(diagnose, address, self._cluster.certificates, error)


def _encoded(request: Any) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()
