"""Asks for and changes the cluster's record, wherever its leader is, and watches what follows."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import msgspec

from memraft import _status
from memraft.errors import MemraftError
from memraft_cluster.meta import META_GROUP, Record, decode_record, meta_wanted
from memraft_proto.v1 import cluster_pb2
from memraft_server.cli.clusterview import ASK_TIMEOUT_S, Observer
from memraft_server.cli.errors import CliError

CHANGE_TIMEOUT_S = 15.0
"""How long a leader of the record is looked for."""
PAUSE_S = 0.1

ELSEWHERE = frozenset(
    {
        "NOT_LEADER",
        "NO_LEADER",
        "OUTCOME_UNKNOWN",
        "SHUTTING_DOWN",
        "DISK_FULL",
        "OVERLOADED",
        _status.CONNECT_FAILED,
        _status.CONNECTION_LOST,
        _status.ATTEMPT_TIMEOUT,
    }
)
"""Why to ask again: every change may be sent twice, since the second time it is so already."""


class Standing(msgspec.Struct, frozen=True):
    """What the nodes say at one moment: the newest record among them, and how each stands that answers."""

    record: Record
    leader: str
    """The name of the node that leads the record; empty where none is known."""
    answers: dict[int, cluster_pb2.GetNodeStatusResponse]

    def leads(self, shard: int) -> int:
        """The node that leads a shard, by what it says itself; 0 where none does."""
        found = [
            (replica.term, node)
            for node, answer in self.answers.items()
            for replica in (*answer.replicas, answer.record)
            if replica.shard == shard and replica.role == cluster_pb2.REPLICA_ROLE_LEADER
        ]
        return max(found, default=(0, 0))[1]

    def step(self, group: int) -> str:
        """What the leader of a group does or waits for; empty where the group is where it is wanted."""
        leader = self.leads(group)
        if not leader:
            return "has no leader that answers"
        answer = self.answers[leader]
        return next((each.step for each in (*answer.replicas, answer.record) if each.shard == group), "")

    def pending(self) -> list[str]:
        """What is not as it is wanted, a line each."""
        record = self.record
        lines = []
        for shard in record.shards:
            if shard.is_settled:
                continue
            learners = [f"+{record.name(each)}" for each in shard.actual.learners]
            here = " ".join([*map(record.name, shard.actual.voters), *learners])
            there = " ".join(record.name(each) for each in shard.replicas)
            said = self.step(shard.shard) or "about to begin"
            lines.append(f"shard {shard.shard}, {here} -> {there}: {said}")
        if record.meta.membership != meta_wanted(record):
            lines.append(f"the cluster's record: {self.step(META_GROUP) or 'about to begin'}")
        return lines

    def misled(self) -> list[str]:
        """The shards that another node leads than should, a line each."""
        return [
            f"shard {shard.shard} is to be led by {self.record.name(shard.leader)}"
            for shard in self.record.shards
            if self.leads(shard.shard) != shard.leader
        ]


class Operator:
    """Calls for operators.

    Args:
        observer: knows endpoints and certificates.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._addresses = list(observer.endpoints)

    def change(self, request: cluster_pb2.ChangeClusterRequest) -> cluster_pb2.ChangeClusterResponse:
        """Has the record's leader make a change. Raises CliError where it is refused, or nobody leads."""
        return self._call("ChangeCluster", request)  # type: ignore[no-any-return]

    def _call(self, name: str, request: Any) -> Any:
        """Asks one node after the other, and the one that they name, until one does it."""
        deadline = time.monotonic() + CHANGE_TIMEOUT_S
        waiting = list(self._addresses)
        said = ""
        while True:
            address = waiting.pop(0)
            try:
                return self._observer.ask(address, name, request, ASK_TIMEOUT_S).result()
            except grpc.RpcError as failure:
                error = _status.explain(failure, address)
                if error.reason not in ELSEWHERE:
                    raise CliError(plain(error)) from failure
                said = f"{address}: {plain(error)}"
                hint = error.metadata.get("leader", "")
            if time.monotonic() > deadline:
                raise CliError(f"nobody who leads the cluster's record was found; last: {said}")
            if hint:
                waiting.insert(0, hint)
            elif not waiting:
                time.sleep(PAUSE_S)
                waiting = list(self._addresses)

    def look(self) -> Standing:
        """Asks every node. CliError where none knows a record or these certificates may not ask."""
        records = self._ask_all("GetClusterRecord", cluster_pb2.GetClusterRecordRequest())
        known = [answer for answer in records if answer.record]
        if not known:
            raise CliError("no node that answers knows the cluster's record")
        newest = max(known, key=lambda answer: answer.epoch)
        record = decode_record(newest.record)
        self._addresses = list(dict.fromkeys((*(n.client for n in record.nodes), *self._observer.endpoints)))
        statuses = self._ask_all("GetNodeStatus", cluster_pb2.GetNodeStatusRequest())
        leading = next((answer.leader_node_id for answer in known if answer.leader_node_id), 0)
        return Standing(
            record=record,
            leader=record.name(leading) if leading else "",
            answers={answer.node_id: answer for answer in statuses},
        )

    def _ask_all(self, name: str, request: Any) -> list[Any]:
        asked = [(each, self._observer.ask(each, name, request, ASK_TIMEOUT_S)) for each in self._addresses]
        answers, failures = [], []
        for address, answer in asked:
            try:
                answers.append(answer.result())
            except grpc.RpcError as error:
                if error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
                    raise CliError(f"{address} refuses: {error.details()}") from error
                failures.append(f"{address}: {self._observer.reason(address, error)}")
        if not answers:
            raise CliError(f"no node answers: {'; '.join(failures)}")
        return answers


def watch(
    operator: Operator,
    is_done: Callable[[Standing], bool],
    tell: Callable[[Sequence[str]], None],
    *,
    interval_s: float,
    timeout_s: float | None,
) -> Standing:
    """Looks again and again until something is done.

    Args:
        is_done: says so.
        tell: shows the lines about what is pending.
        timeout_s: None: as long as it takes.

    Raises:
        CliError: the time is up; what is under way goes on.
    """
    deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
    failed_since: float | None = None
    while True:
        try:
            standing = operator.look()
            failed_since = None
        except CliError:
            # Nodes come and go while the cluster changes; only silence that lasts is told.
            failed_since = failed_since or time.monotonic()
            if time.monotonic() - failed_since > CHANGE_TIMEOUT_S:
                raise
        else:
            if is_done(standing):
                return standing
            tell([*standing.pending(), *standing.misled()])
        if time.monotonic() > deadline:
            raise CliError(
                f"not done after {timeout_s:.0f} s; it goes on: `memraft cluster show` tells how far it is"
            )
        time.sleep(interval_s)


def plain(error: MemraftError) -> str:
    return error.message or error.reason
