"""What goes into the core and what comes out of it: messages, entries, hard state, Ready.

The wire form is msgspec's array form, so that a message costs its values and no names. Fields are only ever
added at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import msgspec


class Role(IntEnum):
    """What a node is in its term (thesis §3.3; the pre-candidate is of §9.6)."""

    FOLLOWER = 0
    PRE_CANDIDATE = 1
    CANDIDATE = 2
    LEADER = 3


class MessageType(IntEnum):
    """The kinds of messages. A reply carries its sender's term and says what it answers.

    `PRE_VOTE`, `VOTE`: `index` and `log_term` of the candidate's last entry; `context` 1 when the leader
    asked for the election, which then ignores leases. `VOTE_REPLY`, `PRE_VOTE_REPLY`: `reject`, and `index`
    as asked.

    `APPEND`: `entries` that follow the entry (`index`, `log_term`); `commit` of the leader.
    `APPEND_REPLY`: `index` up to which the logs match, or, with `reject`, the `index` that did not match and
    the hint (`hint_index`, `hint_term`) from where to try again.

    `HEARTBEAT`: `commit`, no more than the receiver is known to have; `hint_index`, all that the leader has
    committed, 0 as long as nothing of its own term is, because its predecessor may have committed more;
    `context` is the round of reads.
    `HEARTBEAT_REPLY`: the same `context`, and the `commit` that it answers.

    `APPEND_REPLY` and `HEARTBEAT_REPLY` say in `applied` how far the sender's machine is: one that has the
    log and yet to apply it could not serve at once, were it to lead.

    `COMMIT`: as a heartbeat, but wants no reply: tells a follower that has no entries to come that the commit
    index moved. `TIMEOUT_NOW`: start an election at once (leadership transfer).

    `SNAPSHOT`: the state labelled `snapshot` is complete at the receiver, which may put it in place of its
    log. It is answered by an `APPEND_REPLY`. `SNAPSHOT_CHUNK`, `SNAPSHOT_REPLY` carry the state itself, in
    `data`, from driver to driver; the core never sees them.

    `RECOVER`: a replica that may have lost entries asks the leader how far its log must reach until it has
    all that it can ever have acknowledged; `context` is its nonce. `RECOVER_REPLY`: the same `context`, and
    that `index`.
    """

    PRE_VOTE = 0
    PRE_VOTE_REPLY = 1
    VOTE = 2
    VOTE_REPLY = 3
    APPEND = 4
    APPEND_REPLY = 5
    HEARTBEAT = 6
    HEARTBEAT_REPLY = 7
    TIMEOUT_NOW = 8
    COMMIT = 9
    SNAPSHOT = 10
    SNAPSHOT_CHUNK = 11
    SNAPSHOT_REPLY = 12
    RECOVER = 13
    RECOVER_REPLY = 14


class EntryKind(IntEnum):
    """Who an entry is for: the machine, or the core itself."""

    COMMAND = 0
    MEMBERSHIP = 1


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One log entry. `data` of a command is opaque to the core; empty data is the no-op that a new leader
    appends. `data` of a membership is `Membership.encode()`; the machine must not see it."""

    term: int
    index: int
    data: bytes
    kind: EntryKind = EntryKind.COMMAND


class Membership(msgspec.Struct, array_like=True, frozen=True):
    """Who belongs to a group. `voters` elect and commit, `learners` only receive (thesis §4.2.1).

    Both ascend, and nobody is in both. A membership is in force from the moment it is appended to the log,
    not from its commit (thesis §4.1). Without voters it is that of a node that waits to be told.

    Raises `ValueError` (from the wire: `msgspec.ValidationError`) for one that cannot be.
    """

    voters: tuple[int, ...]
    learners: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for ids in (self.voters, self.learners):
            if list(ids) != sorted(set(ids)) or (ids and ids[0] < 1):
                raise ValueError(f"{ids}: ids must be distinct, ascend and be at least 1")
        if not set(self.voters).isdisjoint(self.learners):
            raise ValueError(f"voters {self.voters} and learners {self.learners} overlap")

    @classmethod
    def of(cls, voters: Iterable[int], learners: Iterable[int] = ()) -> Membership:
        """The membership of these nodes, in whatever order they come."""
        return cls(tuple(sorted(voters)), tuple(sorted(learners)))

    @classmethod
    def decode(cls, data: bytes) -> Membership:
        """Of an entry's `data`. Raises `msgspec.MsgspecError` for anything else."""
        return msgspec.msgpack.decode(data, type=cls)

    def encode(self) -> bytes:
        """As the `data` of an entry."""
        return msgspec.msgpack.encode(self)

    def __contains__(self, node: object) -> bool:
        return node in self.voters or node in self.learners

    def __str__(self) -> str:
        voters = ",".join(map(str, self.voters)) or "nobody"
        return f"voters {voters}" + (
            f" learners {','.join(map(str, self.learners))}" if self.learners else ""
        )

    @property
    def members(self) -> tuple[int, ...]:
        """Voters and learners, ascending."""
        return tuple(sorted(self.voters + self.learners))

    @property
    def quorum(self) -> int:
        """How many voters are a majority."""
        return len(self.voters) // 2 + 1


class SnapshotMeta(msgspec.Struct, array_like=True, frozen=True):
    """What a state covers: every entry up to `index`, whose term is `term`; and the membership then.

    It labels a machine's state, and is the base of a log that begins behind it.
    """

    index: int
    term: int
    membership: Membership


class Message(msgspec.Struct, array_like=True, gc=False):
    """One message from node `sender` to node `to`; `MessageType` says what the other fields mean."""

    type: MessageType
    sender: int
    to: int
    term: int
    log_term: int = 0
    index: int = 0
    commit: int = 0
    entries: tuple[Entry, ...] = ()
    reject: bool = False
    hint_index: int = 0
    hint_term: int = 0
    context: int = 0
    snapshot: SnapshotMeta | None = None
    data: bytes = b""
    applied: int = 0


class HardState(msgspec.Struct, array_like=True, frozen=True):
    """What must survive a crash. `vote` is 0 when none was given in `term`.

    `commit` is a convenience: losing its newest value loses nothing, since the leader tells it again.
    `is_whole` is False while entries may be missing that this replica has acknowledged: its log was damaged,
    or its disk is a new one. It does not vote then; see `recovery`.
    """

    term: int
    vote: int
    commit: int
    is_whole: bool = True


class ReadState(msgspec.Struct, frozen=True):
    """A read that may be served as soon as the machine has applied `index` (thesis §6.4)."""

    index: int
    request_id: int


class Ready(msgspec.Struct):
    """What the driver has to do now, in this order.

    1. `messages_before_sync` may leave at once, also while the sync below runs: they reveal nothing that is
       not durable already. (A receiver does not count the sender's own copy of an entry.)
    2. If there is a `snapshot`: the state with that label, which a `SNAPSHOT` message announced, becomes the
       machine's, durably; the log is emptied, synced, and begins behind it. Then write `hard_state` and
       `entries` in one batch. Entries replace whatever the log holds from `entries[0].index` on. The write
       must be synced when `must_sync` says so; otherwise it carries at most a new commit index and may be
       delayed or left out.
    3. Send `messages`.
    4. Apply `committed`, in order: to the machine what is a command with data. Answer `read_states`, give up
       `dropped_reads` (request ids).
    5. `Core.advance(ready)`.

    A leader names in `snapshots_wanted` the peers whose next entry its log no longer has, each once: send
    them a state, then `Core.snapshot_message`, and tell how it went by `Core.report_snapshot`.

    `role`, `leader` (0 if unknown), `term` and `membership` are as of now, for information.
    """

    hard_state: HardState | None
    entries: list[Entry]
    messages_before_sync: list[Message]
    messages: list[Message]
    committed: list[Entry]
    read_states: list[ReadState]
    dropped_reads: list[int]
    role: Role
    leader: int
    term: int
    must_sync: bool
    membership: Membership
    snapshot: SnapshotMeta | None = None
    snapshots_wanted: list[int] = []


class PeerStatus(msgspec.Struct, frozen=True):
    """What the leader knows of a peer: `match` is the last index known to be durable there, `applied` how far
    its machine was when it last answered, `state` one of "probe", "replicate", "snapshot"; `active` is one
    that was heard within the last two election timeouts, or at least one; one that is recovering may have
    lost entries it acknowledged."""

    match: int
    next: int
    state: str
    active: bool
    inflight_messages: int
    inflight_bytes: int
    is_recovering: bool
    applied: int


class Status(msgspec.Struct, frozen=True):
    """How a core stands, for people and metrics. `peers` is empty unless this node leads. `membership` is in
    force since `membership_index`, and for good once that is committed."""

    id: int
    role: Role
    term: int
    vote: int
    leader: int
    commit: int
    applied: int
    first_index: int
    last_index: int
    durable_index: int
    uncommitted_bytes: int
    transfer_to: int
    membership: Membership
    membership_index: int
    is_whole: bool
    peers: dict[int, PeerStatus]
