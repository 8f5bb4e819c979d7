"""Every call of the contract as one plain function of caller and request.

Nothing here knows how calls arrive: `rpc/` adapts gRPC to it, the embedded memory calls it directly.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Protocol, cast

from google.protobuf.message import DecodeError, Message

from memraft_cluster.errors import NotLeader
from memraft_proto.methods import KIND_BATCH, Access, Method
from memraft_server.admission.identity import Caller, Role, check_namespace
from memraft_server.admission.quotas import Cost, Quotas, TenantQuota
from memraft_server.admission.schemas import CHECKED, SchemaBarrier, is_checked
from memraft_server.clock import steady_time_us
from memraft_server.following import Followers
from memraft_server.machine import Limits, Refused
from memraft_server.machine.changes import Wake
from memraft_server.machine.feeds import Feed, open_feed
from memraft_server.machine.handlers_receipts import RECORD_INFLUENCE
from memraft_server.machine.puts import Puts, plain_puts
from memraft_server.machine.validate import check_namespace as check_syntax
from memraft_server.machine.validate import check_read, check_write
from memraft_server.reads import Reader
from memraft_server.recalls import LOGGED, Recalls, Receipts, record_recalls
from memraft_server.shard import Outcome, Shard
from memraft_server.writes import write

ROUTES_MAX = 65_536
"""Namespaces whose shard is remembered; when there are more, all are forgotten and looked up again."""


class Directory(Protocol):
    """What the cluster calls need to know: where things are, how this node stands, what is to change."""

    def leader(self, shard: int) -> int:
        """The node to ask for a shard that is not among those here, unless it is by now; 0 where that is not
        known."""

    def shard_map(self) -> Message:
        """A GetShardMapResponse."""

    def node_status(self) -> Message:
        """A GetNodeStatusResponse."""

    def cluster_record(self, request: Any) -> Outcome:
        """A GetClusterRecordResponse. Raises ClusterError."""

    def change_cluster(self, request: Any) -> Outcome:
        """A ChangeClusterResponse. Raises Refused, ClusterError."""

    def report_replicas(self, request: Any) -> Outcome:
        """A ReportReplicasResponse. Raises Refused, ClusterError."""


class Backups(Protocol):
    """What reads the states of shards for backups."""

    def chunks(self, shard: int) -> AsyncGenerator[bytes, None]:
        """The chunks of a shard's state. Raises Refused, ClusterError."""


class Service:
    """All calls on the shards of one process.

    Args:
        shards: those on this node, by number. They may come and go; then call :meth:`forget_routes`.
        shard_of: namespace -> number of its shard.
        directory: answers the cluster calls.
        limits: what requests are checked against.
        quotas: None: nothing is limited, as in an embedded memory.
        clock_us: microseconds since the Unix epoch.
        lag_wait_ms: how long a session's read waits for a replica that lags behind.
        request_bytes_max: largest encoded request.
        backups: None: there are none, as in an embedded memory.
        followers: serves the calls that follow a shard; None: with default limits.
        schemas: checks documents; None: where calls arrive.
        receipts: has receipts of recalls written; None: recalls have none.
    """

    def __init__(
        self,
        shards: Mapping[int, Shard],
        shard_of: Callable[[str], int],
        directory: Directory,
        *,
        limits: Limits,
        quotas: Quotas | None = None,
        clock_us: Callable[[], int] = steady_time_us,
        lag_wait_ms: int = 1_000,
        request_bytes_max: int = 8 << 20,
        backups: Backups | None = None,
        followers: Followers | None = None,
        schemas: SchemaBarrier | None = None,
        receipts: Receipts | None = None,
    ) -> None:
        self.limits = limits
        self._shards = shards
        self._shard_of = shard_of
        self._directory = directory
        self._backups = backups
        self._quotas = quotas
        self._reader = Reader(clock_us, lag_wait_ms)
        self._request_bytes_max = request_bytes_max
        self._routes: dict[str, Shard] = {}
        self._recalls = Recalls(self._reader, receipts) if receipts is not None else None
        self._schemas = schemas if schemas is not None else SchemaBarrier()
        self.followers = followers if followers is not None else Followers()
        self.exchange: Callable[[Caller, Any], Outcome] = _no_exchange
        """Makes the calls that came in one, where calls come over a network."""

    def call_bytes(self, caller: Caller, method: Method, raw: bytes) -> Outcome:
        """As :meth:`call`, with the request as it came over the wire."""
        return self.call(caller, method, self.decoded(caller, method, raw), raw)

    async def stream_bytes(self, caller: Caller, method: Method, raw: bytes) -> AsyncGenerator[Message, None]:
        """Yields the responses of a call that has many. To be closed when no more are wanted.

        Raises:
            Refused, memraft_cluster.errors.ClusterError: as :meth:`call`.
        """
        request: Any = self.decoded(caller, method, raw)
        if method.access is Access.READ:
            async with aclosing(self._followed(caller, method, request)) as responses:
                async for response in responses:
                    yield response
            return
        _check_role(caller, method.name)
        if self._backups is None:
            raise Refused("INVALID_ARGUMENT", f"{method.name} is not served here")
        async with aclosing(self._backups.chunks(request.shard)) as chunks:
            async for chunk in chunks:
                yield method.response(chunk=chunk)

    def _followed(self, caller: Caller, method: Method, request: Any) -> AsyncGenerator[Message, None]:
        shard = self._checked(caller, method, request)

        def check() -> None:
            if self.shard(request.namespace) is not shard:
                raise NotLeader(shard.number, 0)

        def begin() -> Outcome:
            return self._reader.read(shard, method.name, request)

        return self.followers.responses(shard, method.name, request, begin, check)

    def feed(self, caller: Caller, method: Method, request: Any, wake: Wake) -> tuple[Message, Feed]:
        """Begins a call with many responses on a shard that answers at once; returns the first of them, and
        what has the others. Raises as :meth:`call`."""
        shard = self._checked(caller, method, request)
        first = cast(Message, self._reader.read(shard, method.name, request))
        return first, open_feed(shard.machine, method.name, request, first, wake)

    def _checked(self, caller: Caller, method: Method, request: Any) -> Shard:
        self._admit(caller, request.namespace)
        check_read(method.name, request, self.limits)
        return self.shard(request.namespace)

    def decoded(self, caller: Caller, method: Method, raw: bytes) -> Message:
        """Returns the request of a call. Raises Refused (INVALID_ARGUMENT) where it is none or too large."""
        if len(raw) > self._request_bytes_max:
            self._count(caller)
            raise Refused(
                "INVALID_ARGUMENT",
                f"the request has {len(raw)} bytes, over request_bytes_max = {self._request_bytes_max}",
                {"limit": "request_bytes_max", "value": str(self._request_bytes_max)},
            )
        try:
            return method.request.FromString(raw)
        except DecodeError as error:
            self._count(caller)
            raise Refused(
                "INVALID_ARGUMENT", f"the request is no {method.request.DESCRIPTOR.name}: {error}"
            ) from None

    def call(self, caller: Caller, method: Method, request: Any, raw: bytes | None = None) -> Outcome:
        """Does one call.

        Args:
            caller: who calls.
            method: which call.
            request: its request. It is kept where it is a write, and may be changed where it is a read.
            raw: the encoded request, where there is one already.

        Returns:
            The response, or an awaitable of it. Awaiting may raise whatever the call itself may.

        Raises:
            Refused: the caller, the request or the state of the data do not allow the call.
            memraft_cluster.errors.ClusterError: the shard cannot do it here or now.
        """
        access = method.access
        if method.streams:
            raise Refused("INVALID_ARGUMENT", f"{method.name} has many responses: it is a stream")
        if access is Access.CLUSTER:
            return self._cluster(caller, method.name, request)
        if access is Access.EXCHANGE:
            return self.exchange(caller, request)
        # The owner of the process is neither counted nor kept from anything.
        quota = None if caller.role is Role.LOCAL else self._admit(caller, request.namespace)
        if access is Access.WRITE:
            kind = method.kind
            puts = _puts(kind, raw)
            check_write(kind, request, self.limits, puts)
            shard = self.shard(request.namespace)
            if kind in CHECKED and is_checked(shard.machine, kind, request.namespace):
                return self._schemas.pass_through(
                    shard,
                    kind,
                    request,
                    raw,
                    lambda data: write(shard, quota, caller, kind, request, data, _puts(kind, data)),
                )
            if kind == RECORD_INFLUENCE and self._recalls is not None:
                return self._recalls.influence(
                    shard, request, lambda: write(shard, quota, caller, kind, request, None)
                )
            return write(shard, quota, caller, kind, request, raw, puts)
        check_read(method.name, request, self.limits)
        if quota is not None and method.name == "MultiGet":
            quota.take(Cost(len(request.keys)))
        shard = self.shard(request.namespace)
        if self._recalls is not None and method.name in LOGGED:
            return self._recalls.read(shard, quota, caller, method.name, request)
        return self._reader.read(shard, method.name, request)

    def _admit(self, caller: Caller, namespace: str) -> TenantQuota | None:
        """Counts a call for its caller's tenant before more is done for it; refuses what it may not touch."""
        quota = self._count(caller)
        if quota is not None:
            check_syntax(namespace, self.limits)
        check_namespace(caller, namespace)
        return quota

    def _count(self, caller: Caller) -> TenantQuota | None:
        if self._quotas is None or caller.role is not Role.AGENT:
            return None
        quota = self._quotas.of(caller.tenant)
        quota.admit()
        return quota

    def shard(self, namespace: str) -> Shard:
        """The shard that holds a namespace. Raises NotLeader where it is on other nodes."""
        found = self._routes.get(namespace)
        if found is None:
            number = self._shard_of(namespace)
            here = self._shards.get(number)
            if here is None:
                leader = self._directory.leader(number)
                here = self._shards.get(number)  # it looked again: the shard may have come a moment ago
                if here is None:
                    raise NotLeader(number, leader)
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            found = self._routes[namespace] = here
        return found

    def forget_routes(self) -> None:
        """Other shards are on this node now than before."""
        self._routes.clear()
        self.followers.wake()

    def _cluster(self, caller: Caller, name: str, request: Any) -> Outcome:
        directory = self._directory
        if name == "GetShardMap":
            return directory.shard_map()
        _check_role(caller, name)
        if name == "GetNodeStatus":
            return directory.node_status()
        if name == "GetClusterRecord":
            return directory.cluster_record(request)
        if name == "ReportReplicas":
            return directory.report_replicas(request)
        if name == "RecordRecalls":
            return record_recalls(self._shards.get(request.shard), request)
        return directory.change_cluster(request)


def _puts(kind: int, raw: bytes | None) -> Puts | None:
    return plain_puts(raw) if kind == KIND_BATCH and raw is not None else None


def _no_exchange(caller: Caller, request: Any) -> Outcome:
    raise Refused("INVALID_ARGUMENT", "Exchange is not served here: make its calls alone")


_ROLES: dict[str, tuple[frozenset[Role], str]] = {
    "GetNodeStatus": (frozenset({Role.OPERATOR, Role.NODE}), "ask how nodes stand"),
    "GetClusterRecord": (frozenset({Role.OPERATOR, Role.NODE}), "ask for the cluster's record"),
    "ChangeCluster": (frozenset({Role.OPERATOR}), "change the cluster"),
    "ReportReplicas": (frozenset({Role.NODE}), "report where replicas are"),
    "RecordRecalls": (frozenset({Role.NODE}), "hand over receipts"),
    "BackupShard": (frozenset({Role.OPERATOR}), "make a backup"),
}
"""Call -> the roles that may make it, beside the owner of the process, and what it is."""


def _check_role(caller: Caller, name: str) -> None:
    """Raises Refused (WRONG_ROLE) unless the caller may make a cluster call."""
    roles, what = _ROLES[name]
    if caller.role in roles or caller.role is Role.LOCAL:
        return
    needed = "an operator's" if Role.OPERATOR in roles else "a node's"
    raise Refused(
        "WRONG_ROLE",
        f"{caller.role.value} {caller.name!r} may not {what}; that takes {needed} certificate",
        {"role": caller.role.value},
    )
