"""What goes into the core and what comes out of it: messages, entries, hard state, Ready.

The wire form is msgspec's array form, so that a message costs its values and no names. Fields are only ever
added at the end. The issue that brings snapshots and membership adds its message types after `COMMIT`, a
snapshot to `Ready`, and a kind to `Entry`.
"""

from __future__ import annotations

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

    `COMMIT`: as a heartbeat, but wants no reply: tells a follower that has no entries to come that the commit
    index moved. `TIMEOUT_NOW`: start an election at once (leadership transfer).
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


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One log entry. `data` is opaque to the core; empty data is the no-op that a new leader appends."""

    term: int
    index: int
    data: bytes


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


class HardState(msgspec.Struct, array_like=True, frozen=True):
    """What must survive a crash. `vote` is 0 when none was given in `term`.

    `commit` is a convenience: losing its newest value loses nothing, since the leader tells it again.
    """

    term: int
    vote: int
    commit: int


class ReadState(msgspec.Struct, frozen=True):
    """A read that may be served as soon as the machine has applied `index` (thesis §6.4)."""

    index: int
    request_id: int


class Ready(msgspec.Struct):
    """What the driver has to do now, in this order.

    1. `messages_before_sync` may leave at once, also while the sync below runs: they reveal nothing that is
       not durable already. (A receiver does not count the sender's own copy of an entry.)
    2. Write `hard_state` and `entries` in one batch. Entries replace whatever the log holds from
       `entries[0].index` on. The write must be synced when `must_sync` says so; otherwise it carries at
       most a new commit index and may be delayed or left out.
    3. Send `messages`.
    4. Apply `committed`, in order. Answer `read_states`, give up `dropped_reads` (request ids).
    5. `Core.advance(ready)`.

    `role`, `leader` (0 if unknown) and `term` are as of now, for information.
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


class PeerStatus(msgspec.Struct, frozen=True):
    """What the leader knows of a peer: `match` is the last index known to be durable there."""

    match: int
    next: int
    state: str
    active: bool
    inflight_messages: int
    inflight_bytes: int


class Status(msgspec.Struct, frozen=True):
    """A snapshot of the core for people and metrics. `peers` is empty unless this node leads."""

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
    peers: dict[int, PeerStatus]
